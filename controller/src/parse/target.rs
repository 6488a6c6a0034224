//! Which revision the target's template and configuration make.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use kube::api::DynamicObject;
use serde_json::Value;
use sluice_core::{RevisionName, Target, Writer};
use sluice_crds::{TargetKind, labels};

use crate::observe::Observed;
use crate::render::config::{self, Config};
use crate::render::references::{images, references};
use crate::render::{identity, name, snapshot};

use super::revisions::Known;

/// The target's present template and configuration, with the revision that they make.
#[derive(Clone, Debug, PartialEq)]
pub struct Identified {
    /// Its name: of the revision that equals it, or a new one.
    pub revision: RevisionName,
    /// Names the template alone.
    pub template_hash: String,
    /// Content hash of every `ConfigMap` that is part of it.
    pub config: Config,
    /// The source template.
    pub template: Value,
}

/// Identifies the target. `None` when it is gone.
#[must_use]
pub fn identify(observed: &Observed, known: &Known<'_>) -> Option<Identified> {
    Some(identify_template(observed, known, observed.template()?))
}

/// Identifies a template as if it were the target's.
pub(super) fn identify_template(
    observed: &Observed,
    known: &Known<'_>,
    source: &Value,
) -> Identified {
    let spec = &observed.canary.spec;
    let wanted = references(source).into_keys();
    let contents: Config = wanted
        .filter(|key| config::is_wanted(key, spec.config.as_ref()))
        .filter_map(|key| {
            // One that does not exist, or that a controller owns, is read live by the pods.
            let hash = observed.config_maps.get(&key)?.clone();
            Some((key, hash))
        })
        .collect();
    let fields = &spec.ignore_template_fields;
    let hash = identity::revision_hash(source, fields, &contents);
    let new = name::revision_name(&spec.target_ref.name, &hash);
    let revision = snapshot::identify(source, fields, &contents, &known.snapshots, new);
    let alike = known
        .snapshots
        .iter()
        .find(|s| identity::same(source, s.template, fields));
    let template_hash = alike.map_or_else(
        || identity::template_hash(source, fields),
        |snapshot| snapshot.template_hash.clone(),
    );
    Identified {
        revision,
        template_hash,
        config: contents,
        template: source.clone(),
    }
}

/// The target in the terms of the decision.
#[must_use]
pub fn parse(observed: &Observed, identified: &Identified) -> Option<Target> {
    let object = observed.target.as_ref()?;
    let (revision, template) = (
        identified.revision.clone(),
        identified.template_hash.clone(),
    );
    let images = images(&identified.template);
    if observed.canary.spec.target_ref.kind == TargetKind::PodTemplate {
        return Some(Target {
            revision,
            template,
            images,
            replicas: 0,
            scalable: false,
            ready: 0,
            settled: true,
            owned: false,
            writer: None,
        });
    }
    let number = |path: &str| object.data.pointer(path).and_then(Value::as_u64);
    let count = |path| u32::try_from(number(path).unwrap_or_default()).unwrap_or(u32::MAX);
    let replicas = number("/spec/replicas").map_or(1, |_| count("/spec/replicas"));
    let generation = object
        .metadata
        .generation
        .and_then(|g| u64::try_from(g).ok());
    let current = number("/status/observedGeneration") >= generation;
    let all = |path| count(path) == replicas;
    let settled = current
        && all("/status/replicas")
        && all("/status/updatedReplicas")
        && all("/status/readyReplicas")
        && all("/status/availableReplicas");
    Some(Target {
        revision,
        template,
        images,
        replicas,
        scalable: true,
        ready: count("/status/readyReplicas"),
        settled,
        owned: owners(object).any(|entry| entry.manager.as_deref() == Some(labels::MANAGER)),
        writer: writer(object),
    })
}

/// Who owns `spec.replicas`: of a cached Deployment no other entries are kept.
fn owners(object: &DynamicObject) -> impl Iterator<Item = &ManagedFieldsEntry> {
    object.metadata.managed_fields.iter().flatten()
}

/// Who else owns `spec.replicas`; of several, who has it in a manifest, and who wrote last.
fn writer(object: &DynamicObject) -> Option<Writer> {
    let others = owners(object).filter(|entry| entry.manager.as_deref() != Some(labels::MANAGER));
    let by_manifest =
        |entry: &ManagedFieldsEntry| entry.subresource.as_deref().is_none_or(str::is_empty);
    let latest = others.max_by_key(|entry| (by_manifest(entry), entry.time.clone()))?;
    Some(Writer {
        manager: latest.manager.clone().unwrap_or_default(),
        manifest: by_manifest(latest),
    })
}
