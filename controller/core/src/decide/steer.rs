//! What the route is to say.

use std::collections::BTreeMap;

use crate::decision::{Effect, Note, Routing};
use crate::state::{Rollout, Stage};
use crate::{Route, Weight};

use super::contest;
use super::end;
use super::turn::Turn;

pub(super) fn run(turn: &mut Turn<'_>) {
    // The route would tell of a promotion that nobody finds again, should the verdict be refused.
    if turn.world.parent.missing || end::is_untold(turn) {
        return;
    }
    let Some(routing) = routing(turn) else {
        take_back(turn);
        return;
    };
    // A backend without a Service would turn its share into errors: first the Service, then the route.
    let exists = |name| {
        turn.revision(name)
            .is_some_and(|revision| revision.service.is_some())
    };
    if !routing.weights.keys().all(exists) {
        return;
    }
    let route = turn.world.route.as_ref();
    // Without a route the Service reaches whoever has pods. A new one must not name others.
    let runs = |name| {
        let workload = turn.revision(name).and_then(|r| r.workload.as_ref());
        workload.is_some_and(|workload| workload.replicas > 0)
    };
    if route.is_none() && !routing.weights.keys().all(runs) {
        return;
    }
    if route.is_some_and(|route| says(route, &routing)) {
        return;
    }
    // A port that a backend's Service lacks would be errors as well. Moving traffic does not wait for it.
    let lacks = |name| {
        let service = turn
            .revision(name)
            .and_then(|revision| revision.service.as_ref());
        service.is_some_and(|service| service.outdated)
    };
    let moves = route.is_none_or(|route| route.weights != routing.weights);
    if !moves && routing.weights.keys().any(lacks) {
        return;
    }
    if contest::holds_up(turn, &routing) {
        return;
    }
    if let Some(writer) = route.and_then(|route| route.foreign_writer.clone()) {
        turn.notes.push(Note::RouteRestored { writer });
    }
    turn.effects.push(Effect::Route(routing));
}

/// Takes a route away that came too late, by a process that had lost its lease: its revision was given up
/// in the meantime, before it was adopted, and the target's own pods still serve.
fn take_back(turn: &mut Turn<'_>) {
    let target = turn.world.target.as_ref();
    let serves = target.is_some_and(|target| target.replicas > 0 && target.ready > 0);
    if serves && turn.world.route.is_some() {
        turn.effects.push(Effect::Unroute);
    }
}

/// Whether the route needs no write. Between rollouts what we noted on it may be old, since a promotion
/// moves nothing; but weights that somebody else wrote and an old note together would tell of what never
/// was, and no note at all tells nothing.
fn says(route: &Route, routing: &Routing) -> bool {
    let noted = route.candidate == routing.candidate && route.step == routing.step;
    let old = route.candidate.is_some() && routing.candidate.is_none();
    let ours = if route.foreign_writer.is_some() {
        noted
    } else {
        (noted && route.stable.is_some() == routing.stable.is_some()) || old
    };
    // A time that has not come yet tells nobody what is older, the route or the state.
    let timed = route.written_before(routing.at).is_some();
    ours && timed && route.intact && route.weights == routing.weights
}

/// The step to note on the route. No step means all traffic: with an order to promote, that may have to
/// wait for pods.
fn step(rollout: &Rollout) -> Option<usize> {
    let steps = &rollout.plan.steps;
    match rollout.stage {
        Stage::Step(step) => Some(step),
        _ if rollout.weight == Weight::WHOLE => None,
        _ => steps
            .iter()
            .rposition(|step| step.weight() <= rollout.weight),
    }
}

/// The route that the state asks for; `None` before anything of ours serves.
fn routing(turn: &Turn<'_>) -> Option<Routing> {
    let stable = turn.state.stable.as_ref();
    let rollout = turn
        .state
        .rollout
        .as_ref()
        .filter(|rollout| !rollout.weight.is_zero());
    let mut weights = BTreeMap::new();
    if let Some(rollout) = rollout {
        weights.insert(rollout.candidate.clone(), rollout.weight);
    }
    let rest = rollout.map_or(Weight::WHOLE, |rollout| rollout.weight.rest());
    if let Some(stable) = stable.filter(|_| !rest.is_zero()) {
        weights.insert(stable.clone(), rest);
    }
    (!weights.is_empty()).then(|| Routing {
        weights,
        stable: stable.cloned(),
        candidate: rollout.map(|rollout| rollout.candidate.clone()),
        step: rollout.and_then(step),
        at: turn.now,
    })
}
