//! `sluice backtest` over what the real Prometheus remembers.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use e2e::stage::app::{canary, merged, quick_policy};
use e2e::stage::{App, Stage, says};
use serde_json::Value;

/// Scrapes are a second apart: this is as many of them as half an hour at 15 s.
const HISTORY: Duration = Duration::from_mins(2);

/// A service of which one in a hundred requests fails all the time, by an objective that allows it: no candidate like
/// it is failed, and one that fails half of its requests always.
pub(crate) async fn a_steady_past_has_no_false_alarm_and_shows_a_regression(
    stage: &Stage,
) -> Result<()> {
    let scene = stage.scene("backtest").await?;
    let app = App::new("shop", "v1-fail1");
    let spec = "\
replicas: 1
steps: [{weight: 10%, bake: 3s}, {weight: 50%, bake: 3s}]
slos: [{name: availability, objective: 98%, availability: {}}]
";
    scene.adopt(&app, spec).await?;
    let revision = scene.revision_of(&app).await?;
    let load = scene.load("shop", 8080, 200.0).await?;
    tokio::time::sleep(HISTORY).await;

    let policy = quick_policy(stage.cluster.prometheus_url());
    let canary = canary(&scene.namespace, "shop", &merged(&policy, spec));
    let file = stage.cluster.run_dir().join("backtest.yaml");
    tokio::fs::write(&file, canary).await?;
    let file = file.to_str().context("a path that is no text")?;
    let common = [
        "backtest",
        "--file",
        file,
        "--from",
        "110s",
        "--starts",
        "60",
        "--longest",
        "50s",
    ];
    let json = stage
        .sluice(&[&common[..], &["-o", "json"]].concat())
        .await?;
    let report: Value = serde_json::from_str(&json)?;
    let number = |path: &str| report.pointer(path).and_then(Value::as_u64);
    println!("{}", stage.sluice(&common).await?);
    ensure!(
        number("/innocent/failed") == Some(0),
        "false alarms: {report}"
    );
    let run = number("/starts/run").unwrap_or_default();
    ensure!(run >= 50, "few starts had data: {report}");
    ensure!(
        number("/innocent/promoted").unwrap_or_default() * 2 > run,
        "most are not promoted: {report}"
    );
    let requests = number("/requests").unwrap_or_default();
    ensure!(
        (10_000..30_000).contains(&requests),
        "{requests} requests: {report}"
    );
    let largest = report.pointer("/regressions/0/sizes/5/found/0");
    ensure!(
        largest.and_then(Value::as_f64) > Some(0.99),
        "half of the requests bad is not found: {report}"
    );
    let text = stage.sluice(&common).await?;
    says(
        &text,
        &[
            "failed, a false alarm   0 (0%",
            &revision,
            "the smallest found in 90%",
        ],
    )?;
    drop(load);
    scene.close().await
}
