//! What a look at a Canary leaves in its status.

use chrono::TimeDelta;
use kube::ResourceExt as _;
use kube::api::ApiResource;
use serde_json::json;
use sluice_core::{Decision, Effect, Time, Waiting};
use sluice_crds::{Canary, CanaryStatus};

use crate::apply::{WriteError, Writer};
use crate::memory::Memory;
use crate::observe::Observed;
use crate::record::foresight::Premise;
use crate::record::{conditions, status};

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
