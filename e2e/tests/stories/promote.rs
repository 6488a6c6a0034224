//! A good version reaches all users, and none of them notices.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use e2e::app::Counts;
use e2e::cluster::Shares;
use e2e::load::stats;
use e2e::stage::{App, EDITOR, Scene, Stage, eventually, no_failure, says, serves};
use sluice_crds::CanaryStatus;

/// Requests per step, at least, from which the share is computed.
const ENOUGH: u64 = 5_000;
/// Clients' requests per second: what two cores carry beside the cluster.
const RATE: f64 = 1_200.0;

/// From adoption until the old revision is gone no request fails, and at each step the app itself
/// counts the share that the route says.
pub(crate) async fn through_envoy_without_a_failed_request(stage: &Stage) -> Result<()> {
    let scene = stage.scene("promote").await?;
    let v1 = App::new("shop", "v1");
    scene.deploy(&v1).await?;
    let load = scene.load("shop", 8080, 200.0).await?;
    scene
        .adopt(
            &v1,
            "replicas: 2\nsteps: [{weight: 10%, bake: 8s}, {weight: 50%, bake: 8s}]\n",
        )
        .await?;

    load.set_rate(RATE);
    let v2 = v1.tagged("v2");
    scene.deploy(&v2).await?;
    let (old, new) = (scene.revision_of(&v1).await?, scene.revision_of(&v2).await?);
    for (step, share) in [(1, 0.10), (2, 0.50)] {
        scene
            .until(
                "shop",
                &format!("step {step} proven"),
                Duration::from_mins(1),
                |status| proven_at(status, step),
            )
            .await?;
        let counted = share_at_the_app(&scene, &old, &new).await?;
        ensure!(
            counted.contains(share),
            "step {step}: {counted}, the weight is {share}"
        );
        // The same check must notice a route that is off by five points.
        ensure!(
            !counted.contains(share + 0.05),
            "step {step}: {counted} tells nothing"
        );
        ensure!(
            !counted.contains(share - 0.05),
            "step {step}: {counted} tells nothing"
        );
    }
    let judged = uids(&scene, &new).await?;
    let end = scene.outcome(&v2, Duration::from_secs(90)).await?;
    serves(&end, &new)?;
    let serving = uids(&scene, &new).await?;
    ensure!(
        judged.iter().all(|uid| serving.contains(uid)),
        "judged pods were replaced"
    );
    ensure!(scene.replicas(&old).await? == 0, "{old} still has pods");

    let report = load.stop().await;
    no_failure(&report)?;
    scene.close().await
}

/// What the story above rests on: with a route that is off by five points, the same measurement
/// fails. Once Sluice may write again the route is put back, whoever changed it is named, and the
/// rollout ends well.
pub(crate) async fn a_route_five_points_off_is_noticed(stage: &Stage) -> Result<()> {
    let scene = stage.scene("five-points").await?;
    let v1 = App::new("shop", "v1");
    scene.deploy(&v1).await?;
    let load = scene.load("shop", 8080, 200.0).await?;
    scene
        .adopt(&v1, "replicas: 2\nsteps: [{weight: 10%, bake: 5s}]\n")
        .await?;
    let old = scene.revision_of(&v1).await?;

    load.set_rate(RATE);
    let v2 = v1.tagged("v2");
    scene.deploy(&v2).await?;
    let new = scene.at_step(&v2, 1, Duration::from_secs(20)).await?;
    scene.suspend("shop", true).await?;
    // What was being written when the order came.
    tokio::time::sleep(Duration::from_millis(500)).await;
    scene
        .edit_route("shop", |backend| if backend == new { 15 } else { 85 })
        .await?;
    let edited = Shares::from([(old.clone(), 85.0), (new.clone(), 15.0)]);
    scene.envoy_sends("shop", 8080, &edited).await?;
    let counted = share_at_the_app(&scene, &old, &new).await?;
    ensure!(!counted.contains(0.10), "15 % pass for 10 %: {counted}");
    ensure!(counted.contains(0.15), "{counted}, the route says 15 %");
    ensure!(
        scene.weights("shop").await? == edited,
        "written while suspended"
    );

    let resumed = Instant::now();
    scene.suspend("shop", false).await?;
    let planned = Shares::from([(old, 90.0), (new.clone(), 10.0)]);
    let put_back = async || {
        let now = scene.weights("shop").await?;
        Ok(if now == planned {
            Ok(())
        } else {
            Err(format!("{now:?}"))
        })
    };
    eventually("10 % again", Duration::from_secs(5), put_back).await?;
    let took = resumed.elapsed();
    ensure!(took < Duration::from_secs(1), "put back after {took:?}");
    let end = scene.outcome(&v2, Duration::from_mins(1)).await?;
    serves(&end, &new)?;
    let events = scene.events("shop").await?.join("\n");
    says(
        &events,
        &[&format!("RouteRestored: {EDITOR} changed the route")],
    )?;
    no_failure(&load.stop().await)?;
    scene.close().await
}

fn proven_at(status: &CanaryStatus, step: u32) -> Option<()> {
    let rollout = status.rollout.as_ref()?;
    (status.step == Some(step) && rollout.step_since.is_some()).then_some(())
}

/// The candidate's share of the requests that the pods count from now on.
async fn share_at_the_app(scene: &Scene<'_>, old: &str, new: &str) -> Result<stats::Interval> {
    let totals = async || -> Result<(u64, u64)> {
        let (old, new) = tokio::try_join!(scene.counted(old), scene.counted(new))?;
        let total = |pods: Vec<Counts>| pods.iter().map(|counts| counts.total).sum();
        Ok((total(old), total(new)))
    };
    let base = totals().await?;
    let what = format!("{ENOUGH} requests counted by the pods");
    let (old, new) = eventually(&what, Duration::from_secs(20), async || {
        let now = totals().await?;
        let counted = (now.0 - base.0, now.1 - base.1);
        let enough = counted.0 + counted.1 >= ENOUGH;
        Ok(if enough {
            Ok(counted)
        } else {
            Err(format!("{counted:?}"))
        })
    })
    .await?;
    stats::share(new, old + new).context("no requests")
}

async fn uids(scene: &Scene<'_>, revision: &str) -> Result<Vec<String>> {
    let pods = scene.pods(revision).await?;
    Ok(pods
        .into_iter()
        .filter_map(|pod| pod.metadata.uid)
        .collect())
}
