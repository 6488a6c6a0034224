//! What the traffic of the past lets expect: whether the gates can decide, and what a release may cost.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::stage::{App, Scene, Stage, condition, says};
use sluice_crds::{CanaryStatus, Phase};

const RATE: f64 = 100.0;
/// Of a day of 100 requests a second some 8,600 may be bad, and a release may have three of them.
const SPEC: &str = "\
replicas: 2
slos: [{name: availability, objective: 99.9%, availability: {}}]
errorBudget: {period: 1d, perRelease: \"0.03%\"}
steps: [{weight: 20%, bake: 20s}]
minRequests: 100
";
const SOON: Duration = Duration::from_secs(20);

/// Prometheus has seconds of history, and the condition says so. The budget of a day at such a rate lets a release
/// have three bad answers more than the stable revision: a candidate that fails one in a hundred is
/// stopped by it.
pub(crate) async fn a_release_stops_when_its_budget_is_spent(stage: &Stage) -> Result<()> {
    let scene = stage.scene("budget").await?;
    let v1 = App::new("shop", "v1");
    scene.deploy(&v1).await?;
    let load = scene.load("shop", 8080, RATE).await?;
    // Prometheus takes some seconds to scrape a new waypoint, and where nothing was counted yet it is asked again
    // after minutes.
    tokio::time::sleep(Duration::from_secs(10)).await;
    scene.adopt(&v1, SPEC).await?;
    let told = gates(&scene, "shop", "True").await?;
    let numbers = [
        " requests/s (measured over 4 s), 20% needs ",
        "; errorBudget lets a release have ",
    ];
    says(&told, &numbers)?;
    let status = scene.status("shop").await?;
    let traffic = status.traffic.context("no past traffic")?;
    // 100 a second, less what was not there yet four seconds before.
    ensure!(
        (2_000_000..=10_000_000).contains(&traffic.requests_per_day),
        "{traffic:?}"
    );
    let pushed = status.history.len();

    let v2 = v1.tagged("v2-fail1");
    scene.deploy(&v2).await?;
    let v2_name = scene.at_step(&v2, 1, SOON).await?;
    let under_way = scene.status("shop").await?;
    let expected = under_way
        .rollout
        .and_then(|rollout| rollout.expected_requests);
    ensure!(expected == Some(traffic.requests_per_day), "{expected:?}");
    let end = scene.outcome(&v2, Duration::from_mins(1)).await?;
    ensure!(
        end.phase == Some(Phase::Failed),
        "{v2_name} was not stopped: {end:?}"
    );
    ensure!(end.history.len() == pushed + 1, "{:?}", end.history);
    let spent = [
        "availability: ",
        "the objective is 99.900%",
        "; what was bad spent 0.0",
        " of the error budget of 1 d, of which a release may spend 0.03%",
    ];
    says(&condition(&end, "Promoted")?.message, &spent)?;
    let page = stage.controller.metrics().await?;
    let shown = format!(
        "sluice_slo_error_budget_spent_ratio{{namespace=\"{}\"",
        scene.namespace
    );
    ensure!(page.contains(&shown), "{shown} is not among the metrics");
    load.stop().await;
    scene.close().await
}

/// Nobody calls: the gates are told to be of no use before anything is pushed, and that hinders nothing.
pub(crate) async fn of_a_service_that_nobody_calls_nothing_is_expected(
    stage: &Stage,
) -> Result<()> {
    let scene = stage.scene("budget-none").await?;
    let v1 = App::new("shop", "v1");
    let status = scene.adopt(&v1, SPEC).await?;
    ensure!(condition(&status, "Ready")?.status == "True", "{status:?}");
    let told = gates(&scene, "shop", "Unknown").await?;
    says(
        &told,
        &[
            "has counted none of the Service's requests yet",
            "errorBudget stops nothing",
        ],
    )?;
    scene.close().await
}

/// Waits until `GatesEffective` is so, and returns what it says.
async fn gates(scene: &Scene<'_>, name: &str, wanted: &str) -> Result<String> {
    let told = |status: &CanaryStatus| {
        let told = condition(status, "GatesEffective").ok()?;
        (told.status == wanted).then(|| told.message.clone())
    };
    let what = format!("GatesEffective is {wanted}");
    let message = scene.until(name, &what, SOON, told).await?;
    println!("budget: {message}");
    Ok(message)
}
