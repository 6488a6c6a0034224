//! Approvals: where a rollout goes on only when a person says so.
//!
//! An approval is looked for whenever a rollout is about to go on, and not remembered: it names the revision
//! that it is for, so that it stands as long as the Canary says it. What it let pass stays passed.

use crate::decision::Note;
use crate::evidence::Why;
use crate::plan::Requirement;
use crate::state::{Consent, Rollout};
use crate::waiting::{self, Waiting};

use super::turn::Turn;

/// Whether the candidate may have its first traffic.
pub(super) fn may_enter(turn: &mut Turn<'_>, rollout: &mut Rollout) -> bool {
    let waits = rollout.gated && rollout.plan.entry.contains(&Requirement::Approval);
    !waits || is_given(turn, rollout, None)
}

/// Whether a person approved that the candidate goes on from its weight. If not, says so, and what the evidence
/// lacks by now.
pub(super) fn is_given(turn: &mut Turn<'_>, rollout: &mut Rollout, why: Option<Why>) -> bool {
    let world = turn.world;
    let stable = turn.state.stable.as_ref();
    let (candidate, at) = (&rollout.candidate, rollout.weight);
    if let Some(by) = world.approval(candidate, stable, at) {
        if !matches!(rollout.consent, Some(Consent::Given { .. })) {
            turn.notes.push(Note::Approved {
                candidate: candidate.clone(),
                at,
                by: by.to_string(),
            });
            rollout.consent = Some(Consent::Given { at: turn.now });
        }
        return true;
    }
    let waiting = waiting::Approval {
        revision: candidate.clone(),
        image: world.own_image(candidate, stable).map(str::to_owned),
        at,
        since: match rollout.consent {
            Some(Consent::Awaited { since }) => since,
            _ => turn.now,
        },
        why,
    };
    if !matches!(rollout.consent, Some(Consent::Awaited { .. })) {
        turn.notes.push(Note::ApprovalAwaited {
            candidate: candidate.clone(),
            at,
            asked: waiting.asked(),
        });
        rollout.consent = Some(Consent::Awaited { since: turn.now });
    }
    turn.wait(Waiting::Approval(waiting));
    false
}
