//! Which backends left the route and still have pods.

use chrono::TimeDelta;

use crate::waiting::Waiting;
use crate::{Revision, RevisionName, Time};

use super::admit;
use super::turn::Turn;

/// Whoever asks a revision so long after it left the route is no proxy on its way to the new weights: those were seen to
/// be up to 100 s late. He calls it by its own name, or will not follow until a person sees to it.
const LATEST: TimeDelta = TimeDelta::minutes(10);

/// Notes since when every revision that serves nobody does so.
pub(super) fn track(turn: &mut Turn<'_>) {
    let world = turn.world;
    // Until the mesh follows the route, a backend that left it may still get requests.
    let in_force = is_in_force(turn);
    // It may have had traffic until the last write, whatever an older state says.
    let route = world.route.as_ref();
    let written_at = route.and_then(|route| route.written_before(turn.now));
    for (name, revision) in &world.revisions {
        let left = is_left(turn, name, revision) && !admit::is_held(turn, name, revision);
        if in_force && left && world.weight(name).is_zero() {
            let asked_at = asked_at(turn, name);
            let since = turn.state.draining.entry(name.clone());
            let since = since.or_insert(turn.now);
            *since = written_at.max(asked_at).map_or(*since, |at| at.max(*since));
        } else {
            turn.state.draining.remove(name);
        }
    }
    turn.state
        .draining
        .retain(|name, _| world.revisions.contains_key(name));
    if turn.state.stable.is_none() {
        turn.state.target_left_at = None;
    } else {
        turn.state.target_left_at.get_or_insert(turn.now);
    }
}

/// When a revision was last asked though it had left the route before: a proxy may be late, whatever its control plane
/// says. A weight of 0 is proven as any other.
fn asked_at(turn: &Turn<'_>, name: &RevisionName) -> Option<Time> {
    let written_at = turn.world.route.as_ref()?.written_before(turn.now)?;
    let span = turn.world.stragglers.get(name)?;
    let late = span.from >= written_at + turn.plan.settle;
    late.then(|| span.to.min(written_at + LATEST).min(turn.now))
}

/// Whether a revision is the stable one or the candidate.
pub(super) fn is_in_use(turn: &Turn<'_>, name: &RevisionName) -> bool {
    let candidate = turn
        .state
        .rollout
        .as_ref()
        .map(|rollout| &rollout.candidate);
    turn.state.stable.as_ref() == Some(name) || candidate == Some(name)
}

fn is_in_force(turn: &Turn<'_>) -> bool {
    match &turn.world.route {
        Some(route) => route.accepted,
        // Whoever else deleted it may have written it before; it is made again, if it can be.
        None => turn.state.stable.as_ref().is_none_or(|stable| {
            let revision = turn.revision(stable);
            let is_made = |r: &Revision| r.record.is_some() || r.workload.is_some();
            let lost = turn.full() == 0 || !revision.is_some_and(is_made);
            turn.world.deleting && (turn.world.parent.missing || lost)
        }),
    }
}

/// Whether a revision has pods that nothing needs any more.
fn is_left(turn: &Turn<'_>, name: &RevisionName, revision: &Revision) -> bool {
    let workload = revision.workload.as_ref();
    workload.is_some_and(|workload| workload.replicas > 0) && !is_in_use(turn, name)
}

/// Whether any revision has pods that nothing needs any more.
pub(super) fn any_left(turn: &Turn<'_>) -> bool {
    let mut revisions = turn.world.revisions.iter();
    revisions.any(|(name, revision)| is_left(turn, name, revision))
}

/// Whether a revision may lose its pods; says what keeps them.
pub(super) fn is_over(turn: &mut Turn<'_>, name: &RevisionName, revision: &Revision) -> bool {
    if !is_left(turn, name, revision) {
        return true;
    }
    if let Some(stable) = turn.state.stable.clone()
        && admit::is_held(turn, name, revision)
    {
        turn.wait(Waiting::Admission(stable));
        return false;
    }
    let Some(since) = turn.state.draining.get(name).copied() else {
        let problem = turn.world.route.as_ref().and_then(|r| r.problem.clone());
        turn.wait(Waiting::RouteAcceptance { problem });
        return false;
    };
    let until = ends(turn, since);
    let until = turn
        .mesh_behind_until()
        .map_or(until, |behind| behind.max(until));
    if turn.now < until {
        turn.wake(until);
        turn.wait(Waiting::Drain {
            revision: Some(name.clone()),
            until,
            asked_at: asked_at(turn, name),
        });
    }
    turn.now >= until
}

/// When a drain that began at `since` is over.
pub(super) fn ends(turn: &Turn<'_>, since: Time) -> Time {
    since + turn.plan.drain_delay
}
