//! The snapshot of a revision: a core/v1 `PodTemplate` that holds the template as Git has it, and what
//! is remembered of the revision.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{DynamicObject, TypeMeta};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use sluice_core::{Record, RevisionName, Time};
use sluice_crds::annotations;

use super::config::Config;
use super::{identity, own_labels, time};

/// On a snapshot: the hash that names its template alone.
pub const TEMPLATE_HASH: &str = "sluice.dev/template-hash";

/// A snapshot, read.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot<'a> {
    /// The revision.
    pub revision: RevisionName,
    /// The template as it was in Git, without any change of ours.
    pub template: &'a Value,
    /// Names the template alone.
    pub template_hash: String,
    /// Content hash of each `ConfigMap` that is part of the revision.
    pub config: Config,
    /// What is remembered of the revision; the default when nothing is, or when it cannot be read.
    pub record: Record,
    /// When the snapshot was made.
    pub created: Option<Time>,
}

/// The snapshot of a revision. To be created, never applied: its template cannot change, and an apply
/// would take the record away that is written later.
#[must_use]
pub fn snapshot(
    namespace: &str,
    canary: &str,
    revision: &RevisionName,
    template: &Value,
    template_hash: &str,
    config: &Config,
) -> DynamicObject {
    let annotations = BTreeMap::from([
        (TEMPLATE_HASH.to_owned(), template_hash.to_owned()),
        (annotations::CONFIG.to_owned(), json!(config).to_string()),
    ]);
    DynamicObject {
        types: Some(TypeMeta {
            api_version: "v1".to_owned(),
            kind: "PodTemplate".to_owned(),
        }),
        metadata: ObjectMeta {
            name: Some(revision.to_string()),
            namespace: Some(namespace.to_owned()),
            labels: Some(own_labels(canary, Some(revision))),
            annotations: Some(annotations),
            ..ObjectMeta::default()
        },
        data: json!({"template": template}),
    }
}

/// Reads a snapshot; `None` for a `PodTemplate` without a name or a template.
#[must_use]
pub fn read_snapshot(object: &DynamicObject) -> Option<Snapshot<'_>> {
    let template = object.data.get("template")?;
    let hash = annotation(object, TEMPLATE_HASH).map(str::to_owned);
    Some(Snapshot {
        revision: object.metadata.name.as_deref()?.into(),
        template,
        template_hash: hash.unwrap_or_else(|| identity::template_hash(template, &[])),
        config: read(object, annotations::CONFIG),
        record: read(object, annotations::VERDICT),
        created: object.metadata.creation_timestamp.as_ref().and_then(time),
    })
}

/// The value of the annotation [`annotations::VERDICT`].
#[must_use]
pub fn record_annotation(record: &Record) -> String {
    json!(record).to_string()
}

/// The revision that a target's template and configuration make: one that exists already, else the
/// one named `otherwise`.
///
/// Templates are compared with snapshots and not by hash: both were stored by the same API server, so
/// the defaults of a newer one change both alike. Of several the latest is taken: they differ only in
/// fields that are ignored now.
#[must_use]
pub fn identify<'a, 'b: 'a>(
    template: &Value,
    ignore: &[String],
    config: &Config,
    snapshots: impl IntoIterator<Item = &'a Snapshot<'b>>,
    otherwise: RevisionName,
) -> RevisionName {
    let wanted = identity::identity(template, ignore);
    snapshots
        .into_iter()
        .filter(|known| known.config == *config)
        .filter(|known| identity::identity(known.template, ignore) == wanted)
        .max_by_key(|known| known.created)
        .map_or(otherwise, |known| known.revision.clone())
}

fn annotation<'a>(object: &'a DynamicObject, name: &str) -> Option<&'a str> {
    object
        .metadata
        .annotations
        .as_ref()?
        .get(name)
        .map(String::as_str)
}

/// An annotation's value. One that somebody garbled is none: the revision is judged again.
fn read<T: DeserializeOwned + Default>(object: &DynamicObject, name: &str) -> T {
    let value = annotation(object, name).map(serde_json::from_str);
    value.and_then(Result::ok).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        clippy::indexing_slicing,
        reason = "tests fail by panicking"
    )]

    use sluice_core::Outcome;

    use super::*;

    fn template(image: &str) -> Value {
        json!({"metadata": {"labels": {"app": "podinfo"}}, "spec": {"containers": [{"image": image}]}})
    }

    fn config() -> Config {
        Config::from([("app".to_owned(), "bcdf".to_owned())])
    }

    fn made(revision: &str, image: &str) -> DynamicObject {
        snapshot(
            "shop",
            "podinfo",
            &revision.into(),
            &template(image),
            "hash",
            &config(),
        )
    }

    #[test]
    fn what_is_written_is_read_back() {
        let mut object = made("podinfo-1", "podinfo:1");
        let at = Time::from_timestamp(1_700_000_000, 0).unwrap();
        let record = Record::default()
            .ended(Outcome::Rejected, at, "5 of 100 failed")
            .obeyed("retry:x");
        object
            .metadata
            .annotations
            .get_or_insert_default()
            .insert(annotations::VERDICT.to_owned(), record_annotation(&record));
        // As the API server sends it.
        let mut sent = serde_json::to_value(&object).unwrap();
        sent["metadata"]["creationTimestamp"] = json!("2023-11-14T22:13:20Z");
        let object: DynamicObject = serde_json::from_value(sent).unwrap();
        assert_eq!(
            read_snapshot(&object).unwrap(),
            Snapshot {
                revision: "podinfo-1".into(),
                template: &template("podinfo:1"),
                template_hash: "hash".to_owned(),
                config: config(),
                record,
                created: Some(at),
            }
        );
    }

    #[test]
    fn a_garbled_record_is_none() {
        let mut object = made("podinfo-1", "podinfo:1");
        let verdict = |text: &str| (annotations::VERDICT.to_owned(), text.to_owned());
        object
            .metadata
            .annotations
            .get_or_insert_default()
            .extend([verdict("{rejected")]);
        let read = read_snapshot(&object).unwrap();
        assert_eq!(read.record, Record::default());
    }

    #[test]
    fn only_our_labels_are_on_it() {
        let labels = made("podinfo-1", "podinfo:1").metadata.labels.unwrap();
        let expected = BTreeMap::from([
            (
                "app.kubernetes.io/managed-by".to_owned(),
                "sluice".to_owned(),
            ),
            ("sluice.dev/canary".to_owned(), "podinfo".to_owned()),
            ("sluice.dev/revision".to_owned(), "podinfo-1".to_owned()),
        ]);
        assert_eq!(labels, expected);
    }

    #[test]
    fn a_known_template_keeps_its_revision_whatever_the_hash() {
        let objects = [
            made("podinfo-1", "podinfo:1"),
            made("podinfo-2", "podinfo:2"),
        ];
        let snapshots: Vec<_> = objects.iter().filter_map(read_snapshot).collect();
        let find = |image, config: &Config, ignore: &[String]| {
            identify(
                &template(image),
                ignore,
                config,
                &snapshots,
                "podinfo-new".into(),
            )
        };
        assert_eq!(find("podinfo:2", &config(), &[]).as_str(), "podinfo-2");
        assert_eq!(find("podinfo:3", &config(), &[]).as_str(), "podinfo-new");
        assert_eq!(
            find("podinfo:2", &Config::new(), &[]).as_str(),
            "podinfo-new"
        );
        let ignore = ["/spec/containers/0/image".to_owned()];
        assert!(find("podinfo:3", &config(), &ignore).as_str() < "podinfo-new");
    }
}
