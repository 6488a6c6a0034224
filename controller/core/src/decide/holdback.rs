//! The holdback: what is different in it.
//!
//! The candidate passed every step and has all traffic but a small share. It is judged as in any step, but
//! missing evidence only holds it, and a newer template ends the holdback instead of the candidate.

use crate::evidence::Why;
use crate::state::{Rollout, Stage};
use crate::waiting::{Holdback, Waiting};
use crate::{RevisionName, Step, Target, Time, Weight};

use super::retire;
use super::turn::Turn;

/// Whether a template takes the traffic away from a candidate in its holdback: one that Git goes back to, and
/// that needs no gates. Any other comes after it: who passed every step is not thrown back.
pub(super) fn yields_to(turn: &Turn<'_>, target: &Target) -> bool {
    turn.state.stable.as_ref() == Some(&target.revision)
        || retire::within_window(turn, &target.revision)
}

/// What Git asks for by now, instead of the candidate.
fn newer(turn: &Turn<'_>, rollout: &Rollout) -> Option<RevisionName> {
    let target = turn.world.target.as_ref();
    let newer = target.filter(|target| target.revision != rollout.candidate);
    newer.map(|target| target.revision.clone())
}

/// When a holdback that began with its data at `since` is over: at once where something newer waits for it.
pub(super) fn ends(turn: &Turn<'_>, rollout: &Rollout, step: &Step, since: Time) -> Time {
    if newer(turn, rollout).is_some() {
        since
    } else {
        since + step.bake()
    }
}

/// Says that it goes on: until then, or from then on for want of a clear verdict. That is no reason to take the
/// traffic from who passed every step, however long it lasts.
pub(super) fn goes_on(turn: &mut Turn<'_>, rollout: &Rollout, until: Time, why: Option<Why>) {
    let Some(stable) = turn.state.stable.clone() else {
        return;
    };
    let newer = newer(turn, rollout);
    // A template that cannot go on its way is a matter for a person, a night without requests is not.
    let overdue_at = until + rollout.plan.inconclusive_after;
    let waits = why.is_some() && newer.is_some();
    if waits && turn.now < overdue_at {
        turn.wake(overdue_at);
    }
    turn.wait(Waiting::Holdback(Holdback {
        stable,
        share: rollout.weight.rest(),
        until,
        why,
        newer,
        overdue: waits && turn.now >= overdue_at,
    }));
}

/// The weight that a candidate is sized for, so that it may have `weight`. In the holdback that is all: what
/// is judged there is what is to serve.
pub(super) fn size(rollout: &Rollout, (stage, weight): (Stage, Weight)) -> Weight {
    let step = match stage {
        Stage::Step(step) => rollout.plan.steps.get(step),
        Stage::Prepare | Stage::Promote => None,
    };
    if step.is_some_and(|step| step.holdback) {
        Weight::WHOLE
    } else {
        weight
    }
}
