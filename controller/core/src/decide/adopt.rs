//! The target's own pods: they stay until the first revision serves, and stay away from then on.

use chrono::TimeDelta;

use crate::decision::{Effect, Note};
use crate::state::Restored;
use crate::waiting::{Drain, Keeps, SizeKept, Waiting};
use crate::{Scaled, Target, Time, Writer};

use super::admit;
use super::drain;
use super::turn::Turn;

/// How long the target is left to somebody who scales it up again after it was put back: two who write
/// in turn start and stop pods for nothing.
const TRUCE: TimeDelta = TimeDelta::hours(1);

/// As long as somebody may be served by the target's own pods it keeps its size, even if Git drops
/// `spec.replicas` before it was told to: the API server would make it 1. Once nobody is, that does no harm.
pub(super) fn keep(turn: &mut Turn<'_>) {
    let Some(target) = &turn.world.target else {
        return;
    };
    let adopting = turn.state.rollout.is_some() || turn.state.stable.is_some();
    if !adopting || target.replicas == 0 {
        return;
    }
    if turn.state.stable.is_some() {
        // Where Git says it, until it says it on the Canary. Not where somebody changed it since: the pods that are
        // left idle may be scaled down by an autoscaler or a hand, and what serves is not to follow. Nor where an
        // autoscaler scales the Canary already: it made what serves as large as it has to be.
        let git = target.kept_by().map(|(_, size)| size);
        if git == Some(target.replicas) && turn.world.autoscaler.is_none() {
            turn.state.adopted_replicas = git;
        }
    } else if !turn.state.released {
        // It still serves, and may have been scaled up since.
        let size = turn.state.adopted_replicas.unwrap_or_default();
        turn.state.adopted_replicas = Some(size.max(target.replicas));
    }
    let left_at = turn.state.target_left_at;
    let left = left_at.is_some_and(|left_at| turn.now >= drain::ends(turn, left_at));
    if left && target.owned && target.kept_by().is_some() {
        // Flux tries its apply dry, and writes nothing where the object would stay as it is. As long as the size were
        // ours too it would do so when Git drops it, and go on being named as who says it.
        turn.effects.push(Effect::LeaveTarget);
    } else if !left && !target.owned && !turn.state.released {
        turn.effects.push(Effect::KeepTarget(target.replicas));
    }
}

/// Scales the target's own pods away once nobody reaches them.
pub(super) fn release(turn: &mut Turn<'_>) {
    let Some(target) = &turn.world.target else {
        return;
    };
    if target.replicas == 0 {
        released(turn, target);
        return;
    }
    if target.kept_by().is_some() {
        // Git would put it back. When Git drops it the API server makes it 1, so that is not told before.
        if let Some(left_at) = turn.state.target_left_at {
            is_draining(turn, left_at);
        }
        return;
    }
    let is_safe = turn.world.blocked.is_none() && serves_stable(turn);
    let Some(left_at) = turn.state.target_left_at.filter(|_| is_safe) else {
        return;
    };
    if is_contested(turn, target) || is_draining(turn, left_at) {
        return;
    }
    if turn.state.released {
        // The next time comes no sooner than a drain later.
        turn.state.target_left_at = Some(turn.now);
        restore(turn, target);
    } else {
        let writer = target.writer.as_ref().filter(|writer| writer.manifest);
        turn.state.held_by = writer.map(|writer| writer.manager.clone());
    }
    turn.effects.push(Effect::ScaleTarget(0));
}

/// Whether connections to the target's own pods may be open still; says so.
fn is_draining(turn: &mut Turn<'_>, left_at: Time) -> bool {
    let until = drain::ends(turn, left_at);
    let draining = turn.now < until;
    if draining {
        turn.wait(Waiting::Drain(Drain {
            revision: None,
            until,
            keeps: Keeps::Connections,
        }));
        turn.wake(until);
    }
    draining
}

/// Says what a person should do so that nothing scales the target any more.
pub(super) fn advise(turn: &mut Turn<'_>) {
    let Some(target) = &turn.world.target else {
        return;
    };
    if turn.state.rollout.is_some() || turn.state.stable.is_none() {
        return;
    }
    if let Some((writer, _)) = target.kept_by() {
        let kept = size_kept(turn, target, writer);
        turn.wait(Waiting::SizeKept(kept));
        return;
    }
    if target.replicas > 0 || !turn.state.released {
        return;
    }
    let unsaid = turn.world.replicas.is_none().then(|| turn.desired());
    if let Some(autoscaler) = turn.autoscaler_of(Scaled::Target) {
        turn.wait(Waiting::Autoscaler {
            name: autoscaler.name.clone(),
            held_by: unsaid.and(turn.state.held_by.clone()),
        });
    }
    // Whether Git still has it cannot be seen: whoever has it lost the field to our write. That the
    // Canary says its size is what shows that it was moved.
    if let Some((manager, replicas)) = turn.state.held_by.clone().zip(unsaid) {
        turn.wait(Waiting::ReplicasInGit { manager, replicas });
    }
}

fn size_kept(turn: &Turn<'_>, target: &Target, writer: &Writer) -> SizeKept {
    let moves = turn.autoscaler_of(Scaled::Target);
    // What an autoscaler changes is not to be in Git.
    let unsaid = turn.world.replicas.is_none() && turn.world.autoscaler.is_none();
    SizeKept {
        deployment: target.name.clone(),
        manager: writer.manager.clone(),
        pods: target.replicas,
        replicas: unsaid.then(|| turn.desired()),
        moves: moves.map(|autoscaler| autoscaler.name.clone()),
    }
}

/// Notes that the target is at 0.
fn released(turn: &mut Turn<'_>, target: &Target) {
    if turn.state.stable.is_none() {
        return;
    }
    if !turn.state.released && target.scalable {
        turn.notes.push(Note::Released {
            replicas: turn.desired(),
            held_by: turn.state.held_by.clone(),
        });
    }
    if !turn.state.released {
        // Should somebody scale it up, that is no sooner than a drain from here.
        turn.state.target_left_at = Some(turn.now);
    }
    turn.state.released = true;
    if let Some(restored) = &mut turn.state.restored {
        restored.seen = true;
    }
}

/// Whether somebody scales the target up again after it was put back; says so.
fn is_contested(turn: &mut Turn<'_>, target: &Target) -> bool {
    let Some((restored, writer)) = turn.state.restored.zip(target.writer.as_ref()) else {
        return false;
    };
    let until = restored.at + TRUCE;
    let contested = restored.seen && restored.replicas == target.replicas && turn.now < until;
    if contested {
        turn.wait(Waiting::SizeContested {
            writer: writer.manager.clone(),
            replicas: target.replicas,
            until,
        });
        turn.wake(until);
    }
    contested
}

fn restore(turn: &mut Turn<'_>, target: &Target) {
    turn.state.restored = Some(Restored {
        replicas: target.replicas,
        at: turn.now,
        seen: false,
    });
    match &target.writer {
        Some(writer) => turn.notes.push(Note::TargetRestored {
            writer: writer.manager.clone(),
            replicas: target.replicas,
        }),
        // Git dropped the field, and the API server put its default there.
        None => turn.state.held_by = None,
    }
}

/// Whether the route is in force and a stable revision of full size serves by it.
fn serves_stable(turn: &Turn<'_>) -> bool {
    let (Some(route), Some(stable)) = (&turn.world.route, &turn.state.stable) else {
        return false;
    };
    let revision = turn.revision(stable);
    let workload = revision.and_then(|revision| revision.workload.as_ref());
    route.accepted
        && route.intact
        && admit::is_covered(turn)
        && !route.weight(stable).is_zero()
        && turn.world.parent.bound
        && workload.is_some_and(|w| w.ready >= turn.desired())
}
