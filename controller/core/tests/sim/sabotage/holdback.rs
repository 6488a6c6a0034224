//! A holdback that is taken for a step like the others: invariants 1, 5 and 10.

use sluice_core::{Action, Decision, Plan, State, Time, World, decide};

use super::caught_in;
use crate::history::{Approvals, Holdback, Setting};

const SETTING: Setting = Setting {
    replicas: Some(4),
    inconclusive: Action::Rollback,
    holdback: Some(Holdback {
        percent: 25,
        seconds: 300,
    }),
    approvals: Approvals(&[]),
};

fn as_a_step(plan: &Plan, state: &State, world: &World, now: Time) -> Decision {
    let (mut plan, mut state) = (plan.clone(), state.clone());
    let pinned = state.rollout.as_mut().map(|rollout| &mut rollout.plan);
    for plan in pinned.into_iter().chain([&mut plan]) {
        plan.steps.iter_mut().for_each(|step| step.holdback = false);
    }
    decide(&plan, &state, world, now)
}

#[test]
fn a_candidate_below_full_size_in_it_breaks_1() {
    caught_in(SETTING, 1, as_a_step);
}

#[test]
fn throwing_it_back_for_want_of_evidence_breaks_5() {
    caught_in(SETTING, 5, as_a_step);
}

#[test]
fn throwing_it_back_for_a_newer_template_breaks_10() {
    caught_in(SETTING, 10, as_a_step);
}
