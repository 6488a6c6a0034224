//! 6. No revision takes traffic by our route that was not judged: the first, one promoted before, and an
//!    explicit skip apart.

use sluice_core::{Effect, Record, Step, Weight};

use super::Look;

pub(super) fn check(look: &Look<'_>) -> Result<(), (u8, String)> {
    let facts = look.facts;
    for (name, weight) in look.grown() {
        let rejected = look.seen.record(name).is_some_and(Record::is_rejected);
        if rejected {
            return Err((6, format!("{name} gets {weight}, and it was rejected")));
        }
        if !facts.is_gated(name) {
            continue;
        }
        let held = facts.weight(name);
        let mut steps = facts.plan.steps.iter().map(Step::weight);
        let next = steps.find(|weight| *weight > held).unwrap_or(Weight::WHOLE);
        if weight > next {
            return Err((
                6,
                format!("{name} leaps from {held} to {weight}, past {next}"),
            ));
        }
    }
    for effect in &look.decision.effects {
        let known = |name| look.seen.record(name).is_some_and(Record::is_promoted);
        if let Effect::Remember { revision, record } = effect
            && record.is_promoted()
            && !known(revision)
            && facts.weight(revision) != Weight::WHOLE
            && look.seen.weight(revision) != Weight::WHOLE
        {
            return Err((
                6,
                format!("{revision} is promoted before it has all traffic"),
            ));
        }
    }
    Ok(())
}
