//! Deletion of the Canary: the service goes on as Git describes it.

use chrono::TimeDelta;

use crate::decision::{Effect, Note, Routing};
use crate::waiting::Waiting;
use crate::{RevisionName, Scaled, State, Target, Time, Weight};

use super::turn::Turn;
use super::{admit, drain, rebuild, retire, size};

/// Who removes an app deletes its objects one after the other. What goes within this time of the Canary
/// goes with it: what was left serving before would stay for ever.
const PRUNE: TimeDelta = TimeDelta::seconds(10);

pub(super) fn run(turn: &mut Turn<'_>) {
    if !turn.world.claimed {
        return;
    }
    // Where the target has no pods, what has all traffic serves, whether anybody knows how it was judged or
    // not.
    if let Some(rollout) = turn.state.rollout.take()
        && turn.state.stable.is_none()
        && turn
            .world
            .target
            .as_ref()
            .is_some_and(|target| target.replicas == 0)
        && turn.world.weight(&rollout.candidate) == Weight::WHOLE
    {
        turn.state.stable = Some(rollout.candidate);
        rebuild::adopt_size(turn);
    }
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
        Some(target) => {
            let serves = serves_then(turn, target);
            hand_over(turn, target);
            if let Some(serves) = serves {
                tell_autoscaler(turn, &serves);
            }
        }
    }
}

/// What serves does so by this Deployment once the Canary is gone: its size is the autoscaler's to change then.
fn serves_then(turn: &Turn<'_>, target: &Target) -> Option<String> {
    match &turn.state.stable {
        Some(stable) if stays(target, stable) => Some(stable.to_string()),
        _ => target.scalable.then(|| target.name.clone()),
    }
}

/// An autoscaler whose Canary goes scales nothing any more, and nobody would notice before the next peak.
fn tell_autoscaler(turn: &mut Turn<'_>, deployment: &str) {
    let Some(autoscaler) = turn.autoscaler_of(Scaled::Canary) else {
        return;
    };
    if turn.effects.contains(&Effect::Release) {
        turn.notes.push(Note::AutoscalerLeft {
            autoscaler: autoscaler.name.clone(),
            deployment: deployment.to_owned(),
        });
    } else {
        turn.advise(&autoscaler.name, deployment);
    }
}

/// What serves stays where Git's template is another one, or has no pods to hand over to.
fn stays(target: &Target, stable: &RevisionName) -> bool {
    target.revision != *stable || !target.scalable
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
    let stays = stays(target, &stable);
    // What Git says of it holds from now on; not where an autoscaler made what serves larger since, be it by way of
    // the Canary: the load is there still.
    let kept = target.kept_by();
    let in_force = kept.filter(|_| turn.world.autoscaler.is_none());
    let wanted = in_force.map_or_else(|| turn.full().max(1), |(_, size)| size);
    // Whoever applies less from Git takes these pods away again, and nothing would come to its end.
    let held_by = kept
        .filter(|(_, size)| *size < wanted)
        .map(|(writer, _)| writer.manager.clone());
    let takes_over = !stays && target.ready >= wanted && target.settled;
    let alone = turn.world.revisions.keys().all(|name| *name == stable);
    let handed_over = takes_over && alone;
    if !handed_over {
        size::keep(turn, &stable);
        route_to(turn, &stable);
    }
    drain::track(turn);
    let until = leaves_at(turn);
    if stays {
        turn.wait(Waiting::LeftServing {
            revision: stable.clone(),
            until,
        });
    }
    if !handed_over {
        admit::run(turn);
    }
    remove_others(turn, &stable);
    if stays {
        if turn.now < until {
            turn.wake(until);
        } else if alone {
            turn.notes.push(Note::LeftServing(stable));
            turn.effects.push(Effect::Release);
        }
        return;
    }
    if target.replicas < wanted {
        turn.effects.push(Effect::ScaleTarget(wanted));
    }
    if !takes_over {
        turn.wait(Waiting::HandOver {
            ready: target.ready,
            wanted,
            held_by,
        });
    } else if alone {
        turn.state.stable = None;
        drain::track(turn);
        // Gone already where a crash came before the status.
        if turn.world.route.is_some() {
            turn.effects.push(Effect::Unroute);
        } else {
            remove_all(turn, true);
        }
    }
}

/// Gives all traffic to what serves. A route that others took away is made again: the parent's selector
/// matches every revision's pods, so that without one they would all serve, whatever their verdict.
fn route_to(turn: &mut Turn<'_>, stable: &RevisionName) {
    let own = turn.revision(stable);
    // Somebody may have taken its Service; then the others keep their share until it is there again.
    let reachable = own.is_some_and(|revision| revision.service.is_some());
    let workload = own.and_then(|revision| revision.workload.as_ref());
    let runs = workload.is_some_and(|workload| workload.replicas > 0);
    let makes = turn.world.route.is_some() || (runs && !turn.world.parent.missing);
    if turn.world.weight(stable) != Weight::WHOLE && reachable && makes {
        let routing = Routing {
            weights: [(stable.clone(), Weight::WHOLE)].into(),
            stable: Some(stable.clone()),
            candidate: None,
            step: None,
            at: turn.now,
        };
        turn.effects.push(Effect::Route(routing));
    }
}

/// When a Canary may go at the earliest while a revision stays: by then it is clear that the app stays.
fn leaves_at(turn: &Turn<'_>) -> Time {
    let deleted_at = turn.world.deleted_at.unwrap_or(turn.now - PRUNE);
    deleted_at.min(turn.now) + PRUNE
}

/// Removes every revision but the one that goes on serving.
fn remove_others(turn: &mut Turn<'_>, stable: &RevisionName) {
    for (name, revision) in &turn.world.revisions {
        if name != stable {
            remove_drained(turn, name, revision);
        }
    }
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

fn remove_drained(turn: &mut Turn<'_>, name: &RevisionName, revision: &crate::Revision) {
    if turn.world.weight(name).is_zero() && drain::is_over(turn, name, revision) {
        retire::remove(turn, name, revision);
    }
}
