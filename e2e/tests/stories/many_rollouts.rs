//! Rollouts by the hundred load a Prometheus like one.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::stage::{App, Scene, Stage, app, eventually};
use kube::api::ListParams;
use sluice_crds::{Canary, Phase};
use tokio::time::Instant;

use crate::sources::queries;

const CANARIES: usize = 200;
/// What counts requests, in turn; connections to candidates are counted by ztunnel besides.
const SOURCES: [&str; 2] = ["istio-waypoint", "otel-http"];
const ASKED: f64 = 3.0;
/// Two hundred apps at once, on two cores.
const PATIENCE: Duration = Duration::from_mins(5);
const SPAN: Duration = Duration::from_secs(10);
/// The policy's.
const SCRAPES_A_SECOND: f64 = 1.0;

/// Two hundred rollouts under way, of two sources: what Prometheus counts is one query for each source and scrape.
/// Their candidates have an image that nobody has: it is the rollout that is watched, not the pods.
pub(crate) async fn two_hundred_are_asked_about_at_once(stage: &Stage) -> Result<()> {
    let scene = stage.scene("many").await?;
    let policy = app::quick_policy(stage.cluster.prometheus_url());
    let apps: Vec<_> = (0..CANARIES)
        .map(|n| App::new(&format!("app-{n:03}"), "v1"))
        .collect();
    let begun = Instant::now();
    let mut yaml = Vec::new();
    for (app, source) in apps.iter().zip(SOURCES.iter().cycle()) {
        let spec = format!("replicas: 1\nsource: {source}\nprogressDeadline: 20m\n");
        let spec = app::merged(&policy, &spec);
        yaml.push(app.yaml(&scene.namespace));
        yaml.push(app::canary(&scene.namespace, &app.name, &spec));
    }
    stage.cluster.apply(&yaml.join("---\n")).await?;
    all(&scene, "adopted", |canary| {
        phase(canary) == Some(Phase::Succeeded)
    })
    .await?;
    println!(
        "many_rollouts: {CANARIES} adopted after {:?}",
        begun.elapsed()
    );

    let newer: Vec<_> = apps
        .iter()
        .map(|app| app.tagged("missing").yaml(&scene.namespace))
        .collect();
    let begun = Instant::now();
    stage.cluster.apply(&newer.join("---\n")).await?;
    let active = |canary: &Canary| {
        let status = canary.status.as_ref();
        status.is_some_and(|status| status.rollout.is_some())
    };
    all(&scene, "in a rollout", active).await?;
    println!(
        "many_rollouts: {CANARIES} under way after {:?}",
        begun.elapsed()
    );

    let before = queries(stage).await?;
    tokio::time::sleep(SPAN).await;
    let asked = queries(stage).await? - before;
    println!("many_rollouts: {asked} queries in {SPAN:?}");
    let scrapes = SPAN.as_secs_f64() * SCRAPES_A_SECOND;
    ensure!(
        asked <= ASKED * (scrapes + 1.0) && asked >= ASKED * (scrapes - 2.0),
        "{asked} queries in {scrapes} scrapes, not {ASKED} in each"
    );
    all(&scene, "still in it", active).await?;
    scene.close().await
}

fn phase(canary: &Canary) -> Option<Phase> {
    canary.status.as_ref()?.phase
}

/// Waits until this holds for every Canary.
async fn all(scene: &Scene<'_>, what: &str, holds: impl Fn(&Canary) -> bool) -> Result<()> {
    eventually(what, PATIENCE, async || {
        let canaries = scene.api::<Canary>().list(&ListParams::default()).await?;
        let so_far = canaries.iter().filter(|canary| holds(canary)).count();
        Ok(if so_far == CANARIES {
            Ok(())
        } else {
            Err(format!("{so_far} of {CANARIES}"))
        })
    })
    .await
    .with_context(|| format!("{what}: {CANARIES} Canaries"))
}
