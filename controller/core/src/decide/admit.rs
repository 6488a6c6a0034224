//! Strict mode: which pods are endpoints of the Service that clients call.
//!
//! Its selector asks for our role, which no template has: whoever picks endpoints himself reaches the
//! revision that serves, and no candidate. Pods are admitted as soon as their revision is the stable one;
//! those of another are dismissed once they are not needed any more, and drain only then.

use crate::decision::Effect;
use crate::waiting::Waiting;
use crate::{Revision, RevisionName};

use super::end;
use super::turn::Turn;

pub(super) fn run(turn: &mut Turn<'_>) {
    let Some(stable) = turn
        .state
        .stable
        .clone()
        .filter(|_| turn.world.parent.strict)
    else {
        return;
    };
    if end::is_untold(turn) {
        return;
    }
    let own = turn.revision(&stable);
    if own.is_some_and(|revision| revision.admission.outside > 0) {
        turn.effects.push(Effect::Admit(stable.clone()));
    }
    let covered = is_covered(turn);
    for (name, revision) in &turn.world.revisions {
        if is_held(turn, name, revision) {
            if covered {
                turn.effects.push(Effect::Dismiss(name.clone()));
            } else {
                turn.wait(Waiting::Admission(stable.clone()));
            }
        }
    }
}

/// Whether the Service that clients call has no need of other pods than the stable revision's.
pub(super) fn is_covered(turn: &Turn<'_>) -> bool {
    let stable = turn.state.stable.as_ref();
    let revision = stable.and_then(|stable| turn.revision(stable));
    // In the order of the API server's writes the endpoints have these before others leave.
    let covers = |revision: &Revision| {
        let admission = revision.admission;
        admission.outside == 0 && admission.ready > 0
    };
    !turn.world.parent.strict || revision.is_some_and(covers)
}

/// Whether a revision that does not serve has pods that are endpoints of the Service that clients call:
/// it leaves that first, and loses its pods a drain later.
pub(super) fn is_held(turn: &Turn<'_>, name: &RevisionName, revision: &Revision) -> bool {
    let stable = turn.state.stable.as_ref();
    turn.world.parent.strict
        && stable.is_some_and(|stable| stable != name)
        && revision.admission.admitted > 0
}
