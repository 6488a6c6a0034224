//! What is no longer needed: scaled to nothing, or removed; never what has weight or drains.

use crate::decision::{Effect, Part};
use crate::waiting::Waiting;
use crate::{Record, Revision, RevisionName, Time};

use super::adopt;
use super::drain;
use super::turn::Turn;

/// Snapshots of rejected revisions that are kept, so that an old mistake is still known when it comes
/// back.
const REJECTIONS_KEPT: usize = 10;

pub(super) fn run(turn: &mut Turn<'_>) {
    // Without a waypoint no weight is in force, so whatever has pods may be called. What was rejected
    // goes all the same.
    let weighted = turn.world.parent.bound;
    if !weighted && turn.state.stable.is_some() {
        let problem = turn.world.parent.problem.clone();
        turn.wait(Waiting::Mesh {
            revision: None,
            problem,
        });
    }
    adopt::release(turn);
    for (name, revision) in &turn.world.revisions {
        let rejected = revision.record.as_ref().is_some_and(Record::is_rejected);
        let unused = !drain::is_in_use(turn, name) && turn.world.weight(name).is_zero();
        if unused && (weighted || rejected) {
            retire(turn, name, revision);
        }
    }
}

/// Whether a revision was promoted recently enough to go back to without gates.
pub(super) fn within_window(turn: &Turn<'_>, name: &RevisionName) -> bool {
    let stable = turn.state.stable.as_ref();
    let others = latest(turn, Record::is_promoted).filter(|other| Some(*other) != stable);
    others
        .take(turn.plan.rollback_window)
        .any(|other| other == name)
}

/// Whether a revision is about to be put away: it goes first, and is made again. A process that lost its
/// lease may have asked for the same, and what is taken into use just as it is leaves such a request as
/// valid as it was.
pub(super) fn is_condemned(turn: &Turn<'_>, name: &RevisionName) -> bool {
    let Some(revision) = turn.revision(name) else {
        return false;
    };
    let runs = revision
        .workload
        .as_ref()
        .filter(|w| w.replicas > 0 && !w.going);
    // Its Service goes as soon as its pods are gone.
    let bare = revision.workload.is_none() && revision.service.is_some();
    let unused = turn.world.parent.bound && turn.world.weight(name).is_zero();
    unused
        && (runs.is_some() && drain::may_be_over(turn, name) || bare && !within_window(turn, name))
}

/// Revisions of one outcome, the latest first.
fn latest<'a>(
    turn: &Turn<'a>,
    outcome: fn(&Record) -> bool,
) -> impl Iterator<Item = &'a RevisionName> {
    let mut ended: Vec<(Option<Time>, &RevisionName)> = turn
        .world
        .revisions
        .iter()
        .filter_map(|(name, revision)| Some((revision.record.as_ref()?, name)))
        .filter(|(record, _)| outcome(record))
        .map(|(record, name)| (record.at, name))
        .collect();
    ended.sort_unstable_by(|a, b| b.cmp(a));
    ended.into_iter().map(|(_, name)| name)
}

fn retire(turn: &mut Turn<'_>, name: &RevisionName, revision: &Revision) {
    if !drain::is_over(turn, name, revision) {
        return;
    }
    if within_window(turn, name) {
        // Whoever goes back to it waits for nothing.
        let service = revision.service.as_ref();
        if service.is_some_and(|service| service.outdated) {
            turn.effects.push(Effect::Expose(name.clone()));
        }
        if revision
            .workload
            .as_ref()
            .is_some_and(|workload| workload.replicas > 0)
        {
            turn.effects.push(Effect::Run {
                revision: name.clone(),
                replicas: 0,
            });
        }
        return;
    }
    remove(turn, name, revision);
}

/// Removes the next part: pods go before their Service, the snapshot last.
pub(super) fn remove(turn: &mut Turn<'_>, name: &RevisionName, revision: &Revision) {
    let part = if revision
        .workload
        .as_ref()
        .is_some_and(|workload| !workload.going)
    {
        Part::Workload
    } else if revision.pods > 0 || revision.workload.is_some() {
        turn.wait(Waiting::Removal);
        return;
    } else if revision.service.is_some() {
        Part::Service
    } else if revision.record.is_some() && !is_remembered(turn, name) {
        Part::Snapshot
    } else {
        return;
    };
    turn.effects.push(Effect::Remove {
        revision: name.clone(),
        part,
    });
}

/// Whether the snapshot alone is still needed: as a verdict, or as what Git asks for.
fn is_remembered(turn: &Turn<'_>, name: &RevisionName) -> bool {
    if turn.world.deleting {
        return false;
    }
    turn.world
        .target
        .as_ref()
        .is_some_and(|target| target.revision == *name)
        || latest(turn, Record::is_rejected)
            .take(REJECTIONS_KEPT)
            .any(|kept| kept == name)
}
