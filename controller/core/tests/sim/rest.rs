//! What must be true of a cluster in which nothing happens any more: the end is the same, whatever
//! crashed on the way there.

use sluice_core::waiting::Holdback;
use sluice_core::{Decision, Record, Revision, RevisionName, Target, Waiting, Weight};

use crate::cluster::Cluster;

pub(crate) fn check(cluster: &Cluster, last: Option<&Decision>) -> Result<(), (u8, String)> {
    let Some(decision) = last else {
        return Err((4, "nothing was decided".to_owned()));
    };
    let world = &cluster.world;
    let stable = decision.state.stable.as_ref();
    match &world.target {
        None if matches!(decision.waiting, Some(Waiting::TargetMissing)) => {}
        Some(target) if stable == Some(&target.revision) => {}
        // A person must decide, whatever Git asks for by now. The candidate has its share until then.
        _ if is_held(decision) => return Ok(()),
        Some(target)
            if world
                .record(&target.revision)
                .is_some_and(Record::is_rejected) => {}
        _ => {
            let waiting = &decision.waiting;
            return Err((
                4,
                format!("{stable:?} serves at rest, waiting for {waiting:?}"),
            ));
        }
    }
    if let Some(stable) = stable {
        let route = world.route.as_ref();
        if route.is_none_or(|r| r.weight(stable) != Weight::WHOLE || !r.intact) {
            return Err((
                4,
                format!("{stable} is stable, and the route says {route:?}"),
            ));
        }
        if cluster.dropped && world.target.is_some() {
            return Err((4, "Git cannot drop the target's size".to_owned()));
        }
        let contested = matches!(decision.waiting, Some(Waiting::SizeContested { .. }));
        let has_pods = |target: &Target| target.replicas > 0 && target.kept_by().is_none();
        if !contested && world.target.as_ref().is_some_and(has_pods) {
            return Err((4, "the target keeps its pods at rest".to_owned()));
        }
    }
    if world.parent.strict && stable.is_some() {
        let admitted = |(name, revision): (&RevisionName, &Revision)| {
            let admission = revision.admission;
            let wrong = if stable == Some(name) {
                admission.outside
            } else {
                admission.admitted
            };
            (wrong > 0).then(|| format!("{name} at rest: {admission:?}"))
        };
        if let Some(wrong) = world.revisions.iter().find_map(admitted) {
            return Err((9, wrong));
        }
    }
    for (name, revision) in &world.revisions {
        if revision
            .service
            .as_ref()
            .is_some_and(|service| service.outdated)
        {
            return Err((4, format!("Service {name} lacks a port at rest")));
        }
        if stable != Some(name) && is_left_over(cluster, name, revision) {
            return Err((4, format!("{name} is left over: {revision:?}")));
        }
    }
    Ok(())
}

fn is_held(decision: &Decision) -> bool {
    matches!(
        decision.waiting,
        Some(Waiting::Evidence { overdue: true, .. })
    ) || is_held_back(decision)
}

/// Whether a holdback goes on for want of a clear verdict: for ever, if it must, and a person may end it.
pub(crate) fn is_held_back(decision: &Decision) -> bool {
    matches!(
        decision.waiting,
        Some(Waiting::Holdback(Holdback { why: Some(_), .. }))
    )
}

/// A revision that does not serve may be kept to go back to, without pods, or as a verdict alone.
fn is_left_over(cluster: &Cluster, name: &RevisionName, revision: &Revision) -> bool {
    let promoted = revision.record.as_ref().is_some_and(Record::is_promoted);
    let rejected = revision.record.as_ref().is_some_and(Record::is_rejected);
    let wanted = cluster
        .world
        .target
        .as_ref()
        .is_some_and(|t| t.revision == *name);
    let bare = revision.workload.is_none() && revision.service.is_none();
    revision.pods > 0 || !(promoted || (bare && (rejected || wanted)))
}

/// Somebody serves, and nothing of ours is left but what serves.
pub(crate) fn after_deletion(cluster: &Cluster, adopted: bool) -> Result<(), (u8, String)> {
    let world = &cluster.world;
    let left: Vec<_> = world.revisions.keys().collect();
    let Some(target) = &world.target else {
        let clean = left.is_empty() && world.route.is_none();
        return if clean {
            Ok(())
        } else {
            Err((4, format!("{left:?} are left")))
        };
    };
    match left.as_slice() {
        [] if world.route.is_some() => Err((4, "the route is left".to_owned())),
        [] if adopted && target.replicas == 0 => Err((1, "nothing serves".to_owned())),
        [] => Ok(()),
        [serving] => {
            let runs = world.revisions[*serving]
                .workload
                .as_ref()
                .is_some_and(|w| w.replicas > 0);
            let same = target.revision == **serving;
            let unmade = cluster.unwanted || cluster.damaged.contains(*serving);
            let ok = (runs || unmade) && !same;
            if ok {
                Ok(())
            } else {
                Err((4, format!("{serving} is left")))
            }
        }
        _ => Err((4, format!("{left:?} are left"))),
    }
}
