//! Without metrics nothing passes, and nothing fails.

use std::time::Duration;

use anyhow::{Result, ensure};
use e2e::stage::{App, Stage, condition, no_failure, serves};
use sluice_crds::{CanaryStatus, Phase};

/// Prometheus is killed in mid-rollout: the weight stays, the condition repeats the error; with
/// Prometheus back the rollout goes on to its end.
pub(crate) async fn a_rollout_outlasts_a_metrics_outage(stage: &Stage) -> Result<()> {
    let scene = stage.scene("outage").await?;
    let v1 = App::new("shop", "v1");
    scene.deploy(&v1).await?;
    let load = scene.load("shop", 8080, 200.0).await?;
    scene
        .adopt(
            &v1,
            "steps: [{weight: 10%, bake: 3s}, {weight: 50%, bake: 2s}]\n",
        )
        .await?;

    let v2 = v1.tagged("v2");
    scene.deploy(&v2).await?;
    let at_first_step = |status: &CanaryStatus| {
        let proven = status.rollout.as_ref()?.step_since.is_some();
        (status.step == Some(1) && proven).then_some(())
    };
    scene
        .until(
            "shop",
            "step 1 proven",
            Duration::from_secs(20),
            at_first_step,
        )
        .await?;
    let new = scene.revision_of(&v2).await?;
    let prometheus = stage.cluster.prometheus();
    prometheus.stop().await?;
    let told = |status: &CanaryStatus| {
        let message = &condition(status, "Ready").ok()?.message;
        let told = message.contains("http://127.0.0.1:9090 cannot be reached: ")
            && message.contains("onnection refused");
        (status.phase == Some(Phase::Holding) && told).then_some(())
    };
    let held = scene.until(
        "shop",
        "it holds for want of metrics",
        Duration::from_secs(20),
        told,
    );
    let held = held.await;
    // It must run again for those who come after, whatever was seen.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let (status, weights) = (scene.status("shop").await, scene.weights("shop").await);
    prometheus.start().await?;
    held?;
    let (status, weights) = (status?, weights?);
    ensure!(
        status.phase == Some(Phase::Holding),
        "it did not hold: {status:?}"
    );
    ensure!(
        weights.get(&new) == Some(&10.0),
        "the weights changed: {weights:?}"
    );

    let end = scene.outcome(&v2, Duration::from_secs(40)).await?;
    serves(&end, &new)?;
    ensure!(
        end.phase == Some(Phase::Succeeded),
        "it is not at its end: {end:?}"
    );
    no_failure(&load.stop().await)?;
    scene.close().await
}
