//! A rollout waits for a person, who approves by the image in the Canary, as a pull request would.

use std::time::Duration;

use anyhow::{Result, ensure};
use e2e::app::admin;
use e2e::cluster::Shares;
use e2e::stage::{App, Scene, Stage, address, condition, no_failure, says, serves};
use serde_json::{Value, json};
use sluice_crds::{CanaryStatus, Phase};

/// The deadline is far shorter than the wait.
const SPEC: &str = "\
replicas: 2
steps: [{weight: 20%, bake: 2s}, {approval: {}}, {weight: 50%, bake: 2s}]
progressDeadline: 6s
";
const RATE: f64 = 300.0;
const PATIENCE: Duration = Duration::from_secs(40);
/// Longer than the deadline.
const WAIT: Duration = Duration::from_secs(8);

/// Under load the weight stays, whatever else is approved, until the image is; the next version waits again, and
/// what goes bad meanwhile is rolled back.
pub(crate) async fn it_waits_until_its_image_is_approved(stage: &Stage) -> Result<()> {
    let scene = stage.scene("approval").await?;
    let v1 = App::new("shop", "v1");
    scene.deploy(&v1).await?;
    let load = scene.load("shop", 8080, RATE).await?;
    scene.adopt(&v1, SPEC).await?;
    let old = scene.revision_of(&v1).await?;

    let v2 = v1.tagged("v2");
    scene.deploy(&v2).await?;
    let waits = awaits(&scene, "demo:v2").await?;
    let new = scene.revision_of(&v2).await?;
    let columns = (waits.phase, waits.progress.as_deref());
    ensure!(
        columns == (Some(Phase::Holding), Some("1/2")),
        "{columns:?}"
    );
    // Another revision, another image, another weight, and an image of both.
    approve(&scene, &json!([{"revision": old}, {"image": "demo:v3"}])).await?;
    tokio::time::sleep(WAIT).await;
    approve(
        &scene,
        &json!([{"image": "demo:v1"}, {"image": "demo:v2", "at": "50%"}]),
    )
    .await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let shares = Shares::from([(old.clone(), 80.0), (new.clone(), 20.0)]);
    ensure!(
        scene.weights("shop").await? == shares,
        "{new} went on: {:?}",
        scene.weights("shop").await?
    );
    approve(&scene, &json!([{"image": "demo:v2"}])).await?;
    let end = scene.outcome(&v2, PATIENCE).await?;
    serves(&end, &new)?;
    let events = scene.events("shop").await?.join("\n");
    says(
        &events,
        &[
            &format!("AwaitingApproval: {new} waits at 20% for approval"),
            &format!(
                "Approved: {new} may go on from 20%: spec.approved has {{image: \"demo:v2\"}}"
            ),
        ],
    )?;
    no_failure(&load.stop().await)?;

    let load = scene.load("shop", 8080, RATE).await?;
    let v3 = v1.tagged("v3");
    scene.deploy(&v3).await?;
    awaits(&scene, "demo:v3").await?;
    let bad = scene.revision_of(&v3).await?;
    for pod in scene.pods(&bad).await? {
        admin::set_behaviour(address(&pod)?, "v3-fail50").await?;
    }
    let end = scene.outcome(&v3, Duration::from_secs(15)).await?;
    ensure!(end.phase == Some(Phase::Failed), "{bad} was kept: {end:?}");
    scene
        .envoy_sends("shop", 8080, &Shares::from([(new, 100.0)]))
        .await?;
    drop(load);
    scene.close().await
}

/// Waits until the condition says what to write so that an image goes on.
async fn awaits(scene: &Scene<'_>, image: &str) -> Result<CanaryStatus> {
    let asked = format!("to go on, add {{image: \"{image}\", at: \"20%\"}} to spec.approved");
    let waits = |status: &CanaryStatus| {
        let ready = condition(status, "Ready").ok()?;
        let so = ready.reason == "AwaitingApproval" && ready.message.contains(&asked);
        so.then(|| status.clone())
    };
    scene
        .until("shop", "a wait for approval", PATIENCE, waits)
        .await
}

async fn approve(scene: &Scene<'_>, approved: &Value) -> Result<()> {
    let patch = json!({"spec": {"approved": approved}});
    scene.patch("shop", &patch).await
}
