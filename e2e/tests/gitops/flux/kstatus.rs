//! What kstatus, by which Flux waits, makes of a Canary in each phase of its life.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use e2e::delivery::Delivery;
use e2e::stage::{App, Recording, eventually};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::{DeleteParams, DynamicObject};
use sluice_crds::{Canary, Phase};

use super::{RATE, ROLLOUT, SHOP};

/// A Canary as it comes, through a promotion, a rejection, a rollout without requests that holds and then
/// stalls, and its end; every version of it that the API server ever showed.
pub(crate) async fn reads_every_phase_right(delivery: &Delivery) -> Result<()> {
    let scene = delivery.stage.scene("flux-kstatus").await?;
    let v1 = App::new(SHOP, "v1");
    scene.deploy(&v1).await?;
    let told = scene.record_canary(SHOP).await?;
    let inconclusive = "inconclusive: {after: 3s, action: Hold}\n";
    scene
        .adopt(&v1, &format!("replicas: 2\n{inconclusive}"))
        .await?;
    let load = scene.load(SHOP, 8080, RATE).await?;
    for tag in ["v2", "v3-fail20"] {
        let app = v1.tagged(tag);
        scene.deploy(&app).await?;
        scene.outcome(&app, ROLLOUT).await?;
    }
    for suspended in [true, false] {
        scene.suspend(SHOP, suspended).await?;
        let reason = if suspended { "Suspended" } else { "Rejected" };
        scene.told(SHOP, reason, &[], ROLLOUT).await?;
    }
    load.stop().await;
    scene.deploy(&v1.tagged("v4")).await?;
    let holding = scene.phase(SHOP, Phase::Holding, ROLLOUT).await?;
    scene
        .until(SHOP, "Stalled", ROLLOUT, |status| {
            let mut conditions = status.conditions.iter();
            conditions.any(|c| c.type_ == "Stalled").then_some(())
        })
        .await
        .with_context(|| format!("{holding:?}"))?;
    scene
        .api::<Canary>()
        .delete(SHOP, &DeleteParams::default())
        .await?;
    eventually("going", ROLLOUT, async || {
        let all = told.all();
        let last = all.last().map(|seen| seen.what.metadata.clone());
        let going = last.is_some_and(|last| last.deletion_timestamp.is_some());
        Ok(if going { Ok(()) } else { Err("not yet") })
    })
    .await?;

    let seen = fits(delivery, &told).await?;
    let wanted = [
        "new",
        "going",
        "suspended",
        "Stalled",
        "Initializing",
        "Progressing",
        "Holding",
        "Promoting",
        "Finalising",
        "Succeeded",
        "Failed",
    ];
    let missing: Vec<_> = wanted.iter().filter(|w| !seen.contains(**w)).collect();
    ensure!(missing.is_empty(), "never seen: {missing:?} of {seen:?}");
    scene.close().await
}

/// Fails unless kstatus read every version of a Canary as its phase means it; returns what was seen.
pub(crate) async fn fits(
    delivery: &Delivery,
    told: &Recording<Canary>,
) -> Result<BTreeSet<String>> {
    let versions: Vec<Canary> = told.all().into_iter().map(|seen| seen.what).collect();
    let objects: Result<Vec<DynamicObject>, _> = versions
        .iter()
        .map(|canary| serde_json::from_value(serde_json::to_value(canary)?))
        .collect();
    let judged = delivery.flux().await?.kstatus(&objects?).await?;
    let mut seen = BTreeSet::new();
    for (canary, judged) in versions.iter().zip(judged) {
        let (name, wanted) = meaning(canary);
        ensure!(
            judged.status == wanted,
            "{name} should be {wanted}, and kstatus says {judged:?}: {:?}",
            canary.status
        );
        seen.insert(name);
    }
    Ok(seen)
}

/// What a Canary stands for to whoever waits for it: its state by name, and kstatus' word for it.
fn meaning(canary: &Canary) -> (String, &'static str) {
    let status = canary.status.clone().unwrap_or_default();
    let read = status.observed_generation == canary.metadata.generation;
    let stalled = status.conditions.iter().any(|c| c.type_ == "Stalled");
    if canary.metadata.deletion_timestamp.is_some() {
        return ("going".to_owned(), "Terminating");
    }
    let is_suspended = |c: &Condition| c.type_ == "Ready" && c.reason == "Suspended";
    if read && !stalled && status.conditions.iter().any(is_suspended) {
        return ("suspended".to_owned(), "Current");
    }
    let Some(phase) = status.phase else {
        return ("new".to_owned(), "InProgress");
    };
    if !read {
        return ("changed".to_owned(), "InProgress");
    }
    if stalled {
        return ("Stalled".to_owned(), "Failed");
    }
    // A service without a waypoint, or a write refused: it serves, and not as it should.
    let unwell = ["WaypointNotBound", "WriteRefused"];
    let mut conditions = status.conditions.iter();
    if conditions.any(|c| c.type_ == "Ready" && unwell.contains(&c.reason.as_str())) {
        return ("unwell".to_owned(), "InProgress");
    }
    let word = match phase {
        // A rejected template leaves a healthy service behind.
        Phase::Succeeded | Phase::Failed => "Current",
        Phase::Initializing
        | Phase::Waiting
        | Phase::Progressing
        | Phase::Holding
        | Phase::Promoting
        | Phase::Finalising => "InProgress",
    };
    (format!("{phase:?}"), word)
}
