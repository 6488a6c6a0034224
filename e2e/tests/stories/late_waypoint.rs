//! A waypoint whose configuration comes late, though istiod says that the route is in force.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::load::{Ended, Load};
use e2e::stage::{App, Scene, Stage, Turn, condition, no_failure, says};
use k8s_openapi::api::core::v1::Pod;
use sluice_crds::Phase;
use tokio::time::sleep;

use crate::draining::{last_at, turned};

/// Three scrapes and `settle` fit in it: before, nobody can tell that the waypoint is late.
const DRAIN: Duration = Duration::from_secs(6);
const POLICY: &str = "replicas: 2\ndrainDelay: 6s\n\
    steps: [{weight: 30%, bake: 30s}]\n\
    slos: [{name: availability, objective: 99%, availability: {}}]\n";
/// The waypoint is behind for longer than two drains.
const LATE: Duration = Duration::from_secs(15);
/// Envoy tries again by and by, and the connections that it has get one more answer by old weights.
const CAUGHT_UP: Duration = Duration::from_secs(15);

/// What left the route keeps its pods as long as the waypoint asks it, and for a drain from then on: no request
/// fails.
pub(crate) async fn what_it_still_asks_keeps_its_pods(stage: &Stage) -> Result<()> {
    let istiod = stage.cluster.relay_to_istiod().await?;
    let scene = stage.scene_behind(&istiod, "late-waypoint").await?;
    let v1 = App::new("shop", "v1");
    scene.deploy(&v1).await?;
    scene.adopt(&v1, POLICY).await?;
    let load = scene.load("shop", 8080, 100.0).await?;
    let pods = scene.record_lives::<Pod>("shop").await?;
    let v2 = v1.tagged("v2");
    scene.deploy(&v2).await?;
    let left = scene.at_step(&v2, 1, Duration::from_secs(30)).await?;

    istiod.cut();
    scene.deploy(&v1).await?;
    scene
        .phase("shop", Phase::Finalising, Duration::from_secs(10))
        .await?;
    sleep(LATE).await;
    let asked = still_asked(&scene, &load).await;
    istiod.mend();
    asked?;
    scene.pods_gone(&left, CAUGHT_UP + 3 * DRAIN).await?;

    let report = load.stop().await;
    no_failure(&report)?;
    let last = last_at(&report, |answer| answer.is_from("v2")).context("none of v2")?;
    let told = turned(&pods.all(), &left, Turn::Going);
    let told = *told.iter().min().context("never told to go")?;
    let kept_for = told.saturating_duration_since(last);
    ensure!(
        kept_for > DRAIN / 2,
        "the pods of v2 went {kept_for:?} after its last answer"
    );
    scene.close().await
}

/// The waypoint sends requests to what left the route, and the condition says so.
async fn still_asked(scene: &Scene<'_>, load: &Load) -> Result<()> {
    let mark = load.now();
    sleep(Duration::from_secs(2)).await;
    let answers = load.ended();
    let of_v2 = |answer: &&Ended| answer.at > mark && answer.is_from("v2");
    ensure!(
        answers.iter().any(|answer| of_v2(&answer)),
        "v2 is not asked: nothing is shown"
    );
    let status = scene.status("shop").await?;
    let ready = condition(&status, "Ready")?;
    says(
        &ready.message,
        &["it left the route, and requests to it still ended at"],
    )
}
