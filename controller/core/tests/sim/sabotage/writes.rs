//! Writes that are too many, too few or not ours to do: invariants 4 and 7.

use sluice_core::{Action, Effect, Note, Scaled, Weight, World, decide};

use super::caught;
use crate::controller::Decide;
use crate::event::Event;
use crate::history::{Approvals, History, Setting};

const SETTING: Setting = Setting {
    replicas: Some(4),
    inconclusive: Action::Hold,
    holdback: None,
    approvals: Approvals(&[]),
};

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

/// Whether a template is promoted by a controller that dies right behind each write.
fn promotes_write_by_write(decide: Decide) -> bool {
    let mut history = History::new(SETTING, decide, None);
    let mut events = vec![Event::KillBehindWrites(true)];
    events.extend([Event::Wait(5); 60]);
    events.push(Event::Push(1));
    events.extend([Event::Wait(5); 120]);
    for event in events {
        history.happen(event).unwrap();
    }
    history.controller.memory.stable == Some("v1".into())
}

#[test]
fn making_a_service_before_its_pods_never_ends_write_by_write() {
    assert!(promotes_write_by_write(decide));
    let broken = promotes_write_by_write(|plan, state, world, now| {
        let mut decision = decide(plan, state, world, now);
        let is_service = |effect: &Effect| matches!(effect, Effect::Expose(_));
        // A stable sort: the rest stays in its order.
        decision.effects.sort_by_key(|effect| !is_service(effect));
        decision
    });
    assert!(!broken);
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
fn never_leaving_the_size_to_git_breaks_4() {
    let mut events = vec![Event::KeepReplicas(4), Event::Wait(5), Event::Wait(5)];
    events.push(Event::DropReplicas { dry_first: true });
    events.extend([Event::Wait(5); 60]);
    let breach = |decide: Decide| {
        let mut history = History::new(SETTING, decide, Some(4));
        history.run(&events).is_err()
    };
    assert!(!breach(decide));
    assert!(breach(|plan, state, world, now| {
        let mut decision = decide(plan, state, world, now);
        let leaves = |effect: &Effect| matches!(effect, Effect::LeaveTarget);
        decision.effects.retain(|effect| !leaves(effect));
        decision
    }));
}

#[test]
fn scaling_away_what_git_keeps_breaks_7() {
    let mut events = vec![Event::KeepReplicas(4)];
    events.extend([Event::Wait(5); 60]);
    let breach = |decide: Decide| {
        let mut history = History::new(SETTING, decide, Some(7));
        history.run(&events).is_err()
    };
    assert!(!breach(decide));
    // Nobody sees any more that Git would put it back.
    assert!(breach(|plan, state, world, now| {
        let mut blind = world.clone();
        let target = blind.target.as_mut();
        if let Some(writer) = target.and_then(|target| target.writer.as_mut()) {
            writer.kept = None;
        }
        decide(plan, state, &blind, now)
    }));
}

/// The autoscaler is at the Canary already, while Git keeps three pods of the target; then the Canary goes.
fn between_the_two_asks() -> Vec<Event> {
    let mut events = vec![Event::KeepReplicas(3)];
    events.extend([Event::Wait(5); 30]);
    events.extend([Event::Autoscale(Some(Scaled::Canary)), Event::Scale(20)]);
    events.extend([Event::Wait(5); 10]);
    events.push(Event::Delete);
    events.extend([Event::Wait(5); 60]);
    events
}

#[test]
fn leaving_an_autoscaler_untold_breaks_7() {
    let breach = |decide: Decide| {
        let mut history = History::new(SETTING, decide, Some(7));
        history.run(&between_the_two_asks()).is_err()
    };
    assert!(!breach(decide));
    assert!(breach(|plan, state, world, now| {
        let mut decision = decide(plan, state, world, now);
        let left = |note: &Note| matches!(note, Note::AutoscalerLeft { .. });
        decision.notes.retain(|note| !left(note));
        decision
    }));
}
