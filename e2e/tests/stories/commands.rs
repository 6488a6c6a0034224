//! In an emergency a person orders by the command line.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use e2e::stage::{App, Scene, Stage, condition, says, serves};
use kube::ResourceExt as _;
use sluice_crds::{Canary, CanaryStatus, Phase};

/// By itself no step would pass in the time of this story.
const SPEC: &str = "\
replicas: 1
steps: [{approval: {}}, {weight: 20%, bake: 10m}, {weight: 50%, bake: 10m}]
";
const PATIENCE: Duration = Duration::from_secs(30);
const CANARY: &str = "commands/shop";

/// Each says what it does and how to undo it, or why there is nothing to do.
pub(crate) async fn each_does_what_it_says(stage: &Stage) -> Result<()> {
    let scene = stage.scene("commands").await?;
    let v1 = App::new("shop", "v1");
    scene.deploy(&v1).await?;
    let load = scene.load("shop", 8080, 50.0).await?;
    scene.adopt(&v1, SPEC).await?;
    let old = scene.revision_of(&v1).await?;
    let rest = format!("no rollout of {CANARY} is under way: {old} serves all requests");
    refused(stage, &["promote", CANARY], &rest).await?;

    let v2 = v1.tagged("v2");
    let new = approved(&scene, &v2).await?;
    refused(stage, &["approve", CANARY], "waits for no approval now").await?;
    suspended(stage, &scene).await?;
    let other = format!("{old} is not the candidate: {new} is");
    refused(stage, &["promote", CANARY, "--revision", &old], &other).await?;
    let said = stage.sluice(&["promote", CANARY, "--dry-run"]).await?;
    says(
        &said,
        &[
            "Nothing is written",
            &format!("\"sluice.dev/promote\": \"{new}\""),
        ],
    )?;
    let said = stage.sluice(&["promote", CANARY]).await?;
    println!("{said}");
    says(
        &said,
        &[
            &format!("{new} of {CANARY} takes all requests"),
            &format!("To undo it: sluice abort {CANARY}"),
            "Git wins",
        ],
    )?;
    let end = scene.outcome(&v2, PATIENCE).await?;
    serves(&end, &new)?;

    let v3 = v1.tagged("v3");
    let newest = approved(&scene, &v3).await?;
    for _ in 0..2 {
        let said = stage.sluice(&["abort", CANARY]).await?;
        println!("{said}");
        says(
            &said,
            &[&format!(
                "{newest} of {CANARY} loses its 20% of the requests to {new}"
            )],
        )?;
        let end = scene.outcome(&v3, PATIENCE).await?;
        ensure!(end.phase == Some(Phase::Failed), "not rejected: {end:?}");
        // It is approved still.
        let said = stage
            .sluice(&["retry", CANARY, "--revision", &newest])
            .await?;
        says(&said, &[&format!("{newest} of {CANARY} is judged again")])?;
        scene.at_step(&v3, 1, PATIENCE).await?;
    }
    drop(load);
    scene.close().await
}

/// Deploys a version, approves its first step when it waits for that, and waits for it.
async fn approved(scene: &Scene<'_>, app: &App) -> Result<String> {
    scene.deploy(app).await?;
    let waits = |status: &CanaryStatus| {
        let ready = condition(status, "Ready").ok()?;
        (ready.reason == "AwaitingApproval").then_some(())
    };
    scene
        .until("shop", "a wait for approval", PATIENCE, waits)
        .await?;
    let revision = scene.revision_of(app).await?;
    let arguments = ["approve", CANARY, "--revision", revision.as_str()];
    let said = scene.stage.sluice(&arguments).await?;
    println!("{said}");
    says(
        &said,
        &[&format!("{revision} of {CANARY} may go on from 0%")],
    )?;
    scene.at_step(app, 1, PATIENCE).await
}

/// Suspends and resumes, once each.
async fn suspended(stage: &Stage, scene: &Scene<'_>) -> Result<()> {
    let not = format!("{CANARY} is not suspended");
    refused(stage, &["resume", CANARY], &not).await?;
    let said = stage.sluice(&["suspend", CANARY]).await?;
    says(
        &said,
        &[&format!("Nothing of {CANARY} is written any more")],
    )?;
    let canary = scene.api::<Canary>().get("shop").await?;
    ensure!(canary.spec.suspend, "it is not suspended");
    let mut managers = canary.managed_fields().iter();
    let ours = |entry: &k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry| {
        entry.manager.as_deref() == Some("sluice-cli")
    };
    ensure!(managers.any(ours), "nobody sees who did it");
    refused(stage, &["suspend", CANARY], "is suspended already").await?;
    stage.sluice(&["resume", CANARY]).await?;
    let canary = scene.api::<Canary>().get("shop").await?;
    ensure!(!canary.spec.suspend, "it is suspended still");
    Ok(())
}

/// A command fails, and says why.
async fn refused(stage: &Stage, arguments: &[&str], why: &str) -> Result<()> {
    let answer = stage.sluice(arguments).await;
    let error = answer.err();
    let error = error.with_context(|| format!("sluice {arguments:?} was taken"))?;
    says(&format!("{error:#}"), &[why])
}
