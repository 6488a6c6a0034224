//! The two ends of a rollout.

use crate::RevisionName;
use crate::decision::{Effect, Note};
use crate::evidence::{Exhibit, Grounds};
use crate::revision::{Outcome, Record};
use crate::state::Rollout;
use crate::waiting::Waiting;

use super::turn::Turn;

/// The candidate took all traffic: it is the stable one.
pub(super) fn promote(turn: &mut Turn<'_>, rollout: &Rollout) {
    let revision = rollout.candidate.clone();
    let reason = if rollout.gated {
        "every gate passed"
    } else {
        "no gate applied"
    };
    let record = known(turn, rollout).ended(Outcome::Promoted, turn.now, reason);
    let grounds = grounds(turn, rollout);
    let record = Record { grounds, ..record };
    // Somebody may have deleted the snapshot. It still serves, and something must be the stable revision.
    if turn.world.record(&revision).is_some() {
        turn.effects.push(Effect::Remember {
            revision: revision.clone(),
            record,
        });
    }
    take_over(turn, revision);
}

/// Whether this decision promotes, and nothing tells of it yet. Nothing else may be made of it before its
/// verdict is stored: should that fail, it is decided again.
pub(super) fn is_untold(turn: &Turn<'_>) -> bool {
    turn.effects.iter().any(|effect| match effect {
        Effect::Remember { revision, record } => {
            record.is_promoted() && !turn.world.record(revision).is_some_and(Record::is_promoted)
        }
        _ => false,
    })
}

/// The rollout ends with its candidate as the stable revision.
pub(super) fn take_over(turn: &mut Turn<'_>, revision: RevisionName) {
    turn.notes.push(match turn.state.stable {
        None => Note::Adopted(revision.clone()),
        Some(_) => Note::Promoted(revision.clone()),
    });
    turn.state.stable = Some(revision);
    turn.state.rollout = None;
}

/// The candidate must not serve. The verdict is written first: should the next write be lost, the
/// verdict alone brings the traffic back.
pub(super) fn reject(turn: &mut Turn<'_>, rollout: &Rollout, reason: String, order: Option<&str>) {
    let revision = rollout.candidate.clone();
    let ordered = order.is_some();
    let record = known(turn, rollout).ended(Outcome::Rejected, turn.now, reason.clone());
    let record = Record {
        ordered,
        grounds: grounds(turn, rollout),
        ..record
    };
    if let Some(order) = order {
        turn.notes.push(Note::Obeyed(order.to_owned()));
    }
    let retry = record.next_order("retry", revision.as_str());
    // Somebody may have deleted the snapshot, and Git asks for another one by now.
    if turn.world.record(&revision).is_some() {
        turn.effects.push(Effect::Remember {
            revision: revision.clone(),
            record,
        });
    }
    turn.wait(Waiting::Rejected {
        revision: revision.clone(),
        reason: reason.clone(),
        retry,
    });
    turn.notes.push(Note::Rejected {
        revision,
        reason,
        ordered,
    });
    turn.state.rollout = None;
}

/// What the verdict is based on.
fn grounds(turn: &Turn<'_>, rollout: &Rollout) -> Option<Grounds> {
    let evidence: Vec<_> = turn.findings.iter().map(Exhibit::from).collect();
    (!evidence.is_empty()).then_some(Grounds {
        weight: rollout.weight,
        first_weight_at: rollout.first_weight_at,
        evidence,
    })
}

/// The candidate's record. Orders of this rollout end with it: none is an answer to a later verdict.
fn known(turn: &Turn<'_>, rollout: &Rollout) -> Record {
    let record = turn.world.record(&rollout.candidate).cloned();
    let stable = turn.state.stable.as_ref();
    let orders = turn.world.orders_for(&rollout.candidate, stable);
    orders.fold(record.unwrap_or_default(), |record, order| {
        record.obeyed(&order)
    })
}
