//! A rollout is judged below its requests as well: a version that answers every request well, and whose
//! connections fail or whose flows are dropped, is taken back by its SLO on layer 4.
//!
//! The requests are real, and the waypoint counts them. An exporter stands in for ztunnel and for Cilium's agents, which
//! this machine does not have: what it says of connections and flows is made from what the pods say that they answered.

use std::time::Duration;

use anyhow::{Result, ensure};
use e2e::stage::{App, Exporter, Scene, Stage, StandIn, condition, no_failure, says};
use sluice_crds::{CanaryStatus, Phase};

use crate::sources::{promoted, rollout};

const ENOUGH: Duration = Duration::from_secs(45);

pub(crate) async fn ztunnel_by_a_stand_in_exporter(stage: &Stage) -> Result<()> {
    let scene = stage.scene("layer4-ztunnel").await?;
    let exporter = scene.export(StandIn::Ztunnel).await?;
    let app = App::new("shop", "v1");
    let load = rollout(&scene, &app, &slos("ztunnel")).await?;
    promoted(&scene, &app.tagged("v2")).await?;
    rejected(&scene, &exporter, &app.tagged("v3"), "connections").await?;
    no_failure(&load.stop().await)?;
    scene.close().await
}

/// And while nobody counts flows, nothing passes.
pub(crate) async fn cilium_drops_by_a_stand_in_exporter(stage: &Stage) -> Result<()> {
    let scene = stage.scene("layer4-cilium").await?;
    let exporter = scene.export(StandIn::Flows).await?;
    let app = App::new("shop", "v1");
    let load = rollout(&scene, &app, &slos("cilium-drops")).await?;
    promoted(&scene, &app.tagged("v2")).await?;
    rejected(&scene, &exporter, &app.tagged("v3"), "flows").await?;
    drop(exporter);
    let v4 = app.tagged("v4");
    scene.deploy(&v4).await?;
    // Which of the two depends on whether the flows of the stable revision were read before.
    let silences = [
        "its source counts no flows",
        "are Cilium's agents still scraped?",
    ];
    let says = |status: &CanaryStatus| {
        let ready = condition(status, "Ready").ok()?;
        let silent = silences.iter().any(|words| ready.message.contains(words));
        (silent && ready.reason == "MetricsUnavailable").then_some(())
    };
    scene.until("shop", "no flows", ENOUGH, says).await?;
    let exporter = scene.export(StandIn::Flows).await?;
    promoted(&scene, &v4).await?;
    drop(exporter);
    no_failure(&load.stop().await)?;
    scene.close().await
}

fn slos(source: &str) -> String {
    format!(
        "slos: [{{name: availability, objective: 99%, availability: {{}}}}, \
         {{name: network, objective: 99%, connections: {{source: {source}}}}}]\n"
    )
}

/// A version that answers well, and loses half of what carries its requests.
async fn rejected(scene: &Scene<'_>, exporter: &Exporter, app: &App, what: &str) -> Result<()> {
    scene.deploy(app).await?;
    exporter.loses(&scene.revision_of(app).await?).await;
    let end = scene.outcome(app, ENOUGH).await?;
    ensure!(
        end.phase == Some(Phase::Failed),
        "{} was not rejected: {end:?}",
        app.tag
    );
    let message = &condition(&end, "Promoted")?.message;
    says(message, &["network: ", &format!(" {what} were good (")])?;
    ensure!(!message.contains("availability"), "{message}");
    let verdict = scene
        .verdict(&app.name, &scene.revision_of(app).await?)
        .await?;
    says(&verdict.to_string(), &[r#""outcome":"Rejected""#])
}
