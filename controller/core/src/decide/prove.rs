//! Whether the weight that was written is the weight that is served.

use crate::evidence::share;
use crate::state::Rollout;
use crate::waiting::Waiting;
use crate::{RevisionName, Route, Weight};

use super::turn::Turn;

/// Scrapes over which the split of the traffic is measured: long enough to count requests, short
/// enough to forget connections that still followed the old weights.
const SHARE_SCRAPES: usize = 5;

/// Whether the present weight is in force; says what contradicts it.
pub(super) fn is_proven(turn: &mut Turn<'_>, rollout: &mut Rollout) -> bool {
    let Some(route) = turn
        .world
        .route
        .as_ref()
        .filter(|_| is_routed(turn, rollout))
    else {
        return false;
    };
    if let Some(waiting) = stable_unready(turn, rollout) {
        turn.wait(waiting);
        return false;
    }
    if rollout.proven_at.is_none()
        && let Some(waiting) = unsettled(turn, rollout, route)
    {
        turn.wait(waiting);
        return false;
    }
    if let Some(waiting) = unbound(turn, &rollout.candidate) {
        // Without a waypoint no weight is in force; with one again, it is proven again.
        if rollout.proven_at.is_some() {
            rollout.weight_at = turn.now;
        }
        disprove(turn, rollout);
        turn.wait(waiting);
        return false;
    }
    if let Some(measured) = contradiction(turn, rollout) {
        // Also later: a proxy may refuse what its control plane accepted.
        disprove(turn, rollout);
        turn.wait(Waiting::Share {
            wanted: rollout.weight,
            measured,
            past: turn.world.evidence.around_waived,
        });
        return false;
    }
    if rollout.proven_at.is_none() {
        rollout.proven_at = Some(turn.now);
        rollout.progressed_at = turn.now;
    }
    true
}

/// The present weight is not in force any more. Until now it was, and however long it baked or was held, the progress
/// deadline did not run: the candidate gets all of it.
fn disprove(turn: &Turn<'_>, rollout: &mut Rollout) {
    if rollout.proven_at.take().is_some() {
        rollout.progressed_at = turn.now;
    }
    rollout.passed_at = None;
}

/// Whether the split of the traffic was measured since the weight settled, if anybody measures it. A
/// source that fell silent must not keep a judged candidate from its traffic.
pub(super) fn is_measured(turn: &Turn<'_>, rollout: &Rollout) -> bool {
    let evidence = &turn.world.evidence;
    let settled = rollout.weight_at + rollout.plan.settle;
    let since = evidence
        .samples
        .iter()
        .filter(|sample| sample.at >= settled);
    !rollout.gated || evidence.is_stale(turn.now) || since.count() > 1
}

/// What the mesh still has to do before the weight can be in force.
fn unsettled(turn: &mut Turn<'_>, rollout: &Rollout, route: &Route) -> Option<Waiting> {
    if !route.accepted {
        // It may be why, and says what to do.
        if let Some(blocked) = &turn.world.blocked {
            return Some(Waiting::from(blocked));
        }
        return Some(Waiting::RouteAcceptance {
            problem: route.problem.clone(),
        });
    }
    if let Some(waiting) = unbound(turn, &rollout.candidate) {
        return Some(waiting);
    }
    let until = rollout.weight_at + rollout.plan.settle;
    if turn.now < until {
        turn.wake(until);
        return Some(Waiting::Settle { until });
    }
    None
}

/// The measured share, if it contradicts the weight.
fn contradiction(turn: &Turn<'_>, rollout: &Rollout) -> Option<Weight> {
    let evidence = &turn.world.evidence;
    if !rollout.gated || evidence.candidate.as_ref() != Some(&rollout.candidate) {
        return None;
    }
    let settled = rollout.weight_at + rollout.plan.settle;
    let window = evidence.latest_since(settled, SHARE_SCRAPES);
    share::contradiction(&window, rollout.weight)
}

/// The revision that serves has no ready pod while it should have some. Its share gets no answer then:
/// that is no moment to move traffic, and nothing to compare the candidate with.
pub(super) fn stable_unready(turn: &Turn<'_>, rollout: &Rollout) -> Option<Waiting> {
    let stable = turn.state.stable.as_ref()?;
    // Going back, and an order to promote, are the way out.
    if !rollout.gated || rollout.weight == Weight::WHOLE || turn.full() == 0 {
        return None;
    }
    let revision = turn.revision(stable);
    // By its endpoints: what a Deployment counts is unknown for a moment after each change of its size.
    let service = revision.and_then(|revision| revision.service.as_ref());
    let problem = || revision?.workload.as_ref()?.problem.clone();
    let ready = service.is_some_and(|service| service.endpoints > 0);
    (!ready).then(|| Waiting::StableNotReady {
        revision: stable.clone(),
        problem: problem(),
    })
}

/// The present weight was in force and is not any more, or was put back since: the step is proven and
/// judged anew.
pub(super) fn unsettle(turn: &Turn<'_>, rollout: &mut Rollout) {
    if !rollout.weight.is_zero() && stable_unready(turn, rollout).is_some() {
        rollout.proven_at = None;
        rollout.passed_at = None;
        rollout.weight_at = turn.now;
        return;
    }
    let route = turn.world.route.as_ref();
    let written_at = route.and_then(|route| route.written_before(turn.now));
    let rewritten = |proven_at| written_at.is_some_and(|at| at > proven_at);
    let is_void = |proven_at| rewritten(proven_at) || !is_routed(turn, rollout);
    if rollout.proven_at.is_some_and(is_void) {
        rollout.proven_at = None;
        rollout.passed_at = None;
        rollout.weight_at = turn.now;
        rollout.progressed_at = turn.now;
    }
}

/// Whether the route says what was decided.
fn is_routed(turn: &Turn<'_>, rollout: &Rollout) -> bool {
    let stable = turn.state.stable.as_ref();
    let rest = stable.map_or(Weight::ZERO, |stable| turn.world.weight(stable));
    let intact = turn.world.route.as_ref().is_some_and(|route| route.intact);
    intact
        && turn.world.weight(&rollout.candidate) == rollout.weight
        && rest == rollout.weight.rest()
}

/// What keeps the mesh from serving the candidate.
pub(super) fn unbound(turn: &Turn<'_>, candidate: &RevisionName) -> Option<Waiting> {
    let parent = &turn.world.parent;
    if !parent.bound {
        return Some(Waiting::Mesh {
            revision: None,
            problem: parent.problem.clone(),
        });
    }
    let service = turn
        .revision(candidate)
        .and_then(|revision| revision.service.as_ref());
    match service {
        Some(service) if service.bound => None,
        _ => Some(Waiting::Mesh {
            revision: Some(candidate.clone()),
            problem: service.and_then(|service| service.problem.clone()),
        }),
    }
}
