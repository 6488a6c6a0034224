//! 3. A Fail brings it to 0, before anything of it is removed; nothing is removed while it has weight or
//!    drains.

use chrono::TimeDelta;
use sluice_core::{Effect, Part, Revision, RevisionName, Span};

use super::{Look, evidence};
use crate::metrics::PATIENCE;

pub(super) fn check(look: &Look<'_>) -> Result<(), (u8, String)> {
    failed_has_no_weight(look)?;
    for effect in &look.decision.effects {
        match effect {
            Effect::Run { revision, replicas } => shrunk(look, revision, *replicas)?,
            Effect::Remove { revision, part } => removed(look, revision, *part)?,
            _ => {}
        }
    }
    Ok(())
}

fn failed_has_no_weight(look: &Look<'_>) -> Result<(), (u8, String)> {
    let Some(rollout) = look
        .before
        .rollout
        .as_ref()
        .filter(|_| !look.seen.suspended && !look.seen.parent.missing)
    else {
        return Ok(());
    };
    let candidate = &rollout.candidate;
    let back_to = look
        .before
        .stable
        .as_ref()
        .and_then(|name| look.seen.revisions.get(name));
    let can_go_back = back_to.is_some_and(|stable| stable.service.is_some());
    if !look.facts.is_gated(candidate) || !can_go_back {
        return Ok(());
    }
    // Somebody deleted its snapshot. The verdict is written on it, or Git would bring the candidate again, so it
    // is stored first, and the next decision at the same moment takes the traffic away.
    if (look.decision.effects).contains(&Effect::Snapshot(candidate.clone())) {
        return Ok(());
    }
    match evidence::regression(look, candidate) {
        Some(text) if !evidence::has_no_weight(look, candidate) => Err((
            3,
            format!("{candidate} keeps its weight in spite of {text}"),
        )),
        _ => Ok(()),
    }
}

fn shrunk(look: &Look<'_>, name: &RevisionName, replicas: u32) -> Result<(), (u8, String)> {
    let workload = look
        .seen
        .revisions
        .get(name)
        .and_then(|r| r.workload.as_ref());
    let has = workload.map_or(0, |workload| workload.replicas);
    if replicas >= has {
        return Ok(());
    }
    let state = &look.decision.state;
    let served = |name: &RevisionName| {
        look.seen.weight(name).is_zero() && state.stable.as_ref() != Some(name)
    };
    let mut others = look.seen.revisions.iter().filter(|(name, _)| served(name));
    let draining = others.any(|(_, r)| r.workload.as_ref().is_some_and(|w| w.replicas > 0));
    let moving = state.rollout.is_some() || draining;
    // Somebody wants no service at all.
    let unwanted = look.seen.replicas == Some(0) && !moving;
    if !look.seen.weight(name).is_zero() && (moving || replicas == 0) && !unwanted {
        let what = format!("{name} shrinks from {has} to {replicas} pods while it has weight");
        return Err((3, what));
    }
    if replicas == 0 && !unwanted {
        drained(look, name)
    } else {
        Ok(())
    }
}

fn removed(look: &Look<'_>, name: &RevisionName, part: Part) -> Result<(), (u8, String)> {
    let app_removed = look.seen.deleting && look.seen.target.is_none();
    if app_removed {
        return Ok(());
    }
    if !look.seen.weight(name).is_zero() {
        return Err((
            3,
            format!("{part:?} of {name} is removed while it has weight"),
        ));
    }
    let nothing = Revision::default();
    let revision = look.seen.revisions.get(name).unwrap_or(&nothing);
    let has_pods = revision.pods > 0 || revision.workload.is_some();
    let wants_pods = revision.workload.as_ref().is_some_and(|w| w.replicas > 0);
    match part {
        Part::Workload if wants_pods => drained(look, name),
        Part::Service if has_pods => Err((3, format!("Service {name} goes before its pods"))),
        Part::Snapshot if has_pods || revision.service.is_some() => {
            Err((3, format!("the snapshot of {name} goes before the rest")))
        }
        Part::Workload | Part::Service | Part::Snapshot => Ok(()),
    }
}

fn drained(look: &Look<'_>, name: &RevisionName) -> Result<(), (u8, String)> {
    let left_at = look.facts.left_at.get(name);
    match left_at.map(|left_at| look.now - *left_at) {
        Some(since) if since < look.facts.plan.drain_delay => {
            let seconds = since.num_seconds();
            Err((
                3,
                format!("the pods of {name} go {seconds} s after it left the route"),
            ))
        }
        _ => unasked(look, name),
    }
}

/// Somebody looked whether it is still asked, if anybody does at all, and nobody asked it while the drain lasted. Not for
/// longer than somebody who calls it by its own name may keep it.
fn unasked(look: &Look<'_>, name: &RevisionName) -> Result<(), (u8, String)> {
    let plan = &look.facts.plan;
    let (Some(leaving), Some(left_at)) = (&look.seen.leaving, look.facts.left_at.get(name)) else {
        return Ok(());
    };
    let settled = *left_at + plan.settle;
    let sight = leaving.sights.get(name);
    let looked = sight.is_some_and(|sight| sight.read.from >= settled);
    if !looked && look.now < settled.max(leaving.since) + PATIENCE {
        let what = format!("the pods of {name} go, and nobody looked whether they are asked");
        return Err((3, what));
    }
    let latest = *left_at + TimeDelta::minutes(3);
    let late = |asked: &Span| asked.from >= settled && asked.from < latest;
    let asked = sight.and_then(|sight| sight.asked).filter(late);
    let since = asked.map(|asked| look.now - asked.to);
    match since.filter(|since| *since < plan.drain_delay) {
        None => Ok(()),
        Some(since) => {
            let seconds = since.num_seconds();
            let what = format!("the pods of {name} go {seconds} s after it was asked");
            Err((3, what))
        }
    }
}
