//! 4. Deciding twice from the same state and world changes nothing; a crash between any two writes ends
//!    in the same place.

use sluice_core::{Decision, Effect, Note, Record, RevisionName, Route, State};

use super::{Again, Look};

pub(super) fn check(look: &Look<'_>, again: &Again<'_>) -> Result<(), (u8, String)> {
    let first = look.decision;
    if first.wake_at.is_some_and(|at| at <= look.now) {
        return Err((4, "asks to be woken in the past".to_owned()));
    }
    let is_verdict = |effect: &&Effect| matches!(effect, Effect::Remember { .. });
    // Without a snapshot there is nothing to write the verdict on.
    let is_end = |note: &Note| {
        matches!(
            note,
            Note::Adopted(_) | Note::Promoted(_) | Note::Rejected { .. }
        )
    };
    if first.effects.iter().any(|effect| is_verdict(&effect)) || first.notes.iter().any(is_end) {
        return verdict_written(look, again);
    }
    let second = again(&first.state, look.seen);
    // A state that remembers nothing is rebuilt.
    if second.state != first.state && first.state != State::default() {
        let (a, b) = (brief(&first.state), brief(&second.state));
        return Err((4, format!("deciding again makes of {a} another state {b}")));
    }
    match second
        .effects
        .iter()
        .find(|effect| !first.effects.contains(effect))
    {
        Some(new) => Err((4, format!("deciding again asks for {new:?} too"))),
        None => Ok(()),
    }
}

/// A verdict was written, and the state was lost: the same decision does not find another verdict.
fn verdict_written(look: &Look<'_>, again: &Again<'_>) -> Result<(), (u8, String)> {
    let noted = |route: &Route| route.stable.is_some() || route.candidate.is_some();
    if !look.seen.route.as_ref().is_some_and(noted) {
        return Ok(());
    }
    let mut world = look.seen.clone();
    for effect in &look.decision.effects {
        if let Effect::Remember { revision, record } = effect
            && let Some(revision) = world.revisions.get_mut(revision)
        {
            revision.record = Some(record.clone());
        }
    }
    let second = again(look.before, &world);
    let first: Vec<_> = verdicts(look.decision).collect();
    let mut other = verdicts(&second);
    if let Some(other) = other.find(|other| first.iter().any(|verdict| differ(verdict, other))) {
        return Err((4, format!("deciding again makes of {first:?} {other:?}")));
    }
    Ok(())
}

fn verdicts(decision: &Decision) -> impl Iterator<Item = (&RevisionName, &Record)> {
    decision.effects.iter().filter_map(|effect| match effect {
        Effect::Remember { revision, record } => Some((revision, record)),
        _ => None,
    })
}

fn differ(one: &(&RevisionName, &Record), other: &(&RevisionName, &Record)) -> bool {
    // An order to try again may be lost on a rollout that was to end anyway.
    one.0 == other.0 && one.1.outcome.is_some() && one.1.outcome != other.1.outcome
}

/// A state without its plan, which is long.
fn brief(state: &State) -> String {
    let mut state = state.clone();
    if let Some(rollout) = &mut state.rollout {
        rollout.plan.steps.clear();
        rollout.plan.slos.clear();
    }
    format!("{state:?}")
}
