//! What a look at a Canary leaves in its status.

use chrono::TimeDelta;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::api::ApiResource;
use kube::runtime::events::Recorder;
use kube::{Resource as _, ResourceExt as _};
use serde_json::json;
use sluice_core::{Decision, Effect, Note, RevisionName, Time, Waiting};
use sluice_crds::{Canary, CanaryStatus, TargetKind};

use crate::apply::{Scene, WriteError, Writer};
use crate::memory::Memory;
use crate::observe::{Observed, kinds};
use crate::record::foresight::Premise;
use crate::record::{conditions, event, status};
use crate::render::difference::{Content, differences};

/// How soon to try again to publish an Event that was not taken.
const UNTOLD: TimeDelta = TimeDelta::seconds(5);

/// Writes the status if it is due; tells how soon there is more to tell.
pub(super) async fn progress(
    writer: &Writer,
    observed: &Observed,
    decision: &Decision,
    memory: &mut Memory,
    stored: &CanaryStatus,
    premise: Premise,
    now: Time,
) -> Result<Option<TimeDelta>, WriteError> {
    if observed.canary.spec.suspend {
        suspension(writer, observed, decision, stored, now).await?;
        return Ok(None);
    }
    let traffic = premise.traffic;
    let foresight = memory.foresight.claim(premise);
    let told = status::Told {
        decision,
        refused: memory.refused.clone(),
        ended: &memory.news.ended,
        foresight: foresight.as_ref(),
        traffic,
    };
    let next = status::of(observed, &told, memory.pinned.as_ref(), stored, now);
    let released = decision.effects.contains(&Effect::Release);
    let due = status::due(decision, stored, &next);
    if due == status::Due::Never {
        memory.news.ended.clear();
    }
    let untold = (!memory.news.events.is_empty()).then_some(UNTOLD);
    let Some(wait) = memory.words.wait(due, now).filter(|_| !released) else {
        return Ok(untold);
    };
    if wait > TimeDelta::zero() {
        return Ok(Some(untold.map_or(wait, |untold| untold.min(wait))));
    }
    write_status(writer, observed, &next).await?;
    memory.words.written();
    memory.news.ended.clear();
    Ok(untold)
}

/// Says once that nothing more is written, so that whoever waits for the Canary knows that its spec was seen. Not
/// where the app itself is removed: that goes on, and the Canary with it.
async fn suspension(
    writer: &Writer,
    observed: &Observed,
    decision: &Decision,
    stored: &CanaryStatus,
    now: Time,
) -> Result<(), WriteError> {
    let generation = observed.canary.metadata.generation;
    let waits = decision.waiting == Some(Waiting::Suspended);
    match status::suspended(decision, generation, stored, now).filter(|_| waits) {
        Some(next) => write_status(writer, observed, &next).await,
        None => Ok(()),
    }
}

/// Puts the API server's words into the status as it is: what was decided is not remembered.
pub(super) async fn refusal(
    writer: &Writer,
    observed: &Observed,
    stored: &CanaryStatus,
    words: &str,
    now: Time,
) -> Result<(), WriteError> {
    let generation = observed.canary.metadata.generation;
    let conditions = conditions::refused(&stored.conditions, words, generation, now);
    if conditions == stored.conditions {
        return Ok(());
    }
    let next = CanaryStatus {
        conditions,
        ..stored.clone()
    };
    write_status(writer, observed, &next).await
}

/// Publishes what happened, unless the Canary is suspended.
pub(super) async fn events(recorder: &Recorder, scene: &Scene<'_>, news: &mut Vec<Note>) {
    let canary = &scene.observed.canary;
    if canary.spec.suspend {
        return;
    }
    let target = event::Target {
        object: target(scene.observed),
        changes: &|serves| changes(scene, serves),
    };
    event::publish(recorder, canary, &target, news).await;
}

/// The template source, as an Event names it.
fn target(observed: &Observed) -> Option<ObjectReference> {
    let kind = match observed.canary.spec.target_ref.kind {
        TargetKind::Deployment => kinds::deployment(),
        TargetKind::PodTemplate => kinds::pod_template(),
    };
    observed
        .target
        .as_ref()
        .map(|target| target.object_ref(&kind))
}

/// What the target's template would change of a revision.
fn changes(scene: &Scene<'_>, of: &RevisionName) -> Vec<String> {
    let (Some(old), Some(new)) = (scene.known.get(of), scene.identified) else {
        return Vec::new();
    };
    let old = Content {
        template: old.template,
        config: &old.config,
    };
    let new = Content {
        template: &new.template,
        config: &new.config,
    };
    let ignored = &scene.observed.canary.spec.ignore_template_fields;
    differences(old, new, ignored)
}

async fn write_status(
    writer: &Writer,
    observed: &Observed,
    status: &CanaryStatus,
) -> Result<(), WriteError> {
    let object = json!({
        "apiVersion": "sluice.dev/v1alpha1",
        "kind": "Canary",
        "metadata": {"name": observed.canary.name_any()},
        "status": status,
    });
    writer
        .apply_status(&ApiResource::erase::<Canary>(&()), "Canary", &object)
        .await
}
