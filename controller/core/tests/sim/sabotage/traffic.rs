//! Traffic to what cannot take it, or must not: invariants 1, 3 and 9.

use chrono::TimeDelta;
use sluice_core::{Decision, Effect, Part, Plan, Sight, Stage, Weight, World, decide};

use super::caught;

/// The candidate's weight of a route, or of a decision's.
fn routed(decision: &mut Decision) -> impl Iterator<Item = &mut sluice_core::Routing> {
    decision
        .effects
        .iter_mut()
        .filter_map(|effect| match effect {
            Effect::Route(routing) => Some(routing),
            _ => None,
        })
}

#[test]
fn weights_that_do_not_sum_up_break_1() {
    caught(1, |plan, state, world, now| {
        let mut decision = decide(plan, state, world, now);
        for routing in routed(&mut decision) {
            if let Some(candidate) = &routing.candidate {
                routing
                    .weights
                    .insert(candidate.clone(), Weight::from_percent(10));
            }
        }
        decision
    });
}

#[test]
fn growing_before_pods_are_ready_breaks_1() {
    caught(1, |plan, state, world, now| {
        let mut world = world.clone();
        for revision in world.revisions.values_mut() {
            if let (Some(workload), Some(service)) = (&mut revision.workload, &mut revision.service)
            {
                workload.ready = workload.replicas;
                service.endpoints = workload.replicas;
            }
        }
        decide(plan, state, &world, now)
    });
}

#[test]
fn growing_before_the_mesh_follows_breaks_1() {
    caught(1, |plan, state, world, now| {
        let mut world = world.clone();
        world.parent.bound = true;
        for revision in world.revisions.values_mut() {
            if let Some(service) = &mut revision.service {
                service.bound = true;
            }
        }
        decide(plan, state, &world, now)
    });
}

#[test]
fn growing_while_the_stable_revision_is_down_breaks_1() {
    caught(1, |plan, state, world, now| {
        let mut world = world.clone();
        let stable = state.stable.as_ref();
        let revision = stable.and_then(|stable| world.revisions.get_mut(stable));
        if let Some(service) = revision.and_then(|revision| revision.service.as_mut()) {
            service.endpoints = service.endpoints.max(1);
        }
        decide(plan, state, &world, now)
    });
}

#[test]
fn scaling_the_stable_revision_to_nothing_breaks_1() {
    caught(1, |plan, state, world, now| {
        let mut decision = decide(plan, state, world, now);
        if let (Some(stable), Some(rollout)) = (&decision.state.stable, &decision.state.rollout)
            && rollout.stage == Stage::Promote
        {
            decision.effects.push(Effect::Run {
                revision: stable.clone(),
                replicas: 0,
            });
        }
        decision
    });
}

#[test]
fn growing_without_a_port_breaks_1() {
    caught(1, |plan, state, world, now| {
        let mut world = world.clone();
        for revision in world.revisions.values_mut() {
            if let Some(service) = &mut revision.service {
                service.outdated = false;
            }
        }
        decide(plan, state, &world, now)
    });
}

#[test]
fn removing_before_it_drained_breaks_3() {
    caught(3, |plan, state, world, now| {
        let plan = Plan {
            drain_delay: TimeDelta::zero(),
            ..plan.clone()
        };
        decide(&plan, state, world, now)
    });
}

#[test]
fn removing_what_is_still_asked_breaks_3() {
    caught(3, |plan, state, world, now| {
        let mut world = world.clone();
        for sight in sights(&mut world) {
            sight.asked = None;
        }
        decide(plan, state, &world, now)
    });
}

#[test]
fn taking_an_early_look_for_a_late_one_breaks_3() {
    caught(3, |plan, state, world, now| {
        let mut world = world.clone();
        for sight in sights(&mut world) {
            sight.read.from = now;
        }
        decide(plan, state, &world, now)
    });
}

#[test]
fn removing_before_anybody_looked_breaks_3() {
    caught(3, |plan, state, world, now| {
        let mut world = world.clone();
        if let Some(leaving) = &mut world.leaving {
            leaving.patience = TimeDelta::zero();
        }
        decide(plan, state, &world, now)
    });
}

fn sights(world: &mut World) -> impl Iterator<Item = &mut Sight> {
    let leaving = world.leaving.iter_mut();
    leaving.flat_map(|leaving| leaving.sights.values_mut())
}

#[test]
fn keeping_a_failed_candidate_breaks_3() {
    caught(3, |plan, state, world, now| {
        let mut world = world.clone();
        for sample in &mut world.evidence.samples {
            for tally in &mut sample.candidate.slos {
                tally.good = tally.total;
            }
        }
        decide(plan, state, &world, now)
    });
}

#[test]
fn removing_what_has_weight_breaks_3() {
    caught(3, |plan, state, world, now| {
        let mut decision = decide(plan, state, world, now);
        if let (Some(old), None) = (&state.rollout, &decision.state.rollout)
            && decision.state.stable.as_ref() != Some(&old.candidate)
        {
            decision.effects.insert(
                0,
                Effect::Remove {
                    revision: old.candidate.clone(),
                    part: Part::Workload,
                },
            );
        }
        decision
    });
}

#[test]
fn growing_while_somebody_calls_around_breaks_9() {
    caught(9, |plan, state, world, now| {
        let mut world = world.clone();
        world.evidence.callers.clear();
        decide(plan, state, &world, now)
    });
}

#[test]
fn admitting_a_candidate_breaks_9() {
    caught(9, |plan, state, world, now| {
        let mut decision = decide(plan, state, world, now);
        if let Some(rollout) = decision
            .state
            .rollout
            .as_ref()
            .filter(|_| world.parent.strict)
        {
            let candidate = rollout.candidate.clone();
            decision.effects.push(Effect::Admit(candidate));
        }
        decision
    });
}

#[test]
fn dismissing_before_others_are_admitted_breaks_9() {
    caught(9, |plan, state, world, now| {
        let mut world = world.clone();
        if let Some(stable) = &state.stable
            && let Some(revision) = world.revisions.get_mut(stable)
        {
            revision.admission.admitted += std::mem::take(&mut revision.admission.outside);
            revision.admission.ready = revision.admission.admitted;
        }
        decide(plan, state, &world, now)
    });
}
