//! Orders and suspension, written in Git.

use std::time::Duration;

use anyhow::{Result, ensure};
use e2e::delivery::{Delivery, Team};
use e2e::stage::{eventually, no_failure, serves};
use sluice_crds::{Canary, Phase, annotations};

use super::{CANARY, RATE, ROLLOUT, SHOP, SOON, adopted, canary, nothing_drifts, ship};

/// By itself this step would not pass in the time of a story.
const LONG_STEP: &str = "steps: [{weight: 20%, bake: 10m}]\n";
/// A person approves what goes beyond the first step.
const GUARDED: &str = "steps: [{weight: 20%, bake: 2s}, {approval: {}}, {weight: 50%, bake: 2s}]\n";

/// An order is an annotation of the Canary's manifest: promote, abort and retry, each pushed.
pub(crate) async fn given_in_git(delivery: &Delivery) -> Result<()> {
    let scene = delivery.stage.scene("flux-orders").await?;
    let (team, v1) = adopted(delivery, &scene, LONG_STEP).await?;
    let load = scene.load(SHOP, 8080, RATE).await?;
    let v2 = v1.tagged("v2");
    ship(&team, &v2).await?;
    let second = scene.at_step(&v2, 1, ROLLOUT).await?;
    order(&team, annotations::PROMOTE, &second).await?;
    serves(&scene.outcome(&v2, ROLLOUT).await?, &second)?;

    let v3 = v1.tagged("v3");
    ship(&team, &v3).await?;
    let third = scene.at_step(&v3, 1, ROLLOUT).await?;
    order(&team, annotations::ABORT, &third).await?;
    let status = scene.outcome(&v3, ROLLOUT).await?;
    ensure!(status.phase == Some(Phase::Failed), "{status:?}");
    serves(&status, &second)?;

    order(&team, annotations::RETRY, &third).await?;
    scene.at_step(&v3, 1, ROLLOUT).await?;
    let commit = order(&team, annotations::PROMOTE, &third).await?;
    serves(&scene.outcome(&v3, ROLLOUT).await?, &third)?;
    // What is left of the orders in Git is about what is over.
    team.healthy(&commit, SOON).await?;
    nothing_drifts(&team).await?;
    no_failure(&load.stop().await)?;
    scene.close().await
}

/// A step waits until a commit approves the image, in the words of the condition. The next image waits again, and is
/// taken back in Git.
pub(crate) async fn approved_in_git(delivery: &Delivery) -> Result<()> {
    let scene = delivery.stage.scene("flux-approval").await?;
    let (team, v1) = adopted(delivery, &scene, GUARDED).await?;
    let load = scene.load(SHOP, 8080, RATE).await?;
    let v2 = v1.tagged("v2");
    ship(&team, &v2).await?;
    let asked = "{image: \"demo:v2\", at: \"20%\"}";
    let words = format!("to go on, add {asked} to spec.approved");
    scene
        .told(SHOP, "AwaitingApproval", &[&words], ROLLOUT)
        .await?;
    let approved = canary(
        &scene,
        &format!("replicas: 2\n{GUARDED}approved: [{asked}]\n"),
    );
    let commit = team.push(&[(CANARY, &approved)], "Approve v2").await?;
    let second = scene.revision_of(&v2).await?;
    serves(&scene.outcome(&v2, ROLLOUT).await?, &second)?;
    team.healthy(&commit, SOON).await?;

    ship(&team, &v1.tagged("v3")).await?;
    scene
        .told(SHOP, "AwaitingApproval", &["demo:v3"], ROLLOUT)
        .await?;
    let commit = ship(&team, &v2).await?;
    scene.clean(SHOP).await?;
    serves(&scene.status(SHOP).await?, &second)?;
    team.healthy(&commit, SOON).await?;
    nothing_drifts(&team).await?;
    no_failure(&load.stop().await)?;
    scene.close().await
}

/// `suspend: true` in Git stops every write of Sluice but that it was seen, for which Flux waits, and false lets it go on.
pub(crate) async fn suspended_in_git(delivery: &Delivery) -> Result<()> {
    let scene = delivery.stage.scene("flux-suspended").await?;
    let steps = "steps: [{weight: 20%, bake: 2s}]\n";
    let (team, v1) = adopted(delivery, &scene, steps).await?;
    let load = scene.load(SHOP, 8080, RATE).await?;
    let suspended = canary(&scene, &format!("replicas: 2\nsuspend: true\n{steps}"));
    let commit = team.push(&[(CANARY, &suspended)], "Suspend").await?;
    eventually("suspended by Flux", SOON, async || {
        let spec = scene.api::<Canary>().get(SHOP).await?.spec;
        Ok(if spec.suspend { Ok(()) } else { Err("not yet") })
    })
    .await?;
    team.healthy(&commit, SOON).await?;
    scene.told(SHOP, "Suspended", &[], SOON).await?;
    let v2 = v1.tagged("v2");
    let yaml = v2.yaml(&scene.namespace);
    team.push(&[(super::APP, &yaml)], "Ship v2").await?;
    // Flux has applied it by then, and Sluice would have made its revision.
    tokio::time::sleep(Duration::from_secs(6)).await;
    let revisions = scene.snapshots(SHOP).await?.len();
    ensure!(revisions == 1, "suspended, it made a revision");
    let resumed = canary(&scene, &format!("replicas: 2\n{steps}"));
    let commit = team.push(&[(CANARY, &resumed)], "Go on").await?;
    scene.revision_of_within(&v2, SOON).await?;
    let status = scene.outcome(&v2, ROLLOUT).await?;
    serves(&status, &scene.revision_of(&v2).await?)?;
    team.healthy(&commit, SOON).await?;
    nothing_drifts(&team).await?;
    no_failure(&load.stop().await)?;
    scene.close().await
}

async fn order(team: &Team<'_>, annotation: &str, revision: &str) -> Result<e2e::delivery::Commit> {
    let plain = canary(team.scene, &format!("replicas: 2\n{LONG_STEP}"));
    let ordered = plain.replace(
        "metadata: {",
        &format!("metadata: {{annotations: {{{annotation}: {revision}}}, "),
    );
    ensure!(ordered != plain, "no metadata to annotate");
    let message = format!("{annotation} {revision}");
    team.push(&[(CANARY, &ordered)], &message).await
}
