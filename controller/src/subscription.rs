//! What a rollout wants measured.

use sluice_core::State;
use sluice_crds::{PolicySpec, Source};

use crate::evidence::Subscription;
use crate::observe::Observed;
use crate::parse::plan;

/// What to tell a person whose policy names no server.
pub const NO_ADDRESS: &str = "spec.metrics.address is set neither in the Canary nor in its policy";

/// The measurements that a gated rollout needs. Where they are read is as the policy says now: what is
/// judged is pinned with the rollout, a wrong address is not.
#[must_use]
pub fn of(observed: &Observed, state: &State, sections: &PolicySpec) -> Option<Subscription> {
    let rollout = state.rollout.as_ref().filter(|rollout| rollout.gated)?;
    Some(Subscription {
        address: sections.metrics.as_ref()?.address.clone(),
        interval: plan::interval(sections),
        source: sections.source.unwrap_or(Source::IstioWaypoint),
        namespace: observed.namespace.clone(),
        stable: state.stable.clone(),
        candidate: rollout.candidate.clone(),
        slos: rollout.plan.slos.clone(),
    })
}
