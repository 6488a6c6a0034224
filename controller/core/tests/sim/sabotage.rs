//! Broken decisions. Each is the real `decide` with one thing wrong; each must be caught, by the
//! invariant that it breaks. So it is shown that the checks can fail.

use chrono::TimeDelta;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use sluice_core::{
    Action, Counts, Decision, Effect, Evidence, Part, Plan, Sample, Stage, State, Tally, Time,
    Weight, World, decide,
};

use crate::controller::Decide;
use crate::event::Event;
use crate::history::{History, Setting};
use crate::properties::events;

/// Histories within which a sabotage must be caught.
const HISTORIES: usize = 1_000;

fn caught(invariant: u8, sabotaged: Decide) {
    let setting = Setting {
        replicas: Some(4),
        inconclusive: Action::Hold,
    };
    let mut runner = TestRunner::deterministic();
    let strategy = events(Event::decode);
    for _ in 0..HISTORIES {
        let events = strategy.new_tree(&mut runner).unwrap().current();
        let mut history = History::new(setting, sabotaged, Some(invariant));
        if history.run(&events).is_err() {
            return;
        }
    }
    panic!("not caught by invariant {invariant} within {HISTORIES} histories");
}

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

/// Evidence that is perfect for as long as the candidate has traffic, and split as the route says.
fn perfect(world: &World, state: &State, now: Time) -> Evidence {
    let Some(rollout) = &state.rollout else {
        return world.evidence.clone();
    };
    let Some(since) = rollout.proven_at else {
        return world.evidence.clone();
    };
    let counts = |weight: Weight, requests: u64| {
        let n = requests * u64::from(weight.ppm()) / u64::from(Weight::WHOLE.ppm());
        Counts {
            requests: n,
            unanswered: 0,
            slos: vec![Tally { good: n, total: n }],
        }
    };
    let sample = |at: Time, requests: u64| Sample {
        at,
        stable: counts(rollout.weight.rest(), requests),
        candidate: counts(rollout.weight, requests),
    };
    Evidence {
        candidate: Some(rollout.candidate.clone()),
        samples: vec![sample(since, 0), sample(since, 0), sample(now, 100_000)],
        lag: world.evidence.lag,
        stale_after: world.evidence.stale_after,
        ..Evidence::default()
    }
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
fn passing_whatever_was_measured_breaks_2() {
    caught(2, |plan, state, world, now| {
        let mut world = world.clone();
        world.evidence = perfect(&world, state, now);
        decide(plan, state, &world, now)
    });
}

#[test]
fn skipping_the_bake_breaks_2() {
    caught(2, |plan, state, world, now| {
        let mut state = state.clone();
        if let Some(rollout) = &mut state.rollout {
            rollout.plan.steps.iter_mut().for_each(|step| {
                step.requires = vec![sluice_core::Requirement::Gates];
            });
        }
        decide(plan, &state, world, now)
    });
}

#[test]
fn growing_beside_another_route_breaks_2() {
    caught(2, |plan, state, world, now| {
        let world = World {
            blocked: None,
            ..world.clone()
        };
        decide(plan, state, &world, now)
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
fn writing_the_same_route_again_breaks_4() {
    caught(4, |plan, state, world, now| {
        let mut decision = decide(plan, state, world, now);
        if decision.effects.is_empty()
            && !world.suspended
            && let Some(stable) = decision
                .state
                .stable
                .as_ref()
                .filter(|_| state.rollout.is_none())
        {
            decision.effects.push(Effect::Route(sluice_core::Routing {
                weights: [(stable.clone(), Weight::WHOLE)].into(),
                stable: Some(stable.clone()),
                candidate: None,
                step: None,
                at: now,
            }));
        }
        decision
    });
}

#[test]
fn counting_pods_up_breaks_4() {
    caught(4, |plan, state, world, now| {
        let mut decision = decide(plan, state, world, now);
        for effect in &mut decision.effects {
            if let Effect::Run { replicas, .. } = effect {
                *replicas += u32::from(*replicas > 0);
            }
        }
        decision
    });
}

#[test]
fn not_writing_verdicts_down_breaks_4() {
    caught(4, |plan, state, world, now| {
        let mut decision = decide(plan, state, world, now);
        let is_verdict = |effect: &Effect| matches!(effect, Effect::Remember { record, .. } if record.is_rejected());
        decision.effects.retain(|effect| !is_verdict(effect));
        decision
    });
}

#[test]
fn taking_silence_for_good_breaks_5() {
    caught(5, |plan, state, world, now| {
        let mut world = world.clone();
        let last = world.evidence.samples.last();
        if last.is_none_or(|last| last.candidate.requests == 0) || world.evidence.is_stale(now) {
            world.evidence = perfect(&world, state, now);
        }
        decide(plan, state, &world, now)
    });
}

#[test]
fn asking_for_no_requests_breaks_5() {
    caught(5, |plan, state, world, now| {
        let mut state = state.clone();
        if let Some(rollout) = &mut state.rollout {
            rollout.plan.min_requests = 1;
        }
        decide(plan, &state, world, now)
    });
}

#[test]
fn failing_on_silence_breaks_5() {
    caught(5, |plan, state, world, now| {
        let mut state = state.clone();
        if let Some(rollout) = &mut state.rollout {
            rollout.plan.inconclusive_action = Action::Rollback;
            rollout.plan.inconclusive_after = TimeDelta::zero();
        }
        decide(plan, &state, world, now)
    });
}

#[test]
fn blaming_a_revision_for_its_surroundings_breaks_5() {
    caught(5, |plan, state, world, now| {
        let mut decision = decide(plan, state, world, now);
        if world.blocked.is_some()
            && let (Some(old), Some(new)) = (&state.rollout, &mut decision.state.rollout)
        {
            new.progressed_at = old.progressed_at;
        }
        decision
    });
}

#[test]
fn telling_a_verdict_only_with_its_write_breaks_4() {
    caught(4, |plan, state, world, now| {
        let mut decision = decide(plan, state, world, now);
        let is_verdict = |effect: &Effect| matches!(effect, Effect::Remember { .. });
        if !decision.effects.iter().any(is_verdict) {
            decision.notes.clear();
        }
        decision
    });
}

#[test]
fn forgetting_a_rejection_breaks_6() {
    caught(6, |plan, state, world, now| {
        let mut world = world.clone();
        for revision in world.revisions.values_mut() {
            if let Some(record) = revision
                .record
                .as_mut()
                .filter(|record| record.is_rejected())
            {
                record.outcome = None;
            }
        }
        decide(plan, state, &world, now)
    });
}

#[test]
fn leaping_over_the_steps_breaks_6() {
    caught(6, |plan, state, world, now| {
        let plan = Plan {
            steps: Vec::new(),
            ..plan.clone()
        };
        decide(&plan, state, world, now)
    });
}

#[test]
fn writing_while_suspended_breaks_7() {
    caught(7, |plan, state, world, now| {
        let world = World {
            suspended: false,
            ..world.clone()
        };
        decide(plan, state, &world, now)
    });
}

#[test]
fn scaling_the_target_early_breaks_7() {
    caught(7, |plan, state, world, now| {
        let mut decision = decide(plan, state, world, now);
        if decision.state.stable.is_none() && decision.state.rollout.is_some() && !world.deleting {
            decision.effects.push(Effect::ScaleTarget(0));
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
