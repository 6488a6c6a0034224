//! A cluster that is made anew from Git, in which a newer version waits to be judged.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::stage::app::{merged, quick_policy};
use e2e::stage::{App, Stage};
use k8s_openapi::api::apps::v1::Deployment;
use sluice_crds::{Outcome, Phase};

const RATE: f64 = 200.0;

/// Git tells that v1 was promoted last, and its Deployment names v2, half of whose answers are errors. Nothing is
/// in the cluster before. v1 serves from the first request on, v2 is judged by the gates and rejected, and the
/// target's own pods, which are v2, never run.
pub(crate) async fn what_was_promoted_serves_and_the_newer_is_judged(stage: &Stage) -> Result<()> {
    let scene = stage.scene("rebuilt").await?;
    // No pods of its own, as Git has it once its size is the Canary's.
    let v2 = App {
        replicas: Some(0),
        ..App::new("shop", "v2-fail50")
    };
    scene.deploy(&v2).await?;
    let policy = quick_policy(scene.stage.cluster.prometheus_url());
    let more = "replicas: 2\n\
                slos: [{name: availability, objective: 99.9%, availability: {}}]\n\
                promoted: {images: [{name: app, image: \"demo:v1\"}]}\n";
    scene.canary("shop", &merged(&policy, more)).await?;
    // The first client is answered as soon as anybody serves.
    let load = scene.load("shop", 8080, RATE).await?;

    let end = scene.outcome(&v2, Duration::from_mins(1)).await?;
    let new = scene.revision_of(&v2).await?;
    ensure!(
        end.phase == Some(Phase::Failed),
        "v2 was not rejected: {end:?}"
    );
    let old = end.stable.clone().context("nothing serves")?;
    ensure!(old != new, "{end:?}");
    ensure!(
        image(&scene.api(), &old).await? == "demo:v1",
        "{old} is not what was promoted"
    );
    let adopted = end.history.last().context("no history")?;
    ensure!(
        (adopted.revision.as_str(), adopted.outcome) == (old.as_str(), Outcome::Promoted),
        "{old} was not the first: {end:?}"
    );
    let report = load.stop().await;
    let of = |version: &str| {
        report
            .totals
            .versions
            .get(version)
            .copied()
            .unwrap_or_default()
    };
    let (v1, v2) = (of("v1"), of("v2"));
    ensure!(v1.requests > 0 && v1.failed == 0, "v1 failed: {report}");
    ensure!(v2.failed > 0, "v2 was judged by no request: {report}");
    ensure!(
        report.totals.all.failed == v2.failed,
        "there was a gap: {report}"
    );
    // 10 % of the requests for a few scrapes.
    ensure!(
        v2.requests < v1.requests,
        "v2 served more than it was given: {report}"
    );
    let target: Deployment = scene.api().get("shop").await?;
    let created = target
        .status
        .and_then(|status| status.replicas)
        .unwrap_or_default();
    ensure!(
        created == 0,
        "the target runs {created} pods that nobody judged"
    );
    scene.close().await
}

async fn image(deployments: &kube::Api<Deployment>, revision: &str) -> Result<String> {
    let deployment = deployments.get(revision).await?;
    let pod = deployment
        .spec
        .and_then(|spec| spec.template.spec)
        .context("no template")?;
    let container = pod.containers.into_iter().next().context("no container")?;
    container.image.context("no image")
}
