//! 7. What Git owns is not written, `spec.replicas` of a target apart. Suspended, nothing is written.

use std::collections::BTreeSet;

use sluice_core::{Decision, Effect, Note, RevisionName, Scaled, Stage, State, Time, World};

use super::Look;

/// The sizes that what serves may have where the Canary names none.
#[derive(Default)]
pub(super) struct Sizes {
    /// The one that the target last had while it served, or was given by Git where nothing else changes it.
    target: Option<u32>,
    /// Those that it had before.
    earlier: BTreeSet<u32>,
    /// What the last decision made of them, and whether the one after it did not know: a crash costs that.
    adopted: Option<u32>,
    forgotten: bool,
    /// The size of what served before the stable revision, until that is given one of its own: it may have more
    /// from an earlier time, which nobody asked for.
    before: Option<(RevisionName, u32)>,
    /// Revisions that were given a size since their rollout began.
    given: BTreeSet<RevisionName>,
}

impl Sizes {
    pub(super) fn decided(&mut self, seen: &World, before: &State, decision: &Decision, now: Time) {
        let adopted = before.adopted_replicas;
        self.forgotten |= adopted.is_some() && adopted != self.adopted;
        self.adopted = decision.state.adopted_replicas;
        if let Some(size) = target_size(seen, before) {
            self.earlier.extend(self.target.filter(|old| *old != size));
            self.target = Some(size);
            // Before the first revision serves the largest counts, so that a smaller one makes up for nothing.
            let largest = self.earlier.iter().all(|old| *old <= size);
            self.forgotten &= before.stable.is_none() && !largest;
        }
        let rollout = decision.state.rollout.as_ref();
        if let Some(rollout) =
            rollout.filter(|it| it.stage == Stage::Prepare && it.started_at == now)
        {
            self.given.remove(&rollout.candidate);
        }
        let (old, new) = (&before.stable, &decision.state.stable);
        if let (Some(old), Some(new)) = (old, new)
            && old != new
        {
            let size = has(seen, old).filter(|_| !self.given.contains(new));
            self.before = size.map(|size| (new.clone(), size));
        }
    }

    /// A revision was given a size.
    pub(super) fn sized(&mut self, revision: &RevisionName) {
        self.given.insert(revision.clone());
        self.before.take_if(|(stable, _)| stable == revision);
    }

    fn may_be(&self, revision: &RevisionName, replicas: u32) -> bool {
        let before = self.before.as_ref();
        self.target == Some(replicas)
            || self.forgotten && self.earlier.contains(&replicas)
            || before.is_some_and(|(stable, size)| stable == revision && *size == replicas)
    }
}

/// The pods that a revision wants.
fn has(seen: &World, revision: &RevisionName) -> Option<u32> {
    let workload = seen.revisions.get(revision)?.workload.as_ref()?;
    Some(workload.replicas)
}

/// What serves loses no pods because those of the target, which serve nobody, became fewer.
fn shrinks(look: &Look<'_>, revision: &RevisionName, replicas: u32) -> Result<(), (u8, String)> {
    let seen = look.seen;
    let has = has(seen, revision).unwrap_or_default();
    // As it takes over, it gets the size that the target has.
    let serves = look.before.stable.as_ref() == Some(revision);
    if !serves || replicas >= has || seen.replicas.is_some_and(|asked| asked <= replicas) {
        return Ok(());
    }
    if look.facts.sizes.may_be(revision, replicas) {
        return Ok(());
    }
    Err((
        7,
        format!("{revision} shrinks from {has} to {replicas}, and nobody asked for it"),
    ))
}

/// The size of a target that serves, as none without pods does; later the one that Git gives it, where it is in force and
/// nothing else changes it.
fn target_size(seen: &World, before: &State) -> Option<u32> {
    let target = seen.target.as_ref().filter(|_| !seen.suspended)?;
    if before.stable.is_none() {
        return Some(target.replicas).filter(|size| *size > 0);
    }
    let (_, size) = target.kept_by()?;
    (size == target.replicas && !is_autoscaled(seen)).then_some(size)
}

fn is_autoscaled(seen: &World) -> bool {
    seen.autoscaler.is_some()
}

/// Whoever lets a Canary go that an autoscaler scales tells so, with the Deployment that serves: then, and only then.
fn left_autoscaler(look: &Look<'_>) -> Result<(), (u8, String)> {
    let seen = look.seen;
    let scaled = seen.autoscaler.as_ref();
    let scaled = scaled.filter(|autoscaler| autoscaler.scales == Scaled::Canary);
    let goes = look.decision.effects.contains(&Effect::Release);
    let left = scaled.filter(|_| goes && seen.target.is_some());
    let told = |note: &&Note| matches!(note, Note::AutoscalerLeft { .. });
    match (left, look.decision.notes.iter().find(told)) {
        (None, None) => Ok(()),
        (Some(_), Some(Note::AutoscalerLeft { deployment, .. })) => {
            let serves = look.decision.state.stable.as_ref();
            let target = seen.target.as_ref().map(|target| target.name.as_str());
            let right = Some(deployment.as_str()) == serves.map(RevisionName::as_str).or(target);
            let wrong = || (7, format!("sends an autoscaler to {deployment}"));
            right.then_some(()).ok_or_else(wrong)
        }
        (left, told) => Err((
            7,
            format!("an autoscaler is left: {left:?}, told: {told:?}"),
        )),
    }
}

pub(super) fn check(look: &Look<'_>) -> Result<(), (u8, String)> {
    let seen = look.seen;
    let removed = seen.deleting && seen.target.is_none();
    if seen.suspended && !removed && !look.decision.effects.is_empty() {
        return Err((7, format!("suspended, yet {:?}", look.decision.effects)));
    }
    left_autoscaler(look)?;
    for effect in &look.decision.effects {
        if let Effect::Run { revision, replicas } = effect {
            shrinks(look, revision, *replicas)?;
        }
        if matches!(effect, Effect::LeaveTarget) {
            // The API server would make it 1.
            let kept = seen
                .target
                .as_ref()
                .is_some_and(|it| it.kept_by().is_some());
            if !kept || look.before.target_left_at.is_none() {
                return Err((7, "leaves the size of a target to nobody".to_owned()));
            }
        }
        if let Effect::SizeCanary(replicas) = effect {
            let stable = look.decision.state.stable.as_ref();
            let stable = stable.and_then(|name| seen.revisions.get(name)?.workload.as_ref());
            let has = stable.map_or(0, |workload| workload.replicas);
            if seen.replicas.is_some() || *replicas < has.max(1) {
                return Err((
                    7,
                    format!("gives the Canary the size {replicas}, has {has}"),
                ));
            }
        }
        let (Effect::ScaleTarget(replicas) | Effect::KeepTarget(replicas)) = effect else {
            continue;
        };
        let Some(target) = &seen.target else {
            return Err((7, "scales a target that is gone".to_owned()));
        };
        if matches!(effect, Effect::KeepTarget(_)) {
            if *replicas != target.replicas {
                return Err((7, format!("keeps the target at {replicas} by changing it")));
            }
            continue;
        }
        if let Some((git, size)) = target.kept_by()
            && !(seen.deleting && (size == *replicas || is_autoscaled(seen)))
        {
            return Err((7, format!("writes what {} keeps: {replicas}", git.manager)));
        }
        if seen.deleting {
            if *replicas <= target.replicas {
                return Err((7, format!("takes pods of the target: {replicas}")));
            }
            continue;
        }
        // Its pods serve until the route is in force and its backend is ready, or nobody wants any.
        let serves = seen.route.as_ref().is_some_and(|route| {
            let mut backends = route
                .weights
                .keys()
                .filter_map(|name| seen.revisions.get(name));
            let ready = backends.any(|r| r.workload.as_ref().is_some_and(|w| w.ready > 0));
            route.accepted && route.intact && ready
        });
        let unwanted = seen.replicas == Some(0);
        if *replicas != 0 || !(serves || unwanted) {
            return Err((
                7,
                format!("scales the target to {replicas} while it serves"),
            ));
        }
    }
    Ok(())
}
