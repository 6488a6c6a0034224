//! Growing, ending or serving without a judgement: invariants 2, 5 and 6.

use chrono::TimeDelta;
use sluice_core::{
    Action, Counts, Evidence, Plan, Sample, State, Tally, Time, Weight, World, decide,
};

use super::caught;

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
