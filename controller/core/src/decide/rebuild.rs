//! State from the world, when the status was lost or is older than the last write.
//!
//! The route is the truth about traffic, the snapshots about verdicts. What we wrote on the route says
//! where the rollout was; the weights themselves may be somebody else's. No traffic moves because of a
//! lost status.

use crate::state::{Rollout, Stage};
use crate::{Record, RevisionName, Route, State, Weight, World};

use super::end;
use super::turn::Turn;

pub(super) fn run(turn: &mut Turn<'_>) {
    let world = turn.world;
    end_promoted(turn);
    if turn.state == State::default() {
        from_world(turn);
    } else if let Some(route) = &world.route
        && is_outdated(&turn.state, world, route)
    {
        turn.state = State {
            adopted_replicas: turn.state.adopted_replicas,
            released: turn.state.released,
            held_by: turn.state.held_by.take(),
            restored: turn.state.restored,
            ..State::default()
        };
        from_world(turn);
    } else if let Some(promoted) = world.route.as_ref().and_then(|r| promoted(world, r))
        && turn.state.rollout.is_none()
        && !world.deleting
    {
        turn.state.stable = Some(promoted.clone());
    }
    resume(turn);
    adopt_size(turn);
}

/// A candidate whose snapshot says that it was promoted in this rollout is the stable one: the verdict is
/// written before the status tells of it, and a crash may have come between.
fn end_promoted(turn: &mut Turn<'_>) {
    let Some(rollout) = &turn.state.rollout else {
        return;
    };
    let revision = rollout.candidate.clone();
    let record = turn.world.record(&revision);
    if record.is_some_and(|r| r.is_promoted() && r.at > Some(rollout.started_at)) {
        end::take_over(turn, revision);
    }
}

/// Where nothing else says how many pods serve, the target does, before it is scaled to nothing; then what serves.
pub(super) fn adopt_size(turn: &mut Turn<'_>) {
    if turn.state.stable.is_none() || turn.state.adopted_replicas.is_some() {
        return;
    }
    let own = turn.world.target.as_ref().map(|target| target.replicas);
    let sizes = [own.unwrap_or_default(), turn.stable_size()];
    turn.state.adopted_replicas = sizes.into_iter().find(|size| *size > 0);
}

/// Takes over what our last write of the route says of the candidate, where the state is older: a crash
/// came between the write and the status.
pub(super) fn resume(turn: &mut Turn<'_>) {
    let now = turn.now;
    let Some(rollout) = &mut turn.state.rollout else {
        return;
    };
    let has_weight = !rollout.weight.is_zero();
    let Some(route) = &turn.world.route else {
        // Somebody deleted it, and with it what we wrote last.
        if has_weight && turn.state.stable.is_some() {
            rollout.restart(now);
        }
        return;
    };
    let written_before = route.written_before(now);
    // A state is kept only once its route is written. So where our route gives less, traffic was taken away since, by a
    // write after which the state was not stored, whatever time somebody else noted; unless more was decided at this
    // very moment. A time that has not come yet lets nothing grow.
    let ours = route.foreign_writer.is_none();
    let has_less = ours && route.weight(&rollout.candidate) < rollout.weight;
    let was_taken = has_less && (written_before.is_none() || rollout.progressed_at < now);
    let is_older = written_before.is_none_or(|at| at < rollout.progressed_at);
    let is_newer = has_weight && !was_taken && is_older;
    // Somebody took our notes away: what is remembered holds.
    let is_stripped = route.stable.is_none() && route.candidate.is_none();
    if is_stripped && has_weight && !was_taken {
        return;
    }
    if route.candidate.as_ref() != Some(&rollout.candidate) {
        // Only our note may be gone.
        let ours = route.foreign_writer.is_none();
        let has_its = ours && route.weight(&rollout.candidate) == rollout.weight;
        if has_weight && !is_newer && !has_its {
            rollout.restart(now);
        }
        return;
    }
    // The first revision shares with nobody, whatever somebody else noted.
    let (stage, weight) = match turn.state.stable {
        Some(_) => written(rollout, route),
        None => (Stage::Promote, Weight::WHOLE),
    };
    let is_same = has_weight && (stage, weight) == (rollout.stage, rollout.weight);
    // An order to promote changes the stage before it changes the route. Has the route changed since, the
    // state is older than that.
    let is_ordered = has_weight
        && rollout.stage == Stage::Promote
        && rollout.weight != Weight::WHOLE
        && weight <= rollout.weight;
    if is_same && let Some(at) = written_before {
        // It was taken away and given again since the state was stored.
        rollout.progressed_at = rollout.progressed_at.max(at);
    }
    if is_same || is_newer || is_ordered {
        return;
    }
    rollout.stage = stage;
    rollout.weight = weight;
    rollout.weight_at = now;
    rollout.proven_at = None;
    rollout.passed_at = None;
    rollout.consent = None;
    let written_at = route.written_at.min(now);
    rollout.progressed_at = rollout.progressed_at.max(written_at);
    rollout.first_weight_at.get_or_insert(written_at);
}

/// The stage that the route was written for, and its weight. What we noted counts only where somebody else
/// wrote the weights: else they tell the stage themselves, and nobody can edit them unseen.
fn written(rollout: &Rollout, route: &Route) -> (Stage, Weight) {
    let steps = &rollout.plan.steps;
    let found = route.weight(&rollout.candidate);
    if route.foreign_writer.is_none() && !found.is_zero() {
        let reached = steps.iter().rposition(|step| step.weight() <= found);
        let stage = match reached {
            _ if found == Weight::WHOLE || steps.is_empty() => Stage::Promote,
            step => Stage::Step(step.unwrap_or_default()),
        };
        return (stage, found);
    }
    let last = steps.len().checked_sub(1);
    let step = route.step.zip(last).map(|(step, last)| step.min(last));
    let planned = step.and_then(|step| steps.get(step));
    (
        step.map_or(Stage::Promote, Stage::Step),
        planned.map_or(Weight::WHOLE, crate::Step::weight),
    )
}

/// Whether a state knows another stable revision than the route that we wrote last. A promotion writes
/// no route, hence the candidate may be it too.
fn is_outdated(state: &State, world: &World, route: &Route) -> bool {
    let noted = route.stable.is_some() || route.candidate.is_some();
    let promoted = state.stable.is_some() && state.stable == route.candidate;
    let exists = |name: &&RevisionName| world.revisions.contains_key(*name);
    noted && state.stable.as_ref() != route.stable.as_ref().filter(exists) && !promoted
}

/// The candidate of the route, if it ended as the stable revision.
fn promoted<'a>(world: &World, route: &'a Route) -> Option<&'a RevisionName> {
    let candidate = route.candidate.as_ref()?;
    // Whatever step somebody else may have noted.
    let has_all = route.foreign_writer.is_none() && route.weight(candidate) == Weight::WHOLE;
    let ended = (route.step.is_none() || has_all)
        && world.record(candidate).is_some_and(Record::is_promoted);
    ended.then_some(candidate)
}

fn from_world(turn: &mut Turn<'_>) {
    let world = turn.world;
    match &world.route {
        Some(route) => from_route(turn, route),
        // Somebody deleted the route: what was promoted last is what should serve. Once the target has
        // its pods back, the route is gone because we removed it.
        None if !world.deleting || world.target.as_ref().is_some_and(|t| t.replicas == 0) => {
            turn.state.stable = last_promoted(world);
        }
        None => {}
    }
    let at_zero = world.target.as_ref().is_none_or(|t| t.replicas == 0);
    turn.state.released |= turn.state.stable.is_some() && at_zero;
    // Should somebody have taken the pods of the stable one, the candidate's are the best that there is to go by.
    let candidate = turn.state.rollout.iter().map(|rollout| &rollout.candidate);
    let serving = turn.state.stable.iter().chain(candidate);
    let workloads = serving.filter_map(|name| world.revisions.get(name)?.workload.as_ref());
    let sizes: Vec<u32> = workloads.map(|workload| workload.replicas).collect();
    if let Some(first) = sizes.first() {
        let has = sizes.iter().find(|size| **size > 0).unwrap_or(first);
        let own = world.target.as_ref().map_or(0, |target| target.replicas);
        let size = Some(own.max(*has)).filter(|size| *size > 0);
        turn.state.adopted_replicas = turn.state.adopted_replicas.or(size);
    }
}

fn from_route(turn: &mut Turn<'_>, route: &Route) {
    let world = turn.world;
    let exists = |name: &&RevisionName| world.revisions.contains_key(*name);
    if let Some(promoted) = promoted(world, route) {
        turn.state.stable = Some(promoted.clone());
        return;
    }
    turn.state.stable = route.stable.as_ref().filter(exists).cloned();
    let Some(candidate) = route.candidate.as_ref().filter(exists) else {
        if turn.state.stable.is_none() {
            turn.state.stable = last_promoted(world).or_else(|| largest(route).cloned());
        }
        return;
    };
    let gated = turn.state.stable.is_some();
    let rollout = Rollout::new(candidate.clone(), turn.plan.clone(), gated, turn.now);
    turn.state.rollout = Some(rollout);
}

fn largest(route: &Route) -> Option<&RevisionName> {
    let largest = route.weights.iter().max_by_key(|(_, weight)| **weight);
    largest.map(|(name, _)| name)
}

/// The revision that was promoted last, of those that have pods if any has.
fn last_promoted(world: &World) -> Option<RevisionName> {
    let promoted = world.revisions.iter().filter_map(|(name, revision)| {
        let record = revision.record.as_ref().filter(|r| r.is_promoted())?;
        let workload = revision.workload.as_ref();
        let runs = workload.is_some_and(|workload| workload.replicas > 0);
        Some((runs, record.at, name))
    });
    promoted.max().map(|(_, _, name)| name.clone())
}
