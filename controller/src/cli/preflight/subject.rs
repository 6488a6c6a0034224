//! What will be adopted, or is: the objects around it, as the controller would observe them.

use std::collections::BTreeSet;
use std::sync::Arc;

use kube::ResourceExt as _;
use kube::api::ObjectMeta;
use sluice_crds::{Canary, CanarySpec, Mesh, PolicySpec, TargetKind, TargetRef, labels};

use super::Asked;
use super::found::{Found, service};
use crate::evidence::Past;
use crate::observe::observed::parent_name;
use crate::observe::{Caches, Observed, kinds};
use crate::parse::{self, plan};
use crate::subscription;

/// One Canary, or one that could be.
pub(super) struct Subject {
    pub(super) observed: Observed,
    /// Whether there is a Canary: else its spec is the smallest that there is.
    pub(super) exists: bool,
    /// The sections that hold for it.
    pub(super) sections: PolicySpec,
    /// What to ask about its metrics; `None` where no server is named.
    pub(super) past: Option<Past>,
}

impl Subject {
    /// Whether its mesh is another than Istio's ambient mode.
    pub(super) fn is_gamma(&self) -> bool {
        parse::mesh::said(&self.observed) == Mesh::Gamma
    }
}

/// As `shop/podinfo`.
impl std::fmt::Display for Subject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.observed.namespace, self.observed.name)
    }
}

/// All that was asked about, by name.
pub(super) fn all(found: &Found, asked: &Asked) -> Vec<Subject> {
    let Some(namespace) = &asked.namespace else {
        return Vec::new();
    };
    let caches = Caches::holding(&found.objects.all);
    let here = |canary: &Canary| canary.namespace().as_ref() == Some(namespace);
    let mut canaries = caches.canaries.state_filter(here);
    canaries.sort_by_key(|canary| canary.name_any());
    let existing = canaries.iter().map(|canary| canary.name_any());
    let existing: BTreeSet<String> = existing.collect();
    let subject = |canary: Arc<Canary>, exists| {
        let observed = Observed::collect(&caches, canary, &asked.home);
        let mut sections = plan::in_force(&observed);
        if let (Some(metrics), Some(address)) = (&mut sections.metrics, &asked.prometheus) {
            address.clone_into(&mut metrics.address);
        }
        let past = subscription::past(&observed, &sections, &asked.home);
        Subject {
            observed,
            exists,
            sections,
            past,
        }
    };
    if let Some(name) = &asked.name {
        let canary = canaries
            .into_iter()
            .find(|canary| canary.name_any() == *name);
        let exists = canary.is_some();
        let canary = canary.unwrap_or_else(|| Arc::new(smallest(found, namespace, name)));
        return vec![subject(canary, exists)];
    }
    let targets = canaries
        .iter()
        .map(|canary| canary.spec.target_ref.name.clone());
    let adopted: BTreeSet<String> = targets.chain(existing).collect();
    let mut subjects: Vec<_> = canaries
        .into_iter()
        .map(|canary| subject(canary, true))
        .collect();
    let deployment = kinds::deployment();
    let candidates = found.all(&deployment).filter(|deployment| {
        let name = deployment.name_any();
        deployment.namespace().as_ref() == Some(namespace)
            && !deployment.labels().contains_key(labels::REVISION)
            && !adopted.contains(&name)
            && found.one(&service(), Some(namespace), &name).is_some()
    });
    let mut names: Vec<_> = candidates.map(kube::ResourceExt::name_any).collect();
    names.sort();
    let candidates = names
        .iter()
        .map(|name| subject(Arc::new(smallest(found, namespace, name)), false));
    subjects.extend(candidates);
    subjects
}

/// The Canary that a person would write first.
fn smallest(found: &Found, namespace: &str, name: &str) -> Canary {
    let has = |kind| found.one(&kind, Some(namespace), name).is_some();
    let only_template = !has(kinds::deployment()) && has(kinds::pod_template());
    let spec = CanarySpec {
        target_ref: TargetRef {
            api_version: None,
            kind: if only_template {
                TargetKind::PodTemplate
            } else {
                TargetKind::Deployment
            },
            name: name.to_owned(),
        },
        replicas: None,
        service: None,
        policy_ref: None,
        policy: PolicySpec::default(),
        approved: Vec::new(),
        promoted: None,
        suspend: false,
        ignore_template_fields: Vec::new(),
        config: None,
        waivers: Vec::new(),
    };
    Canary {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            namespace: Some(namespace.to_owned()),
            ..ObjectMeta::default()
        },
        spec,
        status: None,
    }
}

impl Subject {
    /// The name of the Service that clients call.
    pub(super) fn service_name(&self) -> &str {
        parent_name(&self.observed.canary)
    }

    /// Kind and name of the template source.
    pub(super) fn target(&self) -> String {
        let target = &self.observed.canary.spec.target_ref;
        format!("{:?} {}", target.kind, target.name)
    }
}
