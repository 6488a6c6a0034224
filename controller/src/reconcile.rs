//! One look at one Canary: observe → parse → decide → apply → record.

mod failure;
mod report;
mod want;

use std::sync::Arc;
use std::time::Duration;

use chrono::{TimeDelta, Utc};
use kube::Client;
use kube::runtime::controller::Action;
use kube::runtime::events::Recorder;
use kube::runtime::reflector::ObjectRef;
use sluice_core::{Decision, Note, Plan, Time, World, decide};
use sluice_crds::{Canary, PolicySpec, Source, Waiver};

use crate::apply::{self, EffectError, Scene, Writer};
use crate::bundle::{Look, Recording};
use crate::client::Silence;
use crate::evidence::Reader;
use crate::memory::{Memories, Memory};
use crate::metrics::{Metrics, Outcome};
use crate::observe::observed::Policy;
use crate::observe::{Absence, Caches, Observed};
use crate::parse::revisions::Known;
use crate::parse::{self, Pinned};
use crate::subscription;

pub use failure::{Error, retry};

/// How soon to look again when the caches lag behind our last write; usually their change comes first.
const BEHIND: Duration = Duration::from_millis(500);

/// How soon to ask again for a place among the rollouts of a policy.
const PLACE_POLL: TimeDelta = TimeDelta::seconds(5);

/// What every reconcile shares.
pub struct Context {
    /// For writes, and the rare read of what no cache keeps.
    pub client: Client,
    /// Until when the API server asked that client to be silent.
    pub silence: Silence,
    /// What is known of the cluster.
    pub caches: Caches,
    /// When the API server was away.
    pub absence: Absence,
    /// What the metrics say.
    pub reader: Reader,
    /// The namespace that Sluice runs in.
    pub home: String,
    /// What is remembered of each Canary.
    pub memories: Memories,
    /// For Events.
    pub recorder: Recorder,
    /// For Prometheus.
    pub metrics: Metrics,
    /// The plan where neither a Canary nor a policy says anything.
    pub built_in: Plan,
    /// Where every decision of a rollout is kept, if anywhere.
    pub recording: Recording,
}

/// Looks at a Canary once.
///
/// # Errors
/// When something could not be written; nothing is remembered then, and it is decided again.
pub async fn reconcile(canary: Arc<Canary>, context: Arc<Context>) -> Result<Action, Error> {
    if let Some(left) = context.silence.left() {
        context.metrics.reconciled(Outcome::Silent);
        return Ok(Action::requeue(left));
    }
    let key = ObjectRef::from_obj(canary.as_ref());
    let memory = context.memories.of(&key);
    let mut memory = memory.lock().await;
    if memory.is_behind(&context.caches) {
        context.metrics.reconciled(Outcome::Behind);
        return Ok(Action::requeue(BEHIND));
    }
    // The one that came with the request was read before, and may be older than our last write.
    let Some(canary) = context.caches.canaries.get(&key) else {
        return Ok(Action::await_change());
    };
    let result = look(canary, &context, &key, &mut memory).await;
    let outcome = match &result {
        Ok((outcome, _)) => *outcome,
        Err(_) => Outcome::Failed,
    };
    context.metrics.reconciled(outcome);
    if result.is_ok() {
        context.memories.succeeded(&key);
    }
    result.map(|(_, action)| action)
}

async fn look(
    canary: Arc<Canary>,
    context: &Context,
    key: &ObjectRef<Canary>,
    memory: &mut Memory,
) -> Result<(Outcome, Action), Error> {
    let now = Utc::now();

    // Observe.
    let stored = canary.status.clone().unwrap_or_default();
    let observed = Observed::collect(&context.caches, canary, &context.home);
    let uid = observed.canary.metadata.uid.as_deref();
    memory.recall(uid, &stored, now);
    let past = context.reader.past(key);
    memory.learn(&past);

    // Parse.
    let known = Known::of(&observed);
    let identified = parse::target::identify(&observed, &known);
    let promoted = parse::promoted::identify(&observed, &known, identified.as_ref());
    let sections = parse::plan::in_force(&observed);
    let parsed = parse::plan::parse(&sections);
    let plan = plan_in_force(context, memory, &observed.policy, parsed.as_ref().ok());
    let own = &observed.canary.spec.policy;
    follow(memory, &observed, &sections);
    want::watch(context, key, &observed, memory, &sections);
    let pinned = memory.pinned.as_ref();
    let route = pinned
        .map_or(&sections, |pinned| &pinned.sections)
        .route
        .clone();
    let scene = Scene {
        observed: &observed,
        known: &known,
        identified: identified.as_ref(),
        promoted: promoted.as_ref(),
        route: route.as_ref(),
    };
    let mut world = World {
        refused: memory.refused.take(),
        traffic: memory.traffic,
        ..world(
            context,
            key,
            &scene,
            &sections,
            want::judged(memory, &sections),
            parsed.as_ref().map(|_| ()).err(),
        )
    };

    // Decide.
    let mut decision = decide(&plan, &memory.state, &world, now);
    // Going back waits for nobody.
    let waits = starts(&decision) == Some(false) && !enter(context, key, &observed.policy);
    if waits {
        world.blocked = Some(parse::blockers::no_place());
        decision = decide(&plan, &memory.state, &world, now);
    }
    context.recording.look(key, || Look {
        plan: plan.clone(),
        state: memory.state.clone(),
        world,
        now,
        decision: decision.clone(),
    });
    if waits {
        decision.wake_at = Some(now + PLACE_POLL);
    }
    let mesh_is_held = parse::mesh::is_held(Some(&stored));
    let pinned = pinned_by(&decision, memory, own, &sections, mesh_is_held);

    // Apply.
    let writer = Writer::new(
        context.client.clone(),
        observed.namespace.clone(),
        Arc::clone(&memory.expected),
        context.metrics.clone(),
    );
    let refused = match apply::run(&writer, &scene, &decision.effects).await {
        Ok(refused) => refused,
        Err(error) if error.is_conflict() => {
            tracing::info!(%error, "decided anew");
            return Ok((Outcome::Outrun, Action::requeue(BEHIND)));
        }
        Err(source) => {
            memory.refused = source.refusal();
            if let Some(words) = &memory.refused {
                report::refusal(&writer, &observed, &stored, words, now).await?;
            }
            return Err(Error::Effect { source, wake: None });
        }
    };
    memory.refused = refused.iter().find_map(EffectError::refusal);
    memory.adopt(&decision, pinned.clone(), plan.clone(), now);
    match (&decision.state.rollout, &observed.policy) {
        (Some(_), Policy::Found { reference, .. }) => context.memories.hold(key, reference),
        (Some(_), Policy::BuiltIn | Policy::Missing(_)) => {}
        (None, _) => context.memories.leave(key),
    }

    // Record.
    report::events(&context.recorder, &scene, &mut memory.news.events).await;
    context
        .metrics
        .decided(&observed.namespace, &observed.name, &decision);
    want::say(context, key, &observed, memory, &sections);
    let premise = want::premise(&decision, plan, memory, &sections, past);
    let told = report::progress(&writer, &observed, &decision, memory, &stored, premise, now);
    let wait = told.await?;
    let wake = wake(&decision, wait, now);
    outcome(refused, decision.effects.is_empty(), wake)
}

/// What became of the effects, of which these failed.
fn outcome(
    failed: Vec<EffectError>,
    idle: bool,
    wake: Option<Duration>,
) -> Result<(Outcome, Action), Error> {
    let (outrun, failed): (Vec<_>, Vec<_>) = failed.into_iter().partition(EffectError::is_conflict);
    if let Some(source) = failed.into_iter().next() {
        return Err(Error::Effect { source, wake });
    }
    if let Some(error) = outrun.first() {
        tracing::info!(%error, "looked at again");
        let soon = wake.map_or(BEHIND, |wake| wake.min(BEHIND));
        return Ok((Outcome::Outrun, Action::requeue(soon)));
    }
    let outcome = if idle {
        Outcome::Idle
    } else {
        Outcome::Written
    };
    Ok((
        outcome,
        wake.map_or_else(Action::await_change, Action::requeue),
    ))
}

fn world(
    context: &Context,
    key: &ObjectRef<Canary>,
    scene: &Scene<'_>,
    sections: &PolicySpec,
    judged: &PolicySpec,
    plan_error: Option<&parse::plan::PlanError>,
) -> World {
    let observed = scene.observed;
    let blocked = parse::blockers::find(observed, judged, plan_error.map_or(Ok(()), Err));
    let route = parse::world::live_route(observed, |read| apply::effects::rendered(scene, read));
    let mut evidence = context.reader.evidence(key);
    if sections.metrics.is_none() {
        evidence.problem = Some(subscription::NO_ADDRESS.to_owned());
    }
    for (slo, error) in subscription::unaskable(observed, judged) {
        evidence.gaps.insert(slo.to_owned(), error.to_string());
    }
    let waivers = &observed.canary.spec.waivers;
    if waivers.contains(&Waiver::AroundWaypoint) {
        // Accepted since they were seen.
        evidence.callers.clear();
        // A waypoint counts none of these: what contradicts the weight there is the mesh's own.
        evidence.around_waived = judged.source != Some(Source::IstioWaypoint);
    }
    let behind = context.absence.mesh_behind_until();
    let world = parse::world::parse(
        observed,
        scene.known,
        scene.identified,
        blocked,
        route,
        evidence,
        behind,
    );
    World {
        promoted: scene.promoted.map(parse::promoted::parse),
        leaving: context.reader.leaving(key),
        ..world
    }
}

/// What is pinned, and follows edits for all that.
fn follow(memory: &mut Memory, observed: &Observed, sections: &PolicySpec) {
    let own = &observed.canary.spec.policy;
    let Some(pinned) = &mut memory.pinned else {
        return;
    };
    if memory.state.rollout.is_none() {
        pinned.follow_route(own, sections);
    }
    if !parse::mesh::is_held(observed.canary.status.as_ref()) {
        pinned.follow_mesh(own, sections);
    }
}

/// The plan of whatever starts now. A policy that is gone or wrong must not cut short what the last good one
/// promised.
fn plan_in_force(
    context: &Context,
    memory: &Memory,
    policy: &Policy,
    parsed: Option<&Plan>,
) -> Plan {
    match (parsed, policy) {
        (Some(plan), Policy::Found { .. } | Policy::BuiltIn) => plan.clone(),
        // Nothing starts by the built-in one: an invalid spec blocks.
        _ => memory
            .last_plan()
            .unwrap_or_else(|| context.built_in.clone()),
    }
}

/// Whether a rollout starts, and if so, whether it goes back.
fn starts(decision: &Decision) -> Option<bool> {
    decision.notes.iter().find_map(|note| match note {
        Note::Started { going_back, .. } => Some(*going_back),
        _ => None,
    })
}

/// The sections that are pinned from now on.
fn pinned_by(
    decision: &Decision,
    memory: &Memory,
    own: &PolicySpec,
    sections: &PolicySpec,
    mesh_is_held: bool,
) -> Option<Pinned> {
    let pinned = memory.pinned.clone();
    if starts(decision).is_none() && pinned.is_some() {
        return pinned;
    }
    let mut new = Pinned::new(own, sections.clone());
    if let Some(before) = pinned.filter(|_| mesh_is_held) {
        // The word that holds is the one of before.
        new.own_mesh = before.own_mesh;
    }
    Some(new)
}

/// Takes a place among the rollouts of the policy, if its `maxConcurrent` leaves one.
fn enter(context: &Context, key: &ObjectRef<Canary>, policy: &Policy) -> bool {
    match policy {
        Policy::Found {
            reference,
            max_concurrent,
            ..
        } => context.memories.enter(key, reference, *max_concurrent),
        Policy::BuiltIn | Policy::Missing(_) => true,
    }
}

/// How long to sleep, unless something changes before.
fn wake(decision: &Decision, held_back: Option<TimeDelta>, now: Time) -> Option<Duration> {
    let wake = decision.wake_at.map(|at| at - now);
    let delta = [wake, held_back].into_iter().flatten().min()?;
    // A moment more: a timer that fires early would decide nothing and sleep again.
    Some(delta.to_std().unwrap_or_default() + Duration::from_millis(5))
}

/// Gives rollouts that are under way as the program starts their places, before any other can take
/// them.
pub fn resume(context: &Context) {
    for canary in context.caches.canaries.state() {
        let rolling = canary
            .status
            .as_ref()
            .is_some_and(|status| status.rollout.is_some());
        if let (true, Policy::Found { reference, .. }) =
            (rolling, Policy::of(&context.caches, &canary))
        {
            context
                .memories
                .hold(&ObjectRef::from_obj(canary.as_ref()), &reference);
        }
    }
}

/// Forgets a Canary that is gone.
pub fn forget(context: &Context, key: &ObjectRef<Canary>) {
    context.memories.forget(key);
    context.reader.watch(key.clone(), None);
    context.reader.subscribe(key.clone(), None);
    context.reader.remember(key.clone(), None);
    context.recording.forget(key);
    if let Some(namespace) = &key.namespace {
        context.metrics.forget(namespace, &key.name);
    }
}
