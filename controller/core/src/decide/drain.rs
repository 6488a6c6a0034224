//! Which backends left the route and still have pods.
//!
//! A control plane may say that a route is in force seconds before its proxies follow. So a weight of 0 is proven as any
//! other, where proxies count their requests: a drain begins anew when requests still came well after it began, and it
//! does not end before there was a look at that.

use chrono::TimeDelta;

use crate::state::Drain;
use crate::waiting::Waiting;
use crate::{Revision, RevisionName, Sight, Span, Time};

use super::admit;
use super::turn::Turn;

/// Whoever asks a revision so long after it left the route is no proxy on its way to the new weights: those were seen to
/// be up to 100 s late. He calls it by its own name, or will not follow until a person sees to it.
const LATEST: TimeDelta = TimeDelta::minutes(3);

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
            let drain = turn.state.draining.get(name).copied();
            let mut drain = drain.unwrap_or_else(|| Drain::from(turn.now));
            let asked_at = asked_late(turn, name, drain).map(|asked| asked.to.min(turn.now));
            let later = written_at.max(asked_at);
            drain.since = later.map_or(drain.since, |at| at.max(drain.since));
            turn.state.draining.insert(name.clone(), drain);
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

/// When a revision was last asked, if that was well after it left the route. That may have been before the last write,
/// which concerns others then.
fn asked_late(turn: &Turn<'_>, name: &RevisionName, drain: Drain) -> Option<Span> {
    let route = turn.world.route.as_ref();
    let written_at = route.and_then(|route| route.written_before(turn.now));
    let left_at = written_at.map_or(drain.left_at, |at| at.min(drain.left_at));
    let asked = sight(turn, name)?.asked?;
    let late = asked.from >= left_at + turn.plan.settle;
    (late && asked.to < drain.left_at + LATEST).then_some(asked)
}

/// Until when a look is waited for that can tell whether a revision is still asked; `None` once there was one, and where
/// there is none to be had.
fn unseen_until(turn: &Turn<'_>, name: &RevisionName, drain: Drain) -> Option<Time> {
    let leaving = turn.world.leaving.as_ref()?;
    let settled = drain.since + turn.plan.settle;
    let seen = sight(turn, name).is_some_and(|sight| sight.read.from >= settled);
    (!seen).then(|| settled.max(leaving.since) + leaving.patience)
}

fn sight(turn: &Turn<'_>, name: &RevisionName) -> Option<Sight> {
    turn.world.leaving.as_ref()?.sights.get(name).copied()
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
    let Some(drain) = turn.state.draining.get(name).copied() else {
        let problem = turn.world.route.as_ref().and_then(|r| r.problem.clone());
        turn.wait(Waiting::RouteAcceptance { problem });
        return false;
    };
    let until = ends(turn, drain.since);
    let until = unseen_until(turn, name, drain).map_or(until, |unseen| unseen.max(until));
    let until = turn
        .mesh_behind_until()
        .map_or(until, |behind| behind.max(until));
    if turn.now < until {
        turn.wake(until);
        turn.wait(Waiting::Drain {
            revision: Some(name.clone()),
            until,
            asked_at: asked_late(turn, name, drain).map(|asked| asked.to),
        });
    }
    turn.now >= until
}

/// When a drain that began at `since` is over, at the earliest.
pub(super) fn ends(turn: &Turn<'_>, since: Time) -> Time {
    since + turn.plan.drain_delay
}
