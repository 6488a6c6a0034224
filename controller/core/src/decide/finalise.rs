//! Deletion of the Canary: the service goes on as Git describes it.

use crate::decision::{Effect, Routing};
use crate::waiting::Waiting;
use crate::{State, Target, Weight};

use super::turn::Turn;
use super::{admit, drain, retire};

pub(super) fn run(turn: &mut Turn<'_>) {
    if !turn.world.claimed {
        return;
    }
    turn.state.rollout = None;
    turn.state.contest = None;
    match &turn.world.target {
        // The app itself was removed: nothing is left to serve.
        None => {
            if turn.world.route.is_some() {
                turn.effects.push(Effect::Unroute);
            }
            turn.state = State::default();
            remove_all(turn, false);
        }
        Some(target) => hand_over(turn, target),
    }
}

fn hand_over(turn: &mut Turn<'_>, target: &Target) {
    let Some(stable) = turn.state.stable.clone() else {
        if turn.world.route.is_some() {
            turn.effects.push(Effect::Unroute);
        }
        drain::track(turn);
        remove_all(turn, true);
        return;
    };
    let alone = turn.world.weight(&stable) == Weight::WHOLE;
    if turn.world.route.is_some() && !alone {
        let routing = Routing {
            weights: [(stable.clone(), Weight::WHOLE)].into(),
            stable: Some(stable.clone()),
            candidate: None,
            step: None,
            at: turn.now,
        };
        turn.effects.push(Effect::Route(routing));
    }
    drain::track(turn);
    admit::run(turn);
    // The parent's selector matches every revision's pods: without the route they would serve too.
    let others_gone = remove_others(turn, &stable);
    if target.revision != stable || !target.scalable {
        // What serves stays: Git's template is another one, or has no pods to hand over to.
        if others_gone {
            turn.effects.push(Effect::Release);
        }
        return;
    }
    let wanted = turn.desired().max(1);
    if target.replicas < wanted {
        turn.effects.push(Effect::ScaleTarget(wanted));
    }
    if target.ready < wanted || !target.settled {
        turn.wait(Waiting::HandOver {
            ready: target.ready,
            wanted,
        });
    } else if others_gone {
        turn.effects.push(Effect::Unroute);
        turn.state.stable = None;
        drain::track(turn);
    }
}

/// Removes every revision but the one that goes on serving; says whether they are gone.
fn remove_others(turn: &mut Turn<'_>, stable: &crate::RevisionName) -> bool {
    let others = turn
        .world
        .revisions
        .iter()
        .filter(|(name, _)| *name != stable);
    let mut gone = true;
    for (name, revision) in others {
        gone = false;
        remove_drained(turn, name, revision);
    }
    gone
}

fn remove_all(turn: &mut Turn<'_>, gently: bool) {
    for (name, revision) in &turn.world.revisions {
        if gently {
            remove_drained(turn, name, revision);
        } else {
            retire::remove(turn, name, revision);
        }
    }
    if turn.world.revisions.is_empty() && turn.world.route.is_none() {
        turn.effects.push(Effect::Release);
    } else {
        turn.wait(Waiting::Removal);
    }
}

fn remove_drained(turn: &mut Turn<'_>, name: &crate::RevisionName, revision: &crate::Revision) {
    if turn.world.weight(name).is_zero() && drain::is_over(turn, name, revision) {
        retire::remove(turn, name, revision);
    }
}
