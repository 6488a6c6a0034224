//! The status is gone and the controller starts anew: what counts is still written elsewhere.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::cluster::Shares;
use e2e::stage::{App, Scene, Stage, eventually, no_failure, serves};
use kube::api::{Patch, PatchParams};
use serde_json::json;
use sluice_crds::{Canary, CanaryStatus, Phase};
use tokio::time::Instant;

/// At each step, while the candidate takes all requests, and while the old version drains: no request
/// changes its way, and the rollout goes on from there and ends well.
pub(crate) async fn at_every_step_no_traffic_moves(stage: &Stage) -> Result<()> {
    let scene = stage.scene("lost").await?;
    let v1 = App::new("shop", "v1");
    scene.deploy(&v1).await?;
    let load = scene.load("shop", 8080, 300.0).await?;
    let more =
        "replicas: 2\nsteps: [{weight: 10%, bake: 2s}, {weight: 50%, bake: 2s}]\ndrainDelay: 5s\n";
    scene.adopt(&v1, more).await?;
    let old = scene.revision_of(&v1).await?;
    let routed = scene.record_weights("shop").await?;
    let v2 = v1.tagged("v2");
    scene.deploy(&v2).await?;
    let new = scene.at_step(&v2, 1, Duration::from_secs(20)).await?;
    rewritten(&scene).await?;
    for step in [1, 2] {
        scene.at_step(&v2, step, Duration::from_secs(30)).await?;
        let before = generation(&scene).await?;
        lose(&scene).await?;
        // It is proven and judged anew.
        let again = scene.at_step(&v2, step, Duration::from_secs(20)).await?;
        ensure!(again == new, "another revision is judged: {again}");
        let after = generation(&scene).await?;
        ensure!(
            after == before,
            "step {step}: the route was written: generation {before}, then {after}"
        );
    }

    let whole = |revision: &String| Shares::from([(revision.clone(), 100.0)]);
    eventually("all requests to v2", Duration::from_secs(20), async || {
        let weights = scene.weights("shop").await?;
        let all = weights == whole(&new);
        Ok(if all {
            Ok(())
        } else {
            Err(format!("{weights:?}"))
        })
    })
    .await?;
    let status = scene.status("shop").await?;
    ensure!(
        status.stable.as_deref() == Some(old.as_str()),
        "too late to lose it while promoting: {status:?}"
    );
    let before = generation(&scene).await?;
    lose(&scene).await?;
    let is_stable = |status: &CanaryStatus| {
        let drains = status.draining.iter().any(|entry| entry.revision == old);
        let promoted = status.stable.as_deref() == Some(new.as_str()) && status.rollout.is_none();
        (promoted && drains).then_some(())
    };
    let what = "v2 promoted, v1 draining";
    scene
        .until("shop", what, Duration::from_secs(20), is_stable)
        .await?;

    let lost = Instant::now();
    lose(&scene).await?;
    scene
        .until("shop", what, Duration::from_secs(20), is_stable)
        .await?;
    ensure!(!scene.pods(&old).await?.is_empty(), "{old} lost its pods");
    let end = scene.outcome(&v2, Duration::from_secs(40)).await?;
    serves(&end, &new)?;
    let drained = lost.elapsed();
    ensure!(
        drained >= Duration::from_secs(4),
        "the old version drained for {drained:?} after the loss"
    );
    let after = generation(&scene).await?;
    ensure!(
        after == before,
        "the route was written: generation {before}, then {after}"
    );
    let split = |share: f64| Shares::from([(old.clone(), 100.0 - share), (new.clone(), share)]);
    let expected = [whole(&old), split(10.0), split(50.0), whole(&new)];
    let said: Vec<_> = routed
        .all()
        .into_iter()
        .map(|seen| seen.what.weights)
        .collect();
    ensure!(said == expected, "{said:#?}, not {expected:#?}");
    no_failure(&load.stop().await)?;
    scene.close().await
}

/// Wiped behind the back of a Sluice that runs: it is written again as it was.
async fn rewritten(scene: &Scene<'_>) -> Result<()> {
    let before = scene.status("shop").await?.rollout.context("no rollout")?;
    wipe(scene).await?;
    let as_before = |status: &CanaryStatus| {
        let rollout = status.rollout.as_ref()?;
        let same =
            rollout.started_at == before.started_at && rollout.step_since == before.step_since;
        (same && rollout.candidate == before.candidate).then_some(())
    };
    let patience = Duration::from_secs(5);
    scene
        .until("shop", "the same status again", patience, as_before)
        .await
}

/// After a rejection: it is known from the snapshot, and said again.
pub(crate) async fn a_rejection_stays(stage: &Stage) -> Result<()> {
    let scene = stage.scene("lost-rejection").await?;
    let v1 = App::new("shop", "v1");
    scene.deploy(&v1).await?;
    let load = scene.load("shop", 8080, 300.0).await?;
    scene.adopt(&v1, "replicas: 2\n").await?;
    let old = scene.revision_of(&v1).await?;
    let v2 = v1.tagged("v2-fail50");
    scene.deploy(&v2).await?;
    let end = scene.outcome(&v2, Duration::from_secs(30)).await?;
    ensure!(
        end.phase == Some(Phase::Failed),
        "v2 was not rejected: {end:?}"
    );
    let new = scene.revision_of(&v2).await?;
    scene.pods_gone(&new, Duration::from_secs(20)).await?;
    // Of v2 bad answers came; from here on there is none.
    load.stop().await;
    let load = scene.load("shop", 8080, 300.0).await?;

    let routed = scene.record_weights("shop").await?;
    let before = generation(&scene).await?;
    lose(&scene).await?;
    let failed = scene
        .phase("shop", Phase::Failed, Duration::from_secs(20))
        .await?;
    ensure!(failed.stable.as_deref() == Some(old.as_str()), "{failed:?}");
    ensure!(
        failed.candidate.as_deref() == Some(new.as_str()),
        "not named: {failed:?}"
    );
    // Time enough to begin again, if it were to.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let later = scene.status("shop").await?;
    ensure!(later.phase == Some(Phase::Failed), "{later:?}");
    ensure!(scene.pods(&new).await?.is_empty(), "{new} has pods again");
    ensure!(generation(&scene).await? == before, "the route was written");
    let named = routed
        .all()
        .into_iter()
        .any(|seen| seen.what.weights.contains_key(&new));
    ensure!(!named, "{new} has weight again: {:?}", routed.all());
    let report = load.stop().await;
    no_failure(&report)?;
    let served = &report.totals.versions;
    ensure!(served.keys().eq(["v1"]), "users met {served:?}");
    scene.close().await
}

/// Kills Sluice, wipes the status, and starts Sluice again.
async fn lose(scene: &Scene<'_>) -> Result<()> {
    let controller = &scene.stage.controller;
    controller.kill().await?;
    wipe(scene).await?;
    controller.restart().await
}

async fn wipe(scene: &Scene<'_>) -> Result<()> {
    let wiped = Patch::Merge(json!({"status": null}));
    let api = scene.api::<Canary>();
    let canary = api
        .patch_status("shop", &PatchParams::default(), &wiped)
        .await?;
    // What the API server puts there by itself.
    let unread = CanaryStatus {
        observed_generation: Some(-1),
        ..CanaryStatus::default()
    };
    let left = canary.status.unwrap_or_default();
    ensure!(left == unread, "the status was not wiped: {left:?}");
    Ok(())
}

/// Of the one route: it grows with each change of its spec.
async fn generation(scene: &Scene<'_>) -> Result<i64> {
    let routes = scene.routes("shop").await?;
    routes
        .first()
        .and_then(|route| route.metadata.generation)
        .context("no route")
}
