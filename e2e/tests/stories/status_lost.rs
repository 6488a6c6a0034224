//! The status is gone and the controller starts anew: what counts is still written elsewhere.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::cluster::Shares;
use e2e::stage::{App, Scene, Stage, no_failure};
use kube::api::{Patch, PatchParams};
use serde_json::json;
use sluice_crds::{Canary, CanaryStatus, Phase};

/// In the middle of a step: no request changes its way, the rollout goes on from there and ends well.
pub(crate) async fn in_a_step_no_traffic_moves(stage: &Stage) -> Result<()> {
    let scene = stage.scene("lost").await?;
    let v1 = App::new("shop", "v1");
    scene.deploy(&v1).await?;
    let load = scene.load("shop", 8080, 300.0).await?;
    scene
        .adopt(
            &v1,
            "replicas: 2\nsteps: [{weight: 10%, bake: 3s}, {weight: 50%, bake: 1s}]\n",
        )
        .await?;
    let old = scene.revision_of(&v1).await?;
    let routed = scene.record_weights("shop").await?;
    let v2 = v1.tagged("v2");
    scene.deploy(&v2).await?;
    let new = scene.at_step(&v2, 1, Duration::from_secs(20)).await?;

    let before = generation(&scene).await?;
    lose(&scene).await?;
    // It is proven and judged anew.
    let again = scene.at_step(&v2, 1, Duration::from_secs(20)).await?;
    ensure!(again == new, "another revision is judged: {again}");
    let after = generation(&scene).await?;
    ensure!(
        after == before,
        "the route was written: generation {before}, then {after}"
    );

    let end = scene.outcome(&v2, Duration::from_secs(40)).await?;
    ensure!(
        end.stable.as_deref() == Some(new.as_str()),
        "{new} does not serve: {end:?}"
    );
    let split = |share: f64| Shares::from([(old.clone(), 100.0 - share), (new.clone(), share)]);
    let whole = |revision: &String| Shares::from([(revision.clone(), 100.0)]);
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
    drop(load);
    scene.close().await
}

/// Kills Sluice, wipes the status, and starts Sluice again.
async fn lose(scene: &Scene<'_>) -> Result<()> {
    let controller = &scene.stage.controller;
    controller.kill().await?;
    let wiped = Patch::Merge(json!({"status": null}));
    let api = scene.api::<Canary>();
    let canary = api
        .patch_status("shop", &PatchParams::default(), &wiped)
        .await?;
    let left = canary.status.unwrap_or_default();
    ensure!(
        left == CanaryStatus::default(),
        "the status was not wiped: {left:?}"
    );
    controller.restart().await
}

/// Of the one route: it grows with each change of its spec.
async fn generation(scene: &Scene<'_>) -> Result<i64> {
    let routes = scene.routes("shop").await?;
    routes
        .first()
        .and_then(|route| route.metadata.generation)
        .context("no route")
}
