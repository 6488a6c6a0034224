//! Which revision the target's template and configuration make.

use serde_json::Value;
use sluice_core::{RevisionName, Target};
use sluice_crds::TargetKind;

use crate::observe::{Observed, size};
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
    let name = observed.canary.spec.target_ref.name.clone();
    if observed.canary.spec.target_ref.kind == TargetKind::PodTemplate {
        return Some(Target {
            name,
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
        name,
        revision,
        template,
        images,
        replicas,
        scalable: true,
        ready: count("/status/readyReplicas"),
        settled,
        owned: size::is_ours(object),
        writer: size::writer(object),
    })
}
