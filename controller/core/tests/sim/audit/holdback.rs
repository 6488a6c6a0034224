//! 10. A newer template does not take the traffic from a candidate that passed every step. Going back does.

use sluice_core::{Effect, Record, RevisionName, Step, Weight};

use super::{Facts, Look};

/// Whether a revision has what only a holdback gives, as of our last write.
pub(super) fn is_reached(facts: &Facts, name: &RevisionName) -> bool {
    let least = facts.plan.holdback().map(Step::weight);
    let held = facts.weight(name);
    held < Weight::WHOLE && least.is_some_and(|least| held >= least)
}

pub(super) fn check(look: &Look<'_>) -> Result<(), (u8, String)> {
    let (facts, seen) = (look.facts, look.seen);
    let (Some(routing), Some(route), Some(target)) = (look.routing(), &seen.route, &seen.target)
    else {
        return Ok(());
    };
    // What others wrote may tell of anything.
    let ours = route.foreign_writer.is_none() && Some(route.written_at) == facts.weight_at;
    let Some(candidate) = route.candidate.as_ref().filter(|_| ours && !seen.deleting) else {
        return Ok(());
    };
    let held = facts.weight(candidate);
    let left = routing.weights.get(candidate).copied().unwrap_or_default();
    let loses = route.weight(candidate) == held && left < held;
    if !loses || !facts.is_gated(candidate) || !is_reached(facts, candidate) {
        return Ok(());
    }
    let stable = look.before.stable.as_ref();
    let goes_back = stable == Some(&target.revision)
        || facts.promoted.contains(&target.revision)
        || facts.withdrawn.as_ref() == Some(candidate);
    let rejects = |effect: &Effect| matches!(effect, Effect::Remember { revision, record } if revision == candidate && record.is_rejected());
    let rejected = seen.record(candidate).is_none_or(Record::is_rejected)
        || look.decision.effects.iter().any(rejects);
    if goes_back || rejected {
        return Ok(());
    }
    Err((
        10,
        format!(
            "{candidate} passed every step, and falls from {held} to {left} for {}",
            target.revision
        ),
    ))
}
