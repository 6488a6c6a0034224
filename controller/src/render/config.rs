//! Configuration as a part of a revision: our copies of the `ConfigMap`s that it refers to.
//!
//! Secrets are never copied: rotating one must reach pods and start nothing.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::json;
use sluice_crds::{ConfigSpec, labels};

use super::{hash, name, own_labels};

/// On our copy of a `ConfigMap`: the name of the original, which may be too long for a label.
pub const COPY_OF: &str = "sluice.dev/copy-of";

/// Bundles of certificates that the cluster writes into every namespace and renews by itself.
const CLUSTER_BUNDLES: [&str; 3] = [
    "kube-root-ca.crt",
    "istio-ca-root-cert",
    "openshift-service-ca.crt",
];

/// The label that makes `OpenShift` fill a `ConfigMap` with certificates.
const OPENSHIFT_BUNDLE: &str = "config.openshift.io/inject-trusted-cabundle";

/// The configuration of a revision: the content hash of each `ConfigMap` that is part of it, by name.
pub type Config = BTreeMap<String, String>;

/// Whether a `ConfigMap` is part of a revision as far as its name tells.
#[must_use]
pub fn is_wanted(name: &str, spec: Option<&ConfigSpec>) -> bool {
    !CLUSTER_BUNDLES.contains(&name)
        && !spec.is_some_and(|spec| spec.ignore.iter().any(|ignored| ignored == name))
}

/// Whether a `ConfigMap` may be part of a revision: no controller owns and renews it, and it is no
/// copy of ours.
#[must_use]
pub fn may_copy_config_map(config_map: &ConfigMap) -> bool {
    let meta = &config_map.metadata;
    let mut owners = meta.owner_references.iter().flatten();
    let labelled = |label| meta.labels.iter().any(|labels| labels.contains_key(label));
    !owners.any(|owner| owner.controller == Some(true))
        && !labelled(labels::CANARY)
        && !labelled(OPENSHIFT_BUNDLE)
}

/// The hash of what pods see of a `ConfigMap`.
#[must_use]
pub fn config_map_hash(config_map: &ConfigMap) -> String {
    // An API server may drop an empty map.
    let content = json!([
        config_map.data.as_ref().filter(|data| !data.is_empty()),
        config_map
            .binary_data
            .as_ref()
            .filter(|data| !data.is_empty()),
    ]);
    hash::short(&[&hash::canonical(&content)])
}

/// The names of the copies that a revision needs, by name of the original, for its configuration
/// (content hash by name of the original).
#[must_use]
pub fn copy_names(canary: &str, config: &Config) -> BTreeMap<String, String> {
    let copy = |(original, hash): (&String, &String)| {
        (original.clone(), name::copy_name(canary, original, hash))
    };
    config.iter().map(copy).collect()
}

/// An immutable copy of a `ConfigMap`, named as [`copy_names`] says. To be created, never applied.
///
/// Nothing of the original's labels, annotations and owners: what manages it must not take the copy
/// away.
#[must_use]
pub fn copy_of_config_map(canary: &str, original: &ConfigMap) -> ConfigMap {
    let name = original.metadata.name.as_deref().unwrap_or_default();
    let hash = config_map_hash(original);
    ConfigMap {
        metadata: ObjectMeta {
            name: Some(name::copy_name(canary, name, &hash)),
            namespace: original.metadata.namespace.clone(),
            labels: Some(own_labels(canary, None)),
            annotations: Some(BTreeMap::from([(COPY_OF.to_owned(), name.to_owned())])),
            ..ObjectMeta::default()
        },
        data: original.data.clone(),
        binary_data: original.binary_data.clone(),
        immutable: Some(true),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use serde_json::Value;

    use super::*;

    fn config_map(value: Value) -> ConfigMap {
        serde_json::from_value(value).unwrap()
    }

    fn original() -> ConfigMap {
        config_map(json!({
            "metadata": {
                "name": "app", "namespace": "shop", "uid": "1", "resourceVersion": "7",
                "labels": {"app.kubernetes.io/instance": "shop"},
                "annotations": {"argocd.argoproj.io/tracking-id": "shop:/ConfigMap:shop/app"},
                "ownerReferences": [{"apiVersion": "v1", "kind": "X", "name": "x", "uid": "2"}],
            },
            "data": {"level": "info"},
            "binaryData": {"logo": "AAEC"},
        }))
    }

    #[test]
    fn a_copy_holds_the_content_and_nothing_of_its_origin() {
        let hash = config_map_hash(&original());
        let copy = copy_of_config_map("podinfo", &original());
        let names = copy_names("podinfo", &BTreeMap::from([("app".to_owned(), hash)]));
        assert_eq!(
            serde_json::to_value(&copy).unwrap(),
            json!({
                "apiVersion": "v1", "kind": "ConfigMap",
                "metadata": {
                    "name": names.get("app"), "namespace": "shop",
                    "labels": {"sluice.dev/canary": "podinfo", "app.kubernetes.io/managed-by": "sluice"},
                    "annotations": {"sluice.dev/copy-of": "app"},
                },
                "data": {"level": "info"},
                "binaryData": {"logo": "AAEC"},
                "immutable": true,
            })
        );
        assert!(!may_copy_config_map(&copy), "a copy is never copied again");
    }

    #[test]
    fn what_others_renew_is_left_alone() {
        let owned = |controller: bool| {
            config_map(json!({"metadata": {"ownerReferences": [
                {"apiVersion": "v1", "kind": "X", "name": "x", "uid": "2", "controller": controller},
            ]}}))
        };
        assert!(!may_copy_config_map(&owned(true)));
        assert!(may_copy_config_map(&owned(false)));
        assert!(may_copy_config_map(&original()));
    }

    #[test]
    fn bundles_and_what_the_spec_ignores_are_no_part() {
        let spec = ConfigSpec {
            ignore: vec!["flags".to_owned()],
        };
        assert!(!is_wanted("flags", Some(&spec)));
        assert!(is_wanted("flags", None));
        assert!(is_wanted("app", Some(&spec)));
        assert!(!is_wanted("kube-root-ca.crt", None));
    }

    #[test]
    fn only_content_counts() {
        let mut touched = original();
        touched.metadata = ObjectMeta {
            name: Some("other".to_owned()),
            ..ObjectMeta::default()
        };
        touched.immutable = Some(true);
        assert_eq!(config_map_hash(&touched), config_map_hash(&original()));
        touched.data = Some(BTreeMap::from([("level".to_owned(), "debug".to_owned())]));
        assert_ne!(config_map_hash(&touched), config_map_hash(&original()));
        let empty = config_map(json!({"data": {}}));
        assert_eq!(
            config_map_hash(&empty),
            config_map_hash(&ConfigMap::default())
        );
    }

    #[test]
    fn text_is_not_bytes() {
        let text = config_map(json!({"data": {"a": "AAEC"}}));
        let bytes = config_map(json!({"binaryData": {"a": "AAEC"}}));
        assert_ne!(config_map_hash(&text), config_map_hash(&bytes));
    }
}
