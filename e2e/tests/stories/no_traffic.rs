//! Nobody calls: nothing follows from that, until somebody does.

use std::time::Duration;

use anyhow::{Result, ensure};
use e2e::stage::{App, Scene, Stage, condition, no_failure, says, serves};
use sluice_crds::{CanaryStatus, Phase};

/// A rollout without requests holds at its first step, says so, and goes on when they come.
pub(crate) async fn a_rollout_without_requests_holds(stage: &Stage) -> Result<()> {
    let scene = stage.scene("no-traffic").await?;
    let v1 = App::new("shop", "v1");
    scene.adopt(&v1, "").await?;
    let v2 = v1.tagged("v2");
    scene.deploy(&v2).await?;
    let new = scene.revision_of(&v2).await?;
    says_while_holding(&scene, &new, "no request since its weight is in force").await?;
    // Far beyond its bake of 2 s.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let held = scene.status("shop").await?;
    let at = (held.phase, held.step);
    ensure!(
        at == (Some(Phase::Holding), Some(1)),
        "it did not hold: {held:?}"
    );
    ensure!(
        scene.weights("shop").await?.get(&new) == Some(&10.0),
        "its weight changed"
    );

    // The probes that precede a load are 20 requests or more, of which the candidate gets a tenth.
    let load = scene.load("shop", 8080, 20.0).await?;
    says_while_holding(&scene, &new, " of the 50 requests that minRequests asks").await?;
    load.set_rate(400.0);
    let end = scene.outcome(&v2, Duration::from_secs(40)).await?;
    serves(&end, &new)?;
    no_failure(&load.stop().await)?;
    scene.close().await
}

/// Waits until the rollout holds and its condition says `why`, with its weight and since when.
async fn says_while_holding(scene: &Scene<'_>, candidate: &str, why: &str) -> Result<()> {
    let told = |status: &CanaryStatus| {
        let message = &condition(status, "Ready").ok()?.message;
        let holds = status.phase == Some(Phase::Holding) && status.step == Some(1);
        (holds && message.contains(why)).then(|| message.clone())
    };
    let what = format!("it holds and says {why:?}");
    let message = scene
        .until("shop", &what, Duration::from_secs(30), told)
        .await?;
    says(
        &message,
        &[
            &format!("{candidate} has 10% of the requests: "),
            ", since ",
        ],
    )
}
