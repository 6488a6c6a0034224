//! What a Canary wants read, and what it is told by it.

use kube::runtime::reflector::ObjectRef;
use sluice_core::{Decision, Plan};
use sluice_crds::{Canary, PolicySpec};

use super::Context;
use crate::evidence::Known;
use crate::memory::Memory;
use crate::observe::Observed;
use crate::observe::observed::Policy;
use crate::parse;
use crate::record::foresight::Premise;
use crate::subscription;

/// Says what a Canary needs to have read.
pub(super) fn say(
    context: &Context,
    key: &ObjectRef<Canary>,
    observed: &Observed,
    memory: &Memory,
    sections: &PolicySpec,
) {
    let (home, judged) = (&context.home, judged(memory, sections));
    watch(context, key, observed, memory, sections);
    let wanted = subscription::of(observed, &memory.state, sections, judged, home);
    context.reader.subscribe(key.clone(), wanted);
    let past = subscription::past(observed, sections, home);
    context.reader.remember(key.clone(), past);
}

/// Says which revisions drain: before each decision, so that none ends a drain that nobody looked at, and behind it.
pub(super) fn watch(
    context: &Context,
    key: &ObjectRef<Canary>,
    observed: &Observed,
    memory: &Memory,
    sections: &PolicySpec,
) {
    if matches!(observed.policy, Policy::Missing(_)) {
        // It names the server, perhaps, and may be back in a moment.
        return;
    }
    let drains = subscription::drains(observed, &memory.state, sections, &context.home);
    context.reader.watch(key.clone(), drains);
}

/// What the gates will be able to do is told by.
pub(super) fn premise(
    decision: &Decision,
    next: Plan,
    memory: &Memory,
    sections: &PolicySpec,
    known: Known,
) -> Premise {
    let rollout = decision.state.rollout.as_ref();
    let metrics = sections.metrics.as_ref();
    Premise {
        plan: rollout.map_or(next, |rollout| rollout.plan.clone()),
        interval: metrics.map(|_| parse::plan::interval(sections)),
        traffic: memory.traffic,
        known,
    }
}

/// The sections that a rollout is held to: those that it started with, else those that the next one would.
pub(super) fn judged<'a>(memory: &'a Memory, sections: &'a PolicySpec) -> &'a PolicySpec {
    let pinned = memory
        .pinned
        .as_ref()
        .filter(|_| memory.state.rollout.is_some());
    pinned.map_or(sections, |pinned| &pinned.sections)
}
