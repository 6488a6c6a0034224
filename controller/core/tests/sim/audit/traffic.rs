//! 1. Weights sum to the whole. A revision's weight grows only while it is ready; the route always names
//!    a backend with pods.

use sluice_core::{Effect, RevisionName, Step, Weight, Workload};

use super::Look;
use crate::cluster::Cluster;

pub(super) fn check(look: &Look<'_>) -> Result<(), (u8, String)> {
    unrouted(look)?;
    let Some(routing) = look.routing() else {
        return Ok(());
    };
    let sum: u32 = routing.weights.values().map(|weight| weight.ppm()).sum();
    if sum != Weight::WHOLE.ppm() {
        return Err((
            1,
            format!("the weights {:?} do not sum up", routing.weights),
        ));
    }
    // Somebody wants no pods.
    if look.seen.replicas == Some(0) {
        return Ok(());
    }
    for (name, weight) in look.grown() {
        let Some(revision) = look.seen.revisions.get(name) else {
            return Err((1, format!("{name} gets {weight}, and nothing of it exists")));
        };
        let effects = &look.decision.effects;
        let asked = effects.iter().any(
            |effect| matches!(effect, Effect::Run { revision, replicas } if revision == name && *replicas > 0),
        );
        let nothing = Workload::default();
        let workload = revision.workload.as_ref();
        let workload = workload.or(Some(&nothing).filter(|_| asked));
        let (Some(workload), Some(service)) = (workload, &revision.service) else {
            return Err((1, format!("{name} gets {weight} without pods or Service")));
        };
        // Others may have taken the stable one's: it is made again as soon as it is gone.
        let taken = workload.going && look.decision.state.stable.as_ref() == Some(name);
        if !asked && !taken && (workload.going || workload.replicas == 0) {
            return Err((1, format!("{name} gets {weight}, and its pods are gone")));
        }
        // Traffic goes back to a stable revision whatever its readiness.
        if routing.candidate.as_ref() != Some(name) {
            continue;
        }
        if let Some(stable) = breaks(look) {
            return Err((
                1,
                format!("{name} gets {weight} while no pod of {stable} is ready"),
            ));
        }
        // In a holdback the candidate is what is to serve, at its full size.
        let holdback = look.facts.plan.holdback().map(Step::weight);
        let size = if holdback == Some(weight) {
            Weight::WHOLE
        } else {
            weight
        };
        let wanted = size.pods(look.seen.replicas.unwrap_or(1));
        let ready = workload.ready.min(service.endpoints);
        if ready < wanted {
            return Err((
                1,
                format!("{name} gets {weight} with {ready} of {wanted} pods ready"),
            ));
        }
        if look
            .seen
            .mesh_behind_until
            .is_some_and(|until| look.now < until)
        {
            return Err((1, format!("{name} gets {weight} while the mesh is behind")));
        }
        if service.outdated {
            return Err((
                1,
                format!("{name} gets {weight}, and its Service lacks a port"),
            ));
        }
        if !service.bound || !look.seen.parent.bound {
            return Err((1, format!("{name} gets {weight} before the mesh serves it")));
        }
    }
    Ok(())
}

/// The stable revision, if it serves, should have pods, and has no ready one. A gated candidate does not
/// grow in such a moment.
fn breaks<'a>(look: &'a Look<'_>) -> Option<&'a RevisionName> {
    let rollout = look.decision.state.rollout.as_ref()?;
    let stable = look.decision.state.stable.as_ref()?;
    let revision = look.seen.revisions.get(stable)?;
    let wants = revision.workload.as_ref().is_some_and(|w| w.replicas > 0);
    let ready = revision.service.as_ref().is_some_and(|s| s.endpoints > 0);
    (rollout.gated && wants && !ready).then_some(stable)
}

/// The route goes when the target serves again, and nothing else has pods behind the same Service.
fn unrouted(look: &Look<'_>) -> Result<(), (u8, String)> {
    let (true, Some(target)) = (
        look.decision.effects.contains(&Effect::Unroute),
        &look.seen.target,
    ) else {
        return Ok(());
    };
    let adopted = look.before.stable.as_ref();
    if adopted.is_some() && target.ready == 0 {
        return Err((1, "the route goes while the target has no pods".to_owned()));
    }
    let mut others = look.seen.revisions.iter();
    match others.find(|(name, other)| adopted.is_some_and(|a| a != *name) && other.pods > 0) {
        Some((name, _)) => Err((1, format!("the route goes while {name} has pods"))),
        None => Ok(()),
    }
}

/// Whether every backend of the route that we wrote has pods, or is to have them.
pub(super) fn backends_have_pods(cluster: &Cluster) -> Result<(), (u8, String)> {
    let world = &cluster.world;
    // Somebody wants none.
    if cluster.unwanted || cluster.absent {
        return Ok(());
    }
    let Some(route) = world.route.as_ref().filter(|r| r.foreign_writer.is_none()) else {
        return Ok(());
    };
    for name in route.weights.keys() {
        if cluster.damaged.contains(name) {
            continue;
        }
        let revision = world.revisions.get(name);
        let workload = revision.and_then(|revision| revision.workload.as_ref());
        let runs = workload.is_some_and(|workload| workload.replicas > 0 && !workload.going);
        if !runs || revision.is_none_or(|revision| revision.service.is_none()) {
            return Err((
                1,
                format!("the route names {name}, which has no pods or Service"),
            ));
        }
    }
    Ok(())
}
