//! What serves breaks down while something new is judged: nothing is made worse.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::app::admin;
use e2e::load::{Ended, Outcome};
use e2e::stage::{
    App, Scene, Split, Stage, address, condition, eventually, no_failure, says, serves,
};
use k8s_openapi::api::core::v1::Pod;
use sluice_crds::{CanaryStatus, Phase};

/// Far longer than a bake and than the deadline for progress.
const OUTAGE: Duration = Duration::from_secs(10);
const SPEC: &str = "replicas: 2\nprogressDeadline: 30s\n\
    steps: [{weight: 20%, bake: 3s}, {weight: 50%, bake: 1s}]\n";

/// All stable pods lose readiness at the first step. Envoy has nobody for their share, and says 503: that
/// is the app's own. The weights stay, no pod is touched, the candidate is not blamed, and the condition
/// says why; once a pod is back, the step is judged anew, and the rollout goes on.
pub(crate) async fn the_weights_stay_until_it_is_back(stage: &Stage) -> Result<()> {
    let scene = stage.scene("unready-stable").await?;
    let v1 = App::new("shop", "v1");
    scene.deploy(&v1).await?;
    let load = scene.load("shop", 8080, 200.0).await?;
    scene.adopt(&v1, SPEC).await?;
    scene
        .patch(
            "shop",
            &serde_json::json!({"spec": {"progressDeadline": "8s"}}),
        )
        .await?;
    let old = scene.revision_of(&v1).await?;
    let v2 = v1.tagged("v2");
    scene.deploy(&v2).await?;
    let new = scene.at_step(&v2, 1, Duration::from_secs(20)).await?;
    let before = pods(&scene, &old).await?;
    let routed = scene.record_weights("shop").await?;

    let broke = load.now();
    ready(&scene, &old, false).await?;
    let held = scene
        .until("shop", "stable not ready", Duration::from_secs(15), unready)
        .await?;
    tokio::time::sleep(OUTAGE).await;
    let still = scene.status("shop").await?;
    for status in [&held, &still] {
        let told = condition(status, "Ready")?;
        ensure!(
            told.status == "False" && told.reason == "StableNotReady",
            "{told:?}"
        );
        let words = [
            format!("{new} has 20% of the requests: no pod of {old}, which serves, is ready"),
            "containers with unready status: [app]".to_owned(),
            "sluice.dev/promote".to_owned(),
        ];
        says(&told.message, &words.each_ref().map(String::as_str))?;
        ensure!(
            status.phase == Some(Phase::Holding),
            "phase {:?}",
            status.phase
        );
    }
    ensure!(
        routed.all().len() == 1,
        "the weights moved: {:?}",
        routed.all()
    );
    ensure!(
        pods(&scene, &old).await? == before,
        "the stable pods were touched"
    );
    ensure!(
        scene.replicas(&old).await? == 2 && scene.replicas(&new).await? == 1,
        "resized"
    );

    let back = load.now();
    ready(&scene, &old, true).await?;
    let end = scene.outcome(&v2, Duration::from_secs(40)).await?;
    serves(&end, &new)?;
    let shares: Vec<_> = routed
        .all()
        .into_iter()
        .map(|seen| shares(&seen.what, &new))
        .collect();
    ensure!(shares == [20.0, 50.0, 100.0], "{new} had {shares:?}");

    let report = load.stop().await;
    let ended = report.ended();
    // A probe a second, and the time until Envoy knows.
    let during = broke..back + Duration::from_secs(3);
    let ours = |ended: &&Ended| {
        let theirs = ended.outcome == Outcome::Status(503) && during.contains(&ended.sent);
        ended.outcome.is_failure() && !theirs
    };
    let found = ended.iter().find(ours);
    ensure!(
        found.is_none(),
        "a failure that is not the stable pods' own: {found:?}, {report}"
    );
    let of_new = |ended: &&Ended| during.contains(&ended.sent) && ended.is_from("v2");
    let during = ended
        .iter()
        .filter(|ended| during.contains(&ended.sent))
        .count();
    let served = ended.iter().filter(of_new).count();
    ensure!(
        served * 10 > during,
        "v2 served {served} of {during} during the outage"
    );
    ensure!(
        report.totals.all.failed > 0,
        "nothing broke: nothing is shown"
    );
    scene.close().await
}

/// The way out for a fix: an order brings the candidate to all users while what serves is down.
pub(crate) async fn an_order_brings_the_fix(stage: &Stage) -> Result<()> {
    let scene = stage.scene("unready-fix").await?;
    let v1 = App::new("shop", "v1");
    scene.adopt(&v1, SPEC).await?;
    let load = scene.load("shop", 8080, 100.0).await?;
    let old = scene.revision_of(&v1).await?;
    ready(&scene, &old, false).await?;
    // The pods' own condition comes first; whoever decides about traffic goes by the slices.
    let none = async || {
        Ok(match scene.ready_endpoints(&old).await? {
            0 => Ok(()),
            some => Err(format!("{some} endpoints are ready")),
        })
    };
    eventually("no stable pod ready", Duration::from_secs(10), none).await?;
    let v2 = v1.tagged("v2");
    scene.deploy(&v2).await?;
    scene
        .until("shop", "stable not ready", Duration::from_secs(15), unready)
        .await?;
    let new = scene.revision_of(&v2).await?;
    let weights = scene.weights("shop").await?;
    ensure!(
        !weights.contains_key(&new),
        "{new} got traffic: {weights:?}"
    );

    scene
        .order("shop", sluice_crds::annotations::PROMOTE, &new)
        .await?;
    let end = scene.outcome(&v2, Duration::from_secs(20)).await?;
    serves(&end, &new)?;
    drop(load);
    let load = scene.load("shop", 8080, 100.0).await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    no_failure(&load.stop().await)?;
    scene.close().await
}

fn unready(status: &CanaryStatus) -> Option<CanaryStatus> {
    let ready = condition(status, "Ready").ok()?;
    (ready.reason == "StableNotReady").then(|| status.clone())
}

/// Makes every pod of a revision pass or fail its readiness probe.
async fn ready(scene: &Scene<'_>, revision: &str, ready: bool) -> Result<()> {
    for pod in scene.pods(revision).await? {
        admin::set_ready(address(&pod)?, ready).await?;
    }
    Ok(())
}

/// Which pods there are, and how often they were started.
async fn pods(scene: &Scene<'_>, revision: &str) -> Result<Vec<(String, i32)>> {
    let restarts = |pod: &Pod| {
        let containers = pod.status.as_ref()?.container_statuses.as_ref()?;
        Some((
            pod.metadata.uid.clone()?,
            containers.iter().map(|c| c.restart_count).sum(),
        ))
    };
    let pods = scene.pods(revision).await?;
    let pods: Option<Vec<(String, i32)>> = pods.iter().map(restarts).collect();
    let mut pods = pods.context("a pod without status")?;
    pods.sort();
    Ok(pods)
}

fn shares(split: &Split, revision: &str) -> f64 {
    split.weights.get(revision).copied().unwrap_or_default()
}
