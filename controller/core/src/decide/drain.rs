//! Which backends left the route and still have pods.
//!
//! A control plane may say that a route is in force seconds before its proxies follow. So a weight of 0 is proven as any
//! other, where proxies count their requests: a drain begins anew when requests still came well after it began, and it
//! does not end before there was a look at that.

use chrono::TimeDelta;

use crate::state::Left;
use crate::waiting::{Drain, Keeps, Waiting};
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
        let left = left && world.weight(name).is_zero();
        if !left {
            turn.state.left.remove(name);
        }
        if !left || !in_force {
            turn.state.draining.remove(name);
            continue;
        }
        let since = turn.state.draining.get(name).copied().unwrap_or(turn.now);
        turn.state.left.entry(name.clone()).or_insert(Left {
            written_at: written_at.unwrap_or(since),
            accepted_at: since,
        });
        let asked_at = asked_late(turn, name).map(|asked| asked.to.min(turn.now));
        let later = written_at.max(asked_at);
        let since = later.map_or(since, |at| at.max(since));
        turn.state.draining.insert(name.clone(), since);
    }
    let exists = |name: &RevisionName| world.revisions.contains_key(name);
    turn.state.draining.retain(|name, _| exists(name));
    turn.state.left.retain(|name, _| exists(name));
    if turn.state.stable.is_none() {
        turn.state.target_left_at = None;
    } else {
        turn.state.target_left_at.get_or_insert(turn.now);
    }
}

/// When a revision was last asked, if that was well after it left the route.
fn asked_late(turn: &Turn<'_>, name: &RevisionName) -> Option<Span> {
    let left = turn.state.left.get(name)?;
    let asked = sight(turn, name)?.asked?;
    let late = asked.from >= left.written_at + turn.plan.settle;
    (late && asked.from < left.accepted_at + LATEST).then_some(asked)
}

/// Until when a look is waited for that can tell whether anybody asked a revision since then; `None` once there was one, and
/// where there is none to be had.
fn unseen_until(turn: &Turn<'_>, name: &RevisionName, since: Time) -> Option<Time> {
    let leaving = turn.world.leaving.as_ref()?;
    let settled = since + turn.plan.settle;
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
    let Some(since) = turn.state.draining.get(name).copied() else {
        let problem = turn.world.route.as_ref().and_then(|r| r.problem.clone());
        turn.wait(Waiting::RouteAcceptance { problem });
        return false;
    };
    let (over_at, keeps) = next(turn, name, since);
    let until = over_at.max(turn.mesh_behind_until().unwrap_or(since));
    if turn.now < until {
        turn.wake(until);
        turn.wait(Waiting::Drain(Drain {
            revision: Some(name.clone()),
            until,
            keeps,
        }));
    }
    turn.now >= until
}

/// Until when a revision keeps its pods, as far as a person is told, and what for.
fn next(turn: &Turn<'_>, name: &RevisionName, since: Time) -> (Time, Keeps) {
    let (ends, over_at) = (ends(turn, since), over_at(turn, name, since));
    if turn.now < ends {
        // By then there was a look, as a rule.
        let asked = asked_late(turn, name).map(|asked| Keeps::Asked(asked.to));
        (ends, asked.unwrap_or(Keeps::Connections))
    } else if turn.now < over_at {
        (over_at, Keeps::Unseen)
    } else {
        (over_at, Keeps::Connections)
    }
}

/// When the drain of a revision that nobody asks since then is over, as far as can be told.
fn over_at(turn: &Turn<'_>, name: &RevisionName, since: Time) -> Time {
    let until = ends(turn, since);
    unseen_until(turn, name, since).map_or(until, |unseen| unseen.max(until))
}

/// Whether somebody may have found that the drain of a revision is over: we, or the process before us, which knew nothing
/// of what began it anew.
pub(super) fn may_be_over(turn: &Turn<'_>, name: &RevisionName) -> bool {
    let Some(left) = turn.state.left.get(name) else {
        return false;
    };
    let leaving = turn.world.leaving.as_ref();
    if leaving.is_some_and(|leaving| leaving.since > left.accepted_at) {
        return turn.now >= ends(turn, left.accepted_at);
    }
    let since = turn.state.draining.get(name);
    since.is_some_and(|since| turn.now >= over_at(turn, name, *since))
}

/// When a drain that began at `since` is over, at the earliest.
pub(super) fn ends(turn: &Turn<'_>, since: Time) -> Time {
    since + turn.plan.drain_delay
}
