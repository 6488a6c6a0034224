//! A rollout is judged by counters that a `MetricTemplate` asks the real Prometheus for: the waypoint's, by another
//! way. What is wrong with a template is said, and nothing passes meanwhile.

use std::time::Duration;

use anyhow::{Result, ensure};
use e2e::stage::{App, Scene, Stage, condition, says};
use sluice_crds::{CanaryStatus, Phase};

use crate::sources::{promoted, rollout};

const ENOUGH: Duration = Duration::from_secs(45);
const ALL: &str = "istio_requests_total{reporter='waypoint', \
                   destination_service_namespace='{{ namespace }}', destination_service_name='{{ revision }}'";

pub(crate) async fn judges_by_its_own_counters(stage: &Stage) -> Result<()> {
    let scene = stage.scene("template").await?;
    let total = format!("sum({ALL}}})");
    write(&scene, &total).await?;
    let app = App::new("shop", "v1");
    let slos = "slos: [{name: answers, objective: 99%, events: {template: answers}}]\n";
    let load = rollout(&scene, &app, slos).await?;
    promoted(&scene, &app.tagged("v2")).await?;
    failed(&scene, &app.tagged("v3-fail50")).await?;

    // A sum for each code is no number; neither Pass nor Fail follows, of a version that fails.
    write(&scene, &format!("sum by (response_code) ({ALL}}})")).await?;
    let v4 = app.tagged("v4-fail50");
    scene.deploy(&v4).await?;
    told(
        &scene,
        " total gives several series, one more with {response_code=",
    )
    .await?;
    write(&scene, "sum({{ pod }})").await?;
    told(
        &scene,
        "no data: MetricTemplate answers: {{ pod }} is no variable",
    )
    .await?;
    write(&scene, &total).await?;
    failed(&scene, &v4).await?;

    // Nothing starts that could not be judged.
    write(&scene, "sum({{ pod }})").await?;
    scene.deploy(&app.tagged("v5")).await?;
    told(
        &scene,
        "SLO answers: MetricTemplate answers: {{ pod }} is no variable",
    )
    .await?;
    write(&scene, &total).await?;
    promoted(&scene, &app.tagged("v5")).await?;
    load.stop().await;
    scene.close().await
}

async fn failed(scene: &Scene<'_>, app: &App) -> Result<()> {
    scene.deploy(app).await?;
    let end = scene.outcome(app, ENOUGH).await?;
    ensure!(
        end.phase == Some(Phase::Failed),
        "{} was not rejected: {end:?}",
        app.tag
    );
    let numbers = ["answers: ", " events were good ("];
    says(&condition(&end, "Promoted")?.message, &numbers)
}

async fn told(scene: &Scene<'_>, what: &str) -> Result<()> {
    let says = |status: &CanaryStatus| {
        let mut messages = status.conditions.iter().map(|one| &one.message);
        messages.any(|message| message.contains(what)).then_some(())
    };
    scene.until("shop", what, ENOUGH, says).await
}

/// Writes the template, whose other query ends with a comment.
async fn write(scene: &Scene<'_>, total: &str) -> Result<()> {
    let yaml = format!(
        "apiVersion: sluice.dev/v1alpha1\nkind: MetricTemplate\n\
         metadata: {{name: answers, namespace: {}}}\nspec:\n  bad: |\n    \
         sum({ALL}, response_code=~'5..'}}) or vector(0) # none yet\n  total: \"{total}\"\n",
        scene.namespace
    );
    scene.stage.cluster.apply(&yaml).await?;
    Ok(())
}
