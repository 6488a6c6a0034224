//! Which revision is the candidate: start, go back, supersede, or stay.

use crate::decision::{Effect, Note};
use crate::revision::Record;
use crate::state::{Rollout, Stage};
use crate::waiting::Waiting;
use crate::{RevisionName, Target, Weight};

use super::turn::Turn;
use super::{drain, holdback, retire};

pub(super) fn run(turn: &mut Turn<'_>) {
    drop_rejected(turn);
    let Some(target) = &turn.world.target else {
        if turn.state.rollout.is_none() {
            turn.wait(Waiting::TargetMissing);
        }
        return;
    };
    supersede(turn, target);
    if turn.state.rollout.is_none() && turn.state.stable.as_ref() != Some(&target.revision) {
        start(turn, target);
    }
    if turn.state.rollout.is_none() {
        tell_blocker(turn);
    }
}

/// Says what a person must mend, if there is something.
fn tell_blocker(turn: &mut Turn<'_>) -> bool {
    let Some(blocked) = &turn.world.blocked else {
        return false;
    };
    turn.wait(Waiting::from(blocked));
    true
}

/// A candidate whose snapshot says that it was rejected is none: the verdict is written before the
/// traffic moves and before the status tells of it, and a crash or a refused write may have come between.
fn drop_rejected(turn: &mut Turn<'_>) {
    let Some(rollout) = &turn.state.rollout else {
        return;
    };
    let revision = rollout.candidate.clone();
    // Where there is no stable one yet, nothing else may have pods for what it serves.
    let can_go = turn.state.stable.is_some() || rollout.weight.is_zero();
    let record = turn.world.record(&revision);
    if let Some(record) = record.filter(|record| can_go && record.is_rejected()) {
        turn.notes.push(Note::Rejected {
            revision,
            reason: record.reason.clone(),
            ordered: record.ordered,
        });
        turn.state.rollout = None;
    }
}

fn supersede(turn: &mut Turn<'_>, target: &Target) {
    let Some(rollout) = &turn.state.rollout else {
        return;
    };
    if rollout.candidate == target.revision {
        return;
    }
    // All traffic is its already: it was judged, or nothing else could serve. It ends first.
    if rollout.stage == Stage::Promote && rollout.weight == Weight::WHOLE {
        return;
    }
    // A change of configuration alone waits for its turn. Going back to the stable one does not wait, and
    // without a snapshot no verdict on the candidate can be kept.
    let candidate = turn.world.revisions.get(&rollout.candidate);
    let known = candidate.filter(|revision| revision.record.is_some());
    let same_template = known.is_some_and(|revision| revision.template == target.template);
    if same_template && turn.state.stable.as_ref() != Some(&target.revision) {
        return;
    }
    if known.is_some() && rollout.is_holding_back() && !holdback::yields_to(turn, target) {
        return;
    }
    turn.notes.push(Note::Superseded(rollout.candidate.clone()));
    turn.state.rollout = None;
}

fn start(turn: &mut Turn<'_>, target: &Target) {
    let candidate = &target.revision;
    let record = turn.world.record(candidate);
    if let Some(record) = record.filter(|record| record.is_rejected()) {
        // The next decision starts it: by then the record tells that the order was obeyed.
        if !retry(turn, candidate, record) {
            turn.wait(Waiting::Rejected {
                revision: candidate.clone(),
                reason: record.reason.clone(),
                retry: record.next_order("retry", candidate.as_str()),
            });
        }
        return;
    }
    let first = turn.state.stable.is_none();
    let going_back = !first && retire::within_window(turn, candidate);
    if !going_back && tell_blocker(turn) {
        return;
    }
    drain::track(turn);
    if retire::is_condemned(turn, candidate) {
        turn.wait(Waiting::Removal);
        return;
    }
    if first && !target.settled {
        turn.wait(Waiting::TargetUnsettled);
        return;
    }
    if first && target.replicas > 0 {
        turn.state.adopted_replicas = Some(target.replicas);
    }
    if !first && target.writer.is_none() {
        // A new template came, and with it no size: it is not in Git any more.
        turn.state.held_by = None;
    }
    let gated = !first && !going_back;
    let rollout = Rollout::new(candidate.clone(), turn.plan.clone(), gated, turn.now);
    turn.state.rollout = Some(rollout);
    turn.notes.push(Note::Started {
        candidate: candidate.clone(),
        going_back,
    });
}

/// Whether a person ordered another try. The order is remembered on the snapshot, so that it is
/// obeyed once.
fn retry(turn: &mut Turn<'_>, candidate: &RevisionName, record: &Record) -> bool {
    let stable = turn.state.stable.as_ref();
    let Some(order) = turn.world.order("retry", candidate, stable) else {
        return false;
    };
    let record = Record {
        outcome: None,
        at: None,
        reason: String::new(),
        ordered: false,
        grounds: None,
        ..record.clone()
    };
    // An abort from before this order is over with it.
    let abort = turn.world.order("abort", candidate, stable);
    let record = abort
        .iter()
        .fold(record, |record, abort| record.obeyed(abort));
    turn.effects.push(Effect::Remember {
        revision: candidate.clone(),
        record: record.obeyed(&order),
    });
    turn.notes.push(Note::Obeyed(order));
    true
}
