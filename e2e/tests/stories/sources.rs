//! A rollout can be judged by any source: a good version is promoted, and one that fails is taken back with that
//! source's numbers.
//!
//! The traffic is the same in all of these stories, through the waypoint. What differs is who counts it: the app's
//! own OpenTelemetry SDK, which really pushes, or an exporter that stands in for what this machine does not have.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use e2e::stage::{App, Scene, Stage, StandIn, condition, says, serves};
use sluice_crds::{Outcome, Phase};

const RATE: f64 = 100.0;
/// A rollout by [`e2e::stage::app::quick_policy`], and telemetry that comes a second or two late.
const ENOUGH: Duration = Duration::from_secs(45);
/// No exporter here has durations.
const AVAILABILITY: &str = "slos: [{name: availability, objective: 99%, availability: {}}]\n";

/// `http.server.request.duration`, pushed by OTLP into Prometheus' receiver, which promotes the attributes.
pub(crate) async fn otel_http_pushed_by_an_sdk(stage: &Stage) -> Result<()> {
    let scene = stage.scene("otel-http").await?;
    let app = App::new("shop", "v1").pushes(&stage.cluster.prometheus().otlp_url(), "http");
    judged(&scene, &app, "source: otel-http\n").await?;
    scene.close().await
}

/// `rpc.server.call.duration`, and then a version whose instrumentation is the older one, in milliseconds.
pub(crate) async fn otel_rpc_pushed_by_an_sdk(stage: &Stage) -> Result<()> {
    let scene = stage.scene("otel-rpc").await?;
    let endpoint = stage.cluster.prometheus().otlp_url();
    let app = App::new("shop", "v1").pushes(&endpoint, "rpc");
    let load = rollout(&scene, &app, "source: otel-rpc\n").await?;
    let older = app.tagged("v2").pushes(&endpoint, "rpc-old");
    promoted(&scene, &older).await?;
    rejected(&scene, &older.tagged("v3-fail50")).await?;
    load.stop().await;
    scene.close().await
}

/// Names with dots, and attributes that are in `target_info` alone.
pub(crate) async fn otel_http_by_target_info_and_its_own_names(stage: &Stage) -> Result<()> {
    let scene = stage.scene("otel-dots").await?;
    let exporter = scene.export(StandIn::Dots).await?;
    let address = stage.cluster.prometheus_url();
    let metrics = format!("metrics: {{address: \"{address}\", interval: 1s, otlpNames: Dots}}\n");
    let more = format!("source: otel-http\n{metrics}{AVAILABILITY}");
    judged(&scene, &App::new("shop", "v1"), &more).await?;
    drop(exporter);
    scene.close().await
}

pub(crate) async fn cilium_hubble_by_a_stand_in_exporter(stage: &Stage) -> Result<()> {
    let scene = stage.scene("hubble").await?;
    let exporter = scene.export(StandIn::Hubble).await?;
    let more = format!("source: cilium-hubble\n{AVAILABILITY}");
    judged(&scene, &App::new("shop", "v1"), &more).await?;
    drop(exporter);
    scene.close().await
}

pub(crate) async fn istio_sidecar_by_a_stand_in_exporter(stage: &Stage) -> Result<()> {
    let scene = stage.scene("sidecar").await?;
    let exporter = scene.export(StandIn::Sidecar).await?;
    let more = format!("source: istio-sidecar\n{AVAILABILITY}");
    judged(&scene, &App::new("shop", "v1"), &more).await?;
    drop(exporter);
    scene.close().await
}

/// Four rollouts of two sources are judged for some seconds: Prometheus itself counts the queries.
pub(crate) async fn each_is_asked_once_a_scrape(stage: &Stage) -> Result<()> {
    let scene = stage.scene("queries").await?;
    let endpoint = stage.cluster.prometheus().otlp_url();
    let bake = "replicas: 1\nsteps: [{weight: 50%, bake: 30s}]\n";
    let apps: Vec<_> = ["one", "two", "three", "four"]
        .map(|name| App::new(name, "v1").pushes(&endpoint, "http"))
        .into();
    for (number, app) in apps.iter().enumerate() {
        let source = ["istio-waypoint", "otel-http"].get(number % 2);
        let source = source.context("two sources")?;
        scene
            .adopt(app, &format!("source: {source}\n{bake}"))
            .await?;
    }
    for app in &apps {
        scene.deploy(&app.tagged("v2")).await?;
    }
    for app in &apps {
        scene.at_step(&app.tagged("v2"), 1, ENOUGH).await?;
    }
    let span = Duration::from_secs(8);
    let before = queries(stage).await?;
    tokio::time::sleep(span).await;
    let asked = queries(stage).await? - before;
    // Two sources and the callers of candidates, each once a second.
    let most = 3.0 * (span.as_secs_f64() + 1.0);
    println!("sources: {asked} queries in {span:?}");
    ensure!(
        asked <= most && asked >= most / 2.0,
        "{asked} queries in {span:?}, of at most {most}"
    );
    scene.close().await
}

/// What Prometheus counted of instant queries. The counters are its own, read from its page: a query for them
/// would count itself.
pub(crate) async fn queries(stage: &Stage) -> Result<f64> {
    let page = reqwest::get(format!("{}/metrics", stage.cluster.prometheus_url())).await?;
    let text = page.text().await?;
    let counts = text.lines().filter(|line| {
        line.starts_with("prometheus_http_requests_total{")
            && line.contains("handler=\"/api/v1/query\"")
    });
    let values = counts.map(|line| line.rsplit(' ').next().unwrap_or_default().parse::<f64>());
    Ok(values.sum::<Result<f64, _>>()?)
}

/// A good version, and one half of whose requests fail.
async fn judged(scene: &Scene<'_>, app: &App, more: &str) -> Result<()> {
    let load = rollout(scene, app, more).await?;
    promoted(scene, &app.tagged("v2")).await?;
    rejected(scene, &app.tagged("v3-fail50")).await?;
    load.stop().await;
    Ok(())
}

pub(crate) async fn rollout(scene: &Scene<'_>, app: &App, more: &str) -> Result<e2e::load::Load> {
    scene.deploy(app).await?;
    let load = scene.load(&app.name, 8080, RATE).await?;
    scene.adopt(app, more).await?;
    Ok(load)
}

pub(crate) async fn promoted(scene: &Scene<'_>, app: &App) -> Result<()> {
    scene.deploy(app).await?;
    let end = scene.outcome(app, ENOUGH).await?;
    serves(&end, &scene.revision_of(app).await?)?;
    let last = end.history.first().context("no history")?;
    ensure!(last.outcome == Outcome::Promoted, "{last:?}");
    Ok(())
}

async fn rejected(scene: &Scene<'_>, app: &App) -> Result<()> {
    scene.deploy(app).await?;
    let end = scene.outcome(app, ENOUGH).await?;
    ensure!(
        end.phase == Some(Phase::Failed),
        "{} was not rejected: {end:?}",
        app.tag
    );
    let numbers = ["availability: ", " requests were good ("];
    says(&condition(&end, "Promoted")?.message, &numbers)?;
    let revision = scene.revision_of(app).await?;
    let verdict = scene.verdict(&app.name, &revision).await?;
    says(&verdict.to_string(), &[r#""outcome":"Rejected""#])
}
