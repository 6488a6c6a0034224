//! How many pods the stable revision and the candidate have.

use crate::decision::Effect;
use crate::{RevisionName, Scaled, Weight};

use super::drain;
use super::turn::Turn;

pub(super) fn run(turn: &mut Turn<'_>) {
    seed(turn);
    // While another backend may still be needed, the stable revision keeps what it has; and while the mesh
    // may not notice that a pod goes.
    let behind = turn.mesh_behind_until();
    if let Some(until) = behind {
        turn.wake(until);
    }
    let moving = turn.state.rollout.is_some() || drain::any_left(turn) || behind.is_some();
    if let Some(stable) = turn.state.stable.clone() {
        let wanted = if moving { turn.full() } else { turn.desired() };
        ensure(turn, &stable, wanted);
    }
    if let Some(rollout) = &turn.state.rollout {
        let candidate = rollout.candidate.clone();
        let aim = turn.aim.max(rollout.weight).max(Weight::from_ppm(1));
        let current = turn.revision(&candidate).and_then(|r| r.workload.as_ref());
        let current = current.map_or(0, |workload| workload.replicas);
        // Scaled to 0, nothing new runs either.
        let wanted = if turn.full() == 0 {
            0
        } else {
            aim.pods(turn.full())
        };
        // It never shrinks either: a verdict in doubt must not take pods away.
        ensure(turn, &candidate, wanted.max(current));
    }
}

/// Says the size on the Canary, where its autoscaler would find none: the one that serves now.
fn seed(turn: &mut Turn<'_>) {
    if turn.world.replicas.is_none()
        && turn.state.stable.is_some()
        && turn.autoscaler_of(Scaled::Canary).is_some()
    {
        let size = turn.full().max(1);
        turn.effects.push(Effect::SizeCanary(size));
    }
}

/// Keeps what a revision has, and makes again what others took away.
pub(super) fn keep(turn: &mut Turn<'_>, name: &RevisionName) {
    let full = turn.full();
    ensure(turn, name, full);
}

/// Asks for whatever a revision lacks. One part waits for the other only where it must: Deployment and
/// Service are made from the snapshot.
fn ensure(turn: &mut Turn<'_>, name: &RevisionName, replicas: u32) {
    let revision = turn.revision(name);
    if revision.is_none_or(|revision| revision.record.is_none()) {
        // Only the target's present template can be stored.
        if turn
            .world
            .target
            .as_ref()
            .is_some_and(|target| target.revision == *name)
        {
            turn.effects.push(Effect::Snapshot(name.clone()));
            return;
        }
        // Somebody deleted it. What is there can still be sized.
        if revision.is_none_or(|revision| revision.workload.is_none()) {
            return;
        }
    }
    let workload = revision.and_then(|r| r.workload.as_ref());
    // A namesake of before must be gone first.
    if workload.is_none_or(|workload| workload.replicas != replicas && !workload.going) {
        turn.effects.push(Effect::Run {
            revision: name.clone(),
            replicas,
        });
    }
    // Behind the pods: a Service without any counts as one that is about to be removed, and whoever dies
    // right behind each write would make and remove it for ever.
    let service = revision.and_then(|revision| revision.service.as_ref());
    if service.is_none_or(|service| service.outdated) {
        turn.effects.push(Effect::Expose(name.clone()));
    }
}
