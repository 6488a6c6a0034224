//! What a rollout may cost is worked out once: as it starts, or as soon as the traffic of the past is known.

use crate::state::Rollout;

use super::turn::Turn;

/// Pins how many requests the error budget is for. Of a service that had none nothing can be expected.
pub(super) fn pin(turn: &Turn<'_>, rollout: &mut Rollout) {
    let Some(budget) = rollout.plan.error_budget.filter(|_| rollout.gated) else {
        return;
    };
    if rollout.expected_requests.is_none() {
        let expected = turn.world.traffic.map(|past| past.expected(budget.period));
        rollout.expected_requests = expected.filter(|requests| *requests > 0);
    }
}
