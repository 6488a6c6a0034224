//! Where a Canary is, in one word.

use crate::state::{Phase, Stage};
use crate::waiting::{Holdback, Waiting};
use crate::{State, World};

pub(super) fn of(state: &State, world: &World, waiting: Option<&Waiting>) -> Phase {
    if world.deleting {
        return Phase::Finalising;
    }
    match (&state.rollout, &state.stable) {
        (Some(_), None) => Phase::Initializing,
        (Some(rollout), Some(_)) => match (rollout.stage, waiting) {
            (Stage::Prepare, _) => Phase::Waiting,
            (
                Stage::Step(_),
                Some(
                    Waiting::Evidence { .. }
                    | Waiting::Holdback(Holdback { why: Some(_), .. })
                    | Waiting::Approval(_)
                    | Waiting::Around { .. }
                    | Waiting::Share { past: true, .. }
                    | Waiting::StableNotReady { .. },
                ),
            ) => Phase::Holding,
            (Stage::Step(_), _) => Phase::Progressing,
            (Stage::Promote, _) => Phase::Promoting,
        },
        (None, _) if matches!(waiting, Some(Waiting::Rejected { .. })) => Phase::Failed,
        (None, stable) => at_rest(state, world, stable.is_some(), waiting),
    }
}

fn at_rest(state: &State, world: &World, has_stable: bool, waiting: Option<&Waiting>) -> Phase {
    let Some(target) = &world.target else {
        return if has_stable {
            Phase::Succeeded
        } else {
            Phase::Waiting
        };
    };
    if state.stable.as_ref() != Some(&target.revision) {
        return if has_stable {
            Phase::Waiting
        } else {
            Phase::Initializing
        };
    }
    let mut others = world
        .revisions
        .iter()
        .filter(|(name, _)| **name != target.revision);
    let left = others.any(|(_, other)| other.workload.as_ref().is_some_and(|w| w.replicas > 0));
    // Who contests the target's size starts pods that serve nobody.
    let contested = matches!(waiting, Some(Waiting::SizeContested { .. }));
    // Nor does anything go on where Git keeps pods that serve nobody any more.
    let drains = matches!(waiting, Some(Waiting::Drain(drain)) if drain.revision.is_none());
    let kept = target.kept_by().is_some() && !drains;
    if !left && (target.replicas == 0 || contested || kept) {
        Phase::Succeeded
    } else {
        Phase::Finalising
    }
}
