//! Going on without a person's word: invariant 11.

use sluice_core::{Action, Approval, Decision, Named, Plan, State, Time, World, decide};

use super::caught_in;
use crate::history::{Approvals, Setting};

const SETTING: Setting = Setting {
    replicas: Some(4),
    inconclusive: Action::Hold,
    holdback: None,
    approvals: Approvals(&[0, 25]),
};

/// Decides as if these were the approvals.
fn approved(
    (plan, state, world, now): (&Plan, &State, &World, Time),
    approvals: impl IntoIterator<Item = Approval>,
) -> Decision {
    let world = World {
        approved: approvals.into_iter().collect(),
        ..world.clone()
    };
    decide(plan, state, &world, now)
}

#[test]
fn asking_nobody_breaks_11() {
    caught_in(SETTING, 11, |plan, state, world, now| {
        let candidates = world.revisions.keys().map(|name| Approval {
            named: Named::Revision(name.clone()),
            at: None,
        });
        approved((plan, state, world, now), candidates)
    });
}

#[test]
fn taking_an_approval_at_any_weight_breaks_11() {
    caught_in(SETTING, 11, |plan, state, world, now| {
        let anywhere = world.approved.iter().map(|approval| Approval {
            at: None,
            ..approval.clone()
        });
        approved((plan, state, world, now), anywhere)
    });
}

#[test]
fn taking_an_approval_for_whoever_comes_breaks_11() {
    caught_in(SETTING, 11, |plan, state, world, now| {
        let candidate = state.rollout.as_ref().map(|rollout| &rollout.candidate);
        let any = world.approved.iter().map(|approval| Approval {
            named: candidate.map_or(approval.named.clone(), |name| Named::Revision(name.clone())),
            at: approval.at,
        });
        approved((plan, state, world, now), any)
    });
}
