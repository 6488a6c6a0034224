//! A version that goes bad when it has nearly all users is taken back from its holdback, by pods that never
//! went away; a good one serves when its holdback is over.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::app::admin;
use e2e::cluster::Shares;
use e2e::stage::{App, Scene, Stage, address, condition, is_ready, says, serves};
use k8s_openapi::api::core::v1::Pod;
use sluice_crds::Phase;

const RATE: f64 = 300.0;
/// How long a holdback lasts.
const HOLDBACK: Duration = Duration::from_secs(8);
const SPEC: &str = "\
replicas: 2
steps: [{weight: 50%, bake: 2s}]
holdback: {weight: 1%, for: 8s}
";
/// The holdback is the step behind the last one.
const STEP: u32 = 2;

pub(crate) async fn what_goes_bad_in_it_is_taken_back_to_warm_pods(stage: &Stage) -> Result<()> {
    let scene = stage.scene("holdback").await?;
    let v1 = App::new("shop", "v1");
    scene.deploy(&v1).await?;
    let load = scene.load("shop", 8080, RATE).await?;
    scene.adopt(&v1, SPEC).await?;
    let old = scene.revision_of(&v1).await?;
    let before = uids(&scene.pods(&old).await?);

    let v2 = v1.tagged("v2");
    scene.deploy(&v2).await?;
    let bad = scene.at_step(&v2, STEP, Duration::from_secs(30)).await?;
    told(&scene, &old, &bad).await?;
    scene
        .envoy_sends(
            "shop",
            8080,
            &Shares::from([(old.clone(), 1.0), (bad.clone(), 99.0)]),
        )
        .await?;
    for pod in scene.pods(&bad).await? {
        admin::set_behaviour(address(&pod)?, "v2-fail50").await?;
    }
    let end = scene.outcome(&v2, Duration::from_secs(10)).await?;
    ensure!(end.phase == Some(Phase::Failed), "{bad} was kept: {end:?}");
    scene
        .envoy_sends("shop", 8080, &Shares::from([(old.clone(), 100.0)]))
        .await?;
    let pods = scene.pods(&old).await?;
    ensure!(pods.iter().all(is_ready), "a pod of {old} is not ready");
    let after = uids(&pods);
    ensure!(
        before.len() == 2 && after == before,
        "{before:?}, then {after:?}"
    );
    let promoted = condition(&end, "Promoted")?;
    says(
        &promoted.message,
        &["availability: ", " requests were good ("],
    )?;

    let v3 = v1.tagged("v3");
    scene.deploy(&v3).await?;
    let good = scene.at_step(&v3, STEP, Duration::from_secs(30)).await?;
    let rollout = scene.status("shop").await?.rollout;
    let since = rollout.and_then(|rollout| rollout.step_since);
    let since = since.context("the holdback is not proven")?;
    let end = scene.outcome(&v3, Duration::from_secs(30)).await?;
    serves(&end, &good)?;
    let promoted = end.history.first().context("no history")?;
    let held = (promoted.at - since).to_std()?;
    ensure!(held >= HOLDBACK, "{good} was held back for {held:?} alone");

    let ended = load.stop().await.ended();
    let failed = ended.iter().filter(|answer| answer.outcome.is_failure());
    let (own, others): (Vec<_>, Vec<_>) = failed.partition(|answer| answer.is_from("v2"));
    ensure!(!own.is_empty(), "v2 never failed: nothing is shown");
    ensure!(others.is_empty(), "failures that are not v2's: {others:?}");
    scene.close().await
}

/// What a person sees of a holdback.
async fn told(scene: &Scene<'_>, old: &str, new: &str) -> Result<()> {
    let says_so = |status: &sluice_crds::CanaryStatus| {
        let ready = condition(status, "Ready").ok()?;
        (ready.reason == "HoldingBack").then(|| status.clone())
    };
    let status = scene
        .until(
            "shop",
            "reason HoldingBack",
            Duration::from_secs(5),
            says_so,
        )
        .await?;
    let columns = (
        status.phase,
        status.progress.as_deref(),
        status.step,
        status.steps,
    );
    ensure!(
        columns
            == (
                Some(Phase::Progressing),
                Some("holdback"),
                Some(STEP),
                Some(STEP)
            ),
        "{columns:?}"
    );
    let message = &condition(&status, "Ready")?.message;
    let kept = format!(": 1% stay on {old}");
    says(
        message,
        &[
            &format!("{new} has 99% of the requests: holdback until "),
            &kept,
        ],
    )
}

fn uids(pods: &[Pod]) -> BTreeSet<String> {
    let uids = pods.iter().filter_map(|pod| pod.metadata.uid.clone());
    uids.collect()
}
