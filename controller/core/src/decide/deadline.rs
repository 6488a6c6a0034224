//! The end of a rollout that makes no progress, or whose verdict stays open for too long.

use crate::plan::Action;
use crate::state::Rollout;
use crate::waiting::Waiting;

use super::advance::may_reject;
use super::end;
use super::turn::Turn;

/// Ends a rollout if it is due; else it goes on.
pub(super) fn run(turn: &mut Turn<'_>, mut rollout: Rollout) {
    if let Some(until) = turn.mesh_behind_until() {
        // Nobody is to blame for an API server that was away. In large steps: each is a write of the status.
        if turn.now - rollout.progressed_at > rollout.plan.progress_deadline / 4 {
            rollout.progressed_at = turn.now;
            rollout.passed_at = rollout.passed_at.map(|_| turn.now);
        }
        turn.wake(until);
        turn.state.rollout = Some(rollout);
        return;
    }
    let waiting = turn.waiting().cloned();
    let reason = match &waiting {
        Some(Waiting::Evidence { why, overdue, .. }) => {
            let rollback = rollout.plan.inconclusive_action == Action::Rollback;
            (*overdue && rollback).then(|| format!("inconclusive for too long: {why}"))
        }
        // A bake is progress by itself.
        Some(Waiting::Bake { .. }) | None => None,
        // A person takes the time that a person takes.
        Some(Waiting::Holdback(_) | Waiting::Approval(_)) => {
            put_off(turn, &mut rollout);
            None
        }
        // No fault of the candidate.
        Some(_) if is_hindered(turn, &mut rollout) => None,
        Some(waiting) => {
            let progressed_at = rollout.passed_at.unwrap_or(rollout.progressed_at);
            let at = progressed_at + rollout.plan.progress_deadline;
            turn.wake(at);
            (turn.now >= at).then(|| format!("no progress within the deadline: {waiting}"))
        }
    };
    match reason {
        Some(reason) if may_reject(turn, &rollout) => {
            turn.clear_waiting();
            end::reject(turn, &rollout, reason, None);
        }
        _ => turn.state.rollout = Some(rollout),
    }
}

/// Whether a person must mend something that no revision is to blame for. As long as that is so the progress
/// deadline is put off.
fn is_hindered(turn: &mut Turn<'_>, rollout: &mut Rollout) -> bool {
    let waits = matches!(
        turn.waiting(),
        Some(
            Waiting::Around { .. }
                | Waiting::Contested { .. }
                | Waiting::StableNotReady { .. }
                | Waiting::ScaledToZero(_)
                // Requests that a person lets past the weights are measured as well.
                | Waiting::Share { past: true, .. }
        )
    );
    if !waits && turn.world.blocked.is_none() && turn.world.parent.bound {
        return false;
    }
    put_off(turn, rollout);
    true
}

/// Puts the progress deadline off, in large steps, since each is a write of the status: half of it at least is
/// left to the candidate afterwards. When it passed is remembered alone.
fn put_off(turn: &mut Turn<'_>, rollout: &mut Rollout) {
    rollout.passed_at = rollout.passed_at.map(|_| turn.now);
    let half = rollout.plan.progress_deadline / 2;
    if turn.now >= rollout.progressed_at + half {
        rollout.progressed_at = turn.now;
    }
    turn.wake(rollout.progressed_at + half);
}
