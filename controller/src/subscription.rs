//! What a rollout wants measured.

use sluice_core::State;
use sluice_crds::{PolicySpec, Source};

use crate::evidence::Subscription;
use crate::observe::Observed;
use crate::parse::plan;

/// What to tell a person whose policy names no server.
pub const NO_ADDRESS: &str = "spec.metrics.address is set neither in the Canary nor in its policy";

/// The measurements that a gated rollout needs, by the policy pinned for it.
#[must_use]
pub fn of(observed: &Observed, state: &State, pinned: Option<&PolicySpec>) -> Option<Subscription> {
    let rollout = state.rollout.as_ref().filter(|rollout| rollout.gated)?;
    let pinned = pinned?;
    Some(Subscription {
        address: pinned.metrics.as_ref()?.address.clone(),
        interval: plan::interval(pinned),
        source: pinned.source.unwrap_or(Source::IstioWaypoint),
        namespace: observed.namespace.clone(),
        stable: state.stable.clone(),
        candidate: rollout.candidate.clone(),
        slos: rollout.plan.slos.clone(),
    })
}
