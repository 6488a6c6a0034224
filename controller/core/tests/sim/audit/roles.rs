//! 9. While somebody reaches a gated candidate around the waypoint, its weight does not grow. In strict
//!    mode no pod of an unjudged revision is admitted, and none leaves before others have its place.

use sluice_core::{Effect, Part, Record, RevisionName, World};

use super::{Facts, Look};

/// Nobody who was seen within this time is forgotten, in the sample intervals of the histories.
const REMEMBERED: chrono::TimeDelta = chrono::TimeDelta::seconds(45);

pub(super) fn nobody_around(look: &Look<'_>) -> Result<(), (u8, String)> {
    let Some((candidate, held)) = look.grown_candidate() else {
        return Ok(());
    };
    let evidence = &look.seen.evidence;
    let watched = evidence.candidate.as_ref() == Some(candidate);
    let mut recent = evidence.callers.iter();
    let caller = recent.find(|caller| look.now - caller.last_at < REMEMBERED);
    match caller.filter(|_| watched) {
        Some(caller) => Err((
            9,
            format!(
                "{candidate} grows from {held} while {} calls it",
                caller.name
            ),
        )),
        None => Ok(()),
    }
}

pub(super) fn check(look: &Look<'_>) -> Result<(), (u8, String)> {
    let effects = &look.decision.effects;
    for effect in effects {
        let leaves = match effect {
            Effect::Admit(name) => {
                judged(look, name)?;
                continue;
            }
            Effect::Dismiss(name) => Some(name),
            Effect::Run { revision, replicas } if *replicas == 0 => Some(revision),
            Effect::Remove { revision, part } if *part == Part::Workload => Some(revision),
            Effect::ScaleTarget(0) => None,
            _ => continue,
        };
        replaced(look, leaves)?;
    }
    Ok(())
}

fn judged(look: &Look<'_>, name: &RevisionName) -> Result<(), (u8, String)> {
    // On deletion it ceases to be the stable one as soon as the route goes.
    let stable = [&look.decision.state.stable, &look.before.stable];
    let serves = stable.contains(&&Some(name.clone()));
    if serves && is_judged(look.facts, look.seen, name) {
        return Ok(());
    }
    Err((9, format!("{name} is admitted unjudged")))
}

/// Whoever leaves (`None`: the target) leaves ready pods of another behind the Service, unless its own
/// are none of them, or the service was handed over.
fn replaced(look: &Look<'_>, leaves: Option<&RevisionName>) -> Result<(), (u8, String)> {
    let seen = look.seen;
    // Once the target has its pods back, what becomes of them is its own Deployment's affair.
    let unwanted = seen.replicas == Some(0);
    let handed_over = seen.deleting && (seen.target.is_none() || look.before.stable.is_none());
    let inside = leaves.and_then(|name| seen.revisions.get(name));
    if !seen.parent.strict
        || unwanted
        || handed_over
        || inside.is_some_and(|r| r.admission.admitted == 0)
    {
        return Ok(());
    }
    let dismissed = |name: &RevisionName| {
        let gone = Effect::Dismiss(name.clone());
        look.decision.effects.contains(&gone)
    };
    let target = seen.target.as_ref().is_some_and(|target| target.ready > 0);
    let mut others = seen
        .revisions
        .iter()
        .filter(|(name, _)| leaves != Some(name));
    let kept = others.any(|(name, other)| other.admission.ready > 0 && !dismissed(name));
    if kept || (leaves.is_some() && target) {
        return Ok(());
    }
    Err((
        9,
        format!("the pods of {leaves:?} leave, and no other is admitted"),
    ))
}

/// Whether a revision may serve whoever calls: it was promoted, or was the first.
pub(super) fn is_judged(facts: &Facts, world: &World, name: &RevisionName) -> bool {
    let promoted = world.record(name).is_some_and(Record::is_promoted);
    promoted || !facts.is_gated(name)
}

/// Whether nothing unjudged is among the endpoints of the Service that clients call.
pub(super) fn unjudged_stay_out(facts: &Facts, world: &World) -> Result<(), (u8, String)> {
    let mut admitted = world
        .revisions
        .iter()
        .filter(|(_, revision)| revision.admission.admitted > 0);
    match admitted.find(|(name, _)| !facts.admitted.contains(*name)) {
        Some((name, _)) => Err((
            9,
            format!("pods of {name} are admitted, and it was not judged"),
        )),
        None => Ok(()),
    }
}
