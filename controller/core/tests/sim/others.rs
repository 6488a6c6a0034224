//! What others do to objects of ours.

use chrono::TimeDelta;
use sluice_core::{Part, Record, RevisionName, Route, Weight, Writer};

use crate::cluster::Cluster;
use crate::event::Event;

/// Somebody else's write of the route.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Edit {
    /// All traffic to the revision with this index.
    Whole(u8),
    /// Half of the traffic to the revision with this index.
    Half(u8),
    /// The weights stay, something else changes.
    Rules,
}

/// Somebody else's write of what we noted on the route. Nobody sees who did it. Where somebody wrote the
/// weights as well, nothing is left to tell what was judged.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Notes {
    /// All of it is gone, but the time, which the managed fields know as well.
    Gone,
    /// Another step.
    Step,
    /// The time is one that has not come yet.
    Future,
    /// The time is one from long ago.
    Past,
}

pub(crate) fn edit_route(cluster: &mut Cluster, edit: Edit) {
    let noted = cluster.noted_by_others;
    let Some(route) = cluster.world.route.as_mut().filter(|_| !noted) else {
        return;
    };
    let names: Vec<&RevisionName> = cluster.world.revisions.keys().collect();
    let pick = |index: u8| (*names[usize::from(index) % names.len()]).clone();
    let change = |route: &mut Route| match edit {
        _ if names.is_empty() => {}
        Edit::Whole(index) => route.weights = [(pick(index), Weight::WHOLE)].into(),
        Edit::Half(index) => {
            let (some, other) = (pick(index), pick(index + 1));
            let half = Weight::from_percent(50);
            route.weights = [(some, half), (other, half)].into();
            if route.weights.len() == 1 {
                route.weights.values_mut().for_each(|w| *w = Weight::WHOLE);
            }
        }
        Edit::Rules => route.intact = false,
    };
    change(route);
    route.accepted = false;
    route.foreign_writer = Some("kubectl".to_owned());
    cluster.changed();
}

pub(crate) fn edit_notes(cluster: &mut Cluster, notes: Notes) {
    let now = cluster.now;
    let route = cluster.world.route.as_mut();
    let Some(route) = route.filter(|route| route.foreign_writer.is_none()) else {
        return;
    };
    match notes {
        Notes::Gone => (route.stable, route.candidate, route.step) = (None, None, None),
        Notes::Step => route.step = route.step.map_or(Some(1), |_| None),
        Notes::Future => route.written_at = now + TimeDelta::days(1),
        Notes::Past => route.written_at = now - TimeDelta::days(1),
    }
    cluster.noted_by_others = true;
    cluster.changed();
}

/// Takes a part of the revision with this index away.
pub(crate) fn delete_part(cluster: &mut Cluster, index: u8, part: Part) {
    if let Some(name) = pick(cluster, index) {
        if part == Part::Snapshot && !may_forget(cluster, &name) {
            return;
        }
        cluster.damaged.insert(name.clone());
        if let Some(revision) = cluster.world.revisions.get_mut(&name)
            && part == Part::Service
        {
            // Its slices go with it.
            revision.service = None;
        } else {
            cluster.world.remove(&name, part);
        }
    }
}

/// Makes the verdict on the revision with this index unreadable.
pub(crate) fn garble(cluster: &mut Cluster, index: u8) {
    let Some(name) = pick(cluster, index).filter(|name| may_forget(cluster, name)) else {
        return;
    };
    let revision = cluster.world.revisions.get_mut(&name);
    if let Some(record) = revision.and_then(|revision| revision.record.as_mut()) {
        *record = Record::default();
    }
}

/// Whether a revision serves nobody alone. Who takes the verdict away from what does, and the status with it,
/// leaves nothing that tells what serves.
fn may_forget(cluster: &Cluster, name: &RevisionName) -> bool {
    let promoted = cluster.world.record(name).is_some_and(Record::is_promoted);
    !promoted && cluster.world.weight(name) != Weight::WHOLE
}

fn pick(cluster: &Cluster, index: u8) -> Option<RevisionName> {
    cluster.world.revisions.keys().nth(index.into()).cloned()
}

/// Git, a hand or an autoscaler writes the size of the target. Who takes the pods away while they are handed over
/// gets what was asked for.
pub(crate) fn size_target(event: Event, cluster: &mut Cluster) {
    let going = cluster.world.deleting;
    let Some(target) = &mut cluster.world.target else {
        return;
    };
    let shared = target.owned && target.kept_by().is_some();
    // A hand that scales it takes the size from who applies it.
    cluster.dropped = matches!(event, Event::DropReplicas { dry_first: true }) && shared;
    if cluster.dropped {
        return;
    }
    let writer = |manager: &str, kept: Option<u32>| Writer {
        manager: manager.to_owned(),
        manifest: kept.is_some(),
        kept,
    };
    let (replicas, writer) = match event {
        Event::ScaleTarget(_) | Event::ScaleBeside(_) | Event::KeepReplicas(_) if going => return,
        Event::ScaleTarget(replicas) => (replicas, Some(writer("kubectl", None))),
        Event::ScaleBeside(replicas) => match target.kept_by() {
            Some((git, _)) => (replicas, Some(git.clone())),
            None => return,
        },
        Event::KeepReplicas(replicas) => (replicas, Some(writer("git", Some(replicas)))),
        // The API server puts its default where nobody owns the field any more.
        _ if !target.owned && target.writer.is_some() && !going => (1, None),
        _ => (target.replicas, None),
    };
    let by_hand = matches!(event, Event::ScaleTarget(_));
    let changed = target.replicas != replicas || by_hand;
    target.owned &= !changed;
    if changed {
        target.replicas = replicas;
        target.settled = target.ready == replicas;
    }
    target.writer = writer;
    cluster.resized(None);
}

/// Who applies the target from Git without its size looks again.
pub(crate) fn drop_size(cluster: &mut Cluster) {
    let target = cluster.world.target.as_ref();
    if cluster.dropped && target.is_some_and(|target| !target.owned) {
        size_target(Event::DropReplicas { dry_first: false }, cluster);
    }
}
