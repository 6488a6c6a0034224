//! `git revert`: back to a revision that served before.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use e2e::cluster::Shares;
use e2e::stage::{App, Scene, Stage, eventually, no_failure, says, serves};
use k8s_openapi::api::apps::v1::Deployment;
use sluice_crds::{CanaryStatus, annotations};

/// One short step, so that the way there takes little of the story's time.
const POLICY: &str = "replicas: 2\nsteps: [{weight: 50%, bake: 1s}]\nminRequests: 20\n";
const RATE: f64 = 200.0;
/// From ready pods to the first request, at most.
const AT_ONCE: Duration = Duration::from_secs(10);

/// At three in the morning nobody calls the app and Prometheus is down: going back takes no evidence.
pub(crate) async fn without_traffic_and_without_metrics(stage: &Stage) -> Result<()> {
    let scene = stage.scene("revert-night").await?;
    let (v1, v2) = (App::new("shop", "v1"), App::new("shop", "v2"));
    scene.deploy(&v1).await?;
    let load = scene.load("shop", 8080, RATE).await?;
    scene.adopt(&v1, POLICY).await?;
    promote(&scene, &v2).await?;
    no_failure(&load.stop().await)?;

    let prometheus = stage.cluster.prometheus();
    prometheus.stop().await?;
    let result = go_back(&scene, &v2, &v1).await;
    prometheus.start().await?;
    result?;
    scene.close().await
}

/// The same under load: no user notices.
pub(crate) async fn under_load(stage: &Stage) -> Result<()> {
    let scene = stage.scene("revert-load").await?;
    let (v1, v2) = (App::new("shop", "v1"), App::new("shop", "v2"));
    scene.deploy(&v1).await?;
    let load = scene.load("shop", 8080, RATE).await?;
    scene.adopt(&v1, POLICY).await?;
    promote(&scene, &v2).await?;
    go_back(&scene, &v2, &v1).await?;
    let mark = load.now();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let served = load.since(mark).versions;
    ensure!(served.keys().eq(["v1"]), "users meet {served:?}");
    no_failure(&load.stop().await)?;
    scene.close().await
}

/// What left the window is a version like any other.
pub(crate) async fn to_a_revision_older_than_the_window(stage: &Stage) -> Result<()> {
    let scene = stage.scene("revert-old").await?;
    let v1 = App::new("shop", "v1");
    scene.deploy(&v1).await?;
    let load = scene.load("shop", 8080, RATE).await?;
    scene
        .adopt(&v1, &format!("{POLICY}rollbackWindow: 1\n"))
        .await?;
    let first = scene.revision_of(&v1).await?;
    let (v2, v3) = (v1.tagged("v2"), v1.tagged("v3"));
    for app in [&v2, &v3] {
        scene.deploy(app).await?;
        let revision = scene.revision_of(app).await?;
        // Nothing here is about their gates.
        scene.order("shop", annotations::PROMOTE, &revision).await?;
        scene.outcome(app, Duration::from_secs(30)).await?;
    }
    let (second, third) = (scene.revision_of(&v2).await?, scene.revision_of(&v3).await?);
    scene
        .only_left("shop", &[&second, &third], Duration::from_secs(20))
        .await?;

    let routed = scene.record_weights("shop").await?;
    promote(&scene, &v1).await?;
    let half = routed
        .all()
        .into_iter()
        .any(|seen| seen.what.weights.get(&first) == Some(&50.0));
    ensure!(
        half,
        "{first} was not judged at its step: {:?}",
        routed.all()
    );
    let events = scene.events("shop").await?;
    let back = events.iter().find(|event| event.starts_with("GoingBack"));
    ensure!(back.is_none(), "{back:?}");
    no_failure(&load.stop().await)?;
    scene.close().await
}

/// A rollout through its gates.
async fn promote(scene: &Scene<'_>, app: &App) -> Result<()> {
    scene.deploy(app).await?;
    let judged = |status: &CanaryStatus| status.rollout.as_ref()?.gated.then_some(());
    scene
        .until("shop", "a gated rollout", Duration::from_secs(10), judged)
        .await?;
    let end = scene.outcome(app, Duration::from_secs(40)).await?;
    let revision = scene.revision_of(app).await?;
    serves(&end, &revision)?;
    Ok(())
}

/// Git goes from `from` back to `to`, which has no pods left.
async fn go_back(scene: &Scene<'_>, from: &App, to: &App) -> Result<()> {
    let (left, back) = (scene.revision_of(from).await?, scene.revision_of(to).await?);
    ensure!(scene.replicas(&back).await? == 0, "{back} still has pods");
    let routed = scene.record_weights("shop").await?;
    scene.deploy(to).await?;
    let message = |status: &CanaryStatus| {
        let ready = status
            .conditions
            .iter()
            .find(|condition| condition.type_ == "Ready")?;
        ready
            .message
            .contains(&format!("goes back to {back}"))
            .then_some(())
    };
    scene
        .until(
            "shop",
            "a status that says so",
            Duration::from_secs(10),
            message,
        )
        .await?;
    let is_ready = async || {
        let status = scene.api::<Deployment>().get(&back).await?.status;
        let ready = status
            .and_then(|status| status.ready_replicas)
            .unwrap_or_default();
        Ok(if ready == 2 {
            Ok(())
        } else {
            Err(format!("{ready} ready"))
        })
    };
    eventually(
        &format!("2 pods of {back} ready"),
        Duration::from_secs(20),
        is_ready,
    )
    .await?;
    let ready = Instant::now();
    let whole = Shares::from([(back.clone(), 100.0)]);
    eventually("the route", AT_ONCE, async || {
        let now = scene.weights("shop").await?;
        Ok(if now == whole {
            Ok(())
        } else {
            Err(format!("{now:?}"))
        })
    })
    .await?;
    scene.envoy_sends("shop", 8080, &whole).await?;
    let took = ready.elapsed();
    println!(
        "revert: {:.1} s from ready pods to all requests",
        took.as_secs_f64()
    );
    ensure!(
        took <= AT_ONCE,
        "{back} serves {took:?} after its pods were ready"
    );

    let end = scene.outcome(to, Duration::from_secs(20)).await?;
    serves(&end, &back)?;
    let said: Vec<_> = routed
        .all()
        .into_iter()
        .map(|seen| seen.what.weights)
        .collect();
    ensure!(
        said == [Shares::from([(left, 100.0)]), whole],
        "not at once: {said:?}"
    );
    let event = scene
        .events("shop")
        .await?
        .into_iter()
        .find(|event| event.contains("GoingBack"));
    says(
        &event.context("no Event GoingBack")?,
        &[&back, "without gates"],
    )
}
