//! A version whose pods never become ready gets no request, and does not wait for ever.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::load::Load;
use e2e::stage::{App, Scene, Stage, condition, no_failure, says};
use k8s_openapi::api::core::v1::Pod;
use kube::api::DynamicObject;
use serde_json::json;
use sluice_crds::Phase;
use tokio::time::Instant;

const DEADLINE: Duration = Duration::from_secs(5);

/// It exits after 200 ms, each time.
pub(crate) async fn a_crash_loop_ends_at_the_deadline(stage: &Stage) -> Result<()> {
    let scene = stage.scene("crash-loop").await?;
    let kubelet = [
        "CrashLoopBackOff: back-off ",
        "restarting failed container=app",
    ];
    stays_away(scene, "v2-crash", &kubelet).await
}

/// Nobody pushed its image.
pub(crate) async fn a_missing_image_ends_at_the_deadline(stage: &Stage) -> Result<()> {
    let scene = stage.scene("missing-image").await?;
    let runtime = [
        "ErrImagePull: rpc error: code = NotFound",
        "demo:missing: not found",
    ];
    stays_away(scene, "missing", &runtime).await
}

/// `words` are the node's own, for the condition to repeat.
async fn stays_away(scene: Scene<'_>, tag: &str, words: &[&str]) -> Result<()> {
    let v1 = App::new("shop", "v1");
    scene.deploy(&v1).await?;
    let load: Load = scene.load("shop", 8080, 50.0).await?;
    scene.adopt(&v1, "replicas: 2\n").await?;
    let old = scene.revision_of(&v1).await?;
    let before = (serving(&scene).await?, identities(&scene.pods(&old).await?));
    // Not before: the first revision has a deadline too.
    let deadline = json!({"spec": {"progressDeadline": "5s"}});
    scene.patch("shop", &deadline).await?;

    let begun = Instant::now();
    let v2 = v1.tagged(tag);
    scene.deploy(&v2).await?;
    let end = scene.outcome(&v2, Duration::from_secs(20)).await?;
    let took = begun.elapsed();
    let new = scene.revision_of(&v2).await?;
    ensure!(
        end.phase == Some(Phase::Failed),
        "{new} was not rejected: {end:?}"
    );
    ensure!(
        took >= DEADLINE,
        "it failed after {took:?}, before its deadline"
    );
    ensure!(took < 2 * DEADLINE, "it failed only after {took:?}");
    let promoted = condition(&end, "Promoted")?;
    ensure!(
        promoted.status == "False",
        "Promoted is {}",
        promoted.status
    );
    let told = [
        &[
            "no progress within the deadline: 0 of 1 pods of ",
            " are ready: pod ",
        ],
        words,
    ];
    says(&promoted.message, &told.concat())?;
    says(&scene.events("shop").await?.join("\n"), words)?;
    scene.pods_gone(&new, Duration::from_secs(15)).await?;

    let after = (serving(&scene).await?, identities(&scene.pods(&old).await?));
    ensure!(
        before == after,
        "the stable side was touched: {before:?}, then {after:?}"
    );
    let report = load.stop().await;
    no_failure(&report)?;
    let versions: Vec<_> = report.totals.versions.keys().collect();
    ensure!(versions == ["v1"], "requests reached {versions:?}");
    scene.close().await
}

/// The route's name and generation: each write of its spec raises that.
async fn serving(scene: &Scene<'_>) -> Result<(Option<String>, Option<i64>)> {
    let routes: Vec<DynamicObject> = scene.routes("shop").await?;
    let route = routes.into_iter().next().context("no route")?;
    Ok((route.metadata.name, route.metadata.generation))
}

fn identities(pods: &[Pod]) -> Vec<Option<String>> {
    let mut uids: Vec<_> = pods.iter().map(|pod| pod.metadata.uid.clone()).collect();
    uids.sort();
    uids
}
