//! Which backends left the route and still have pods.

use crate::{RevisionName, Time};

use super::turn::Turn;

/// Notes since when every revision that serves nobody does so.
pub(super) fn track(turn: &mut Turn<'_>) {
    let world = turn.world;
    // Until the mesh follows the route, a backend that left it may still get requests.
    let in_force = world.route.as_ref().is_none_or(|route| route.accepted);
    for (name, revision) in &world.revisions {
        let serves = is_in_use(turn, name) || !world.weight(name).is_zero();
        let has_pods = revision.workload.as_ref().is_some_and(|w| w.replicas > 0);
        if serves || !has_pods {
            turn.state.draining.remove(name);
        } else if !in_force {
            turn.state.draining.insert(name.clone(), turn.now);
        } else {
            turn.state.draining.entry(name.clone()).or_insert(turn.now);
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

/// Whether a revision is the stable one or the candidate.
pub(super) fn is_in_use(turn: &Turn<'_>, name: &RevisionName) -> bool {
    let candidate = turn
        .state
        .rollout
        .as_ref()
        .map(|rollout| &rollout.candidate);
    turn.state.stable.as_ref() == Some(name) || candidate == Some(name)
}

/// When a drain that began at `since` is over.
pub(super) fn ends(turn: &Turn<'_>, since: Time) -> Time {
    since + turn.plan.drain_delay
}
