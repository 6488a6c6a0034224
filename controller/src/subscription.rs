//! What a rollout wants measured.

use std::collections::BTreeSet;

use sluice_core::State;
use sluice_crds::{PolicyKind, PolicyRef, PolicySpec, Source, Waiver};

use crate::evidence::{Server, Subscription, Workload};
use crate::observe::Observed;
use crate::observe::observed::Policy;
use crate::parse::plan;
use crate::render::mesh;

/// What to tell a person whose policy names no server.
pub const NO_ADDRESS: &str = "spec.metrics.address is set neither in the Canary nor in its policy";

/// The measurements that a gated rollout needs. Where they are read is as the policy says now: what is
/// judged is pinned with the rollout, a wrong address is not.
///
/// `own` is the namespace that Sluice runs in.
#[must_use]
pub fn of(
    observed: &Observed,
    state: &State,
    sections: &PolicySpec,
    own: &str,
) -> Option<Subscription> {
    let rollout = state.rollout.as_ref().filter(|rollout| rollout.gated)?;
    let metrics = sections.metrics.as_ref()?;
    Some(Subscription {
        server: Server::new(metrics, secrets_of(observed, own)),
        names: metrics.otlp_names.unwrap_or_default(),
        interval: plan::interval(sections),
        source: sections.source.unwrap_or(Source::IstioWaypoint),
        namespace: observed.namespace.clone(),
        stable: state.stable.clone(),
        candidate: rollout.candidate.clone(),
        slos: rollout.plan.slos.clone(),
        waypoints: waypoints(observed),
    })
}

/// The namespace of the Secrets that credentials name: that of the object which does. A Canary must not reach with
/// its own address what an administrator wrote for all.
fn secrets_of<'a>(observed: &'a Observed, own: &'a str) -> &'a str {
    let of_all = |reference: &PolicyRef| reference.kind == PolicyKind::ClusterCanaryPolicy;
    match &observed.policy {
        Policy::Found { reference, .. }
            if of_all(reference) && observed.canary.spec.policy.metrics.is_none() =>
        {
            own
        }
        _ => &observed.namespace,
    }
}

/// Who may connect to pods; empty where that is nobody's concern, or not known.
fn waypoints(observed: &Observed) -> BTreeSet<Workload> {
    let waived = observed
        .canary
        .spec
        .waivers
        .contains(&Waiver::AroundWaypoint);
    let Some(parent) = observed.parent.as_deref().filter(|_| !waived) else {
        return BTreeSet::new();
    };
    let found = mesh::waypoints(
        parent,
        &observed.namespace,
        observed.namespace_labels.as_ref(),
    );
    found
        .into_iter()
        .map(|(namespace, name)| Workload { namespace, name })
        .collect()
}
