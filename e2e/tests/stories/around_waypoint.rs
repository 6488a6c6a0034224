//! A client that picks the endpoints of the users' Service itself, where no weight holds.

use std::time::Duration;

use anyhow::{Result, ensure};
use e2e::load::Report;
use e2e::stage::{
    App, Direct, Scene, Stage, condition, describe, eventually, is_ready, no_failure, says,
};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::json;
use sluice_crds::{Canary, CanaryStatus, Phase};

const CLIENT: &str = "batch";
/// Of the clients through the waypoint, and of the one around it.
const RATE: f64 = 200.0;
const DIRECT_RATE: f64 = 60.0;

/// It is found out and named while the candidate has no weight yet, and nothing grows or fails, until a
/// person accepts it.
pub(crate) async fn a_client_around_it_is_named_and_holds_the_rollout(stage: &Stage) -> Result<()> {
    let scene = stage.scene("around").await?;
    let v1 = App::new("shop", "v1");
    scene.deploy(&v1).await?;
    let load = scene.load("shop", 8080, RATE).await?;
    // The metrics have a moment to tell before the first weight.
    scene.adopt(&v1, "replicas: 2\nsettle: 5s\n").await?;
    let soon = json!({"spec": {"progressDeadline": "9s"}});
    scene.patch("shop", &soon).await?;
    let direct = scene.direct(CLIENT, "shop", DIRECT_RATE).await?;

    let v2 = v1.tagged("v2");
    scene.deploy(&v2).await?;
    let named = |status: &CanaryStatus| {
        let ready = condition(status, "Ready").ok()?;
        (ready.reason == "AroundWaypoint").then(|| status.clone())
    };
    let within = Duration::from_secs(15);
    let status = scene
        .until("shop", "the client named", within, named)
        .await?;
    let ready = condition(&status, "Ready")?;
    let workload = format!("workload around/{CLIENT} connects");
    says(
        &ready.message,
        &[&workload, "AroundWaypoint", "sluice.dev/role"],
    )?;
    says(&condition(&status, "Stalled")?.status, &["True"])?;
    let weights = scene.weights("shop").await?;
    ensure!(weights.len() == 1, "it grew to {weights:?}");

    // Far beyond the deadline: nothing moves, and nothing fails.
    tokio::time::sleep(Duration::from_secs(10)).await;
    let status = scene.status("shop").await?;
    ensure!(named(&status).is_some(), "{}", describe(&status));
    ensure!(status.rollout.is_some(), "it ended: {}", describe(&status));
    let held = scene.weights("shop").await?;
    ensure!(held == weights, "{weights:?} became {held:?}");

    let waived = json!({"spec": {"waivers": ["AroundWaypoint"]}});
    scene.patch("shop", &waived).await?;
    promoted(&scene, &v2).await?;
    counted(&scene, &scene.revision_of(&v2).await?).await?;
    no_failure(&load.stop().await)?;
    let report = direct.load.stop().await;
    no_failure(&report)?;
    let of_v2 = report.totals.versions.get("v2").map_or(0, |v2| v2.requests);
    ensure!(of_v2 > 0, "it never went around: {report}");
    scene.close().await
}

/// In strict mode it reaches the revision that serves and no other: from adoption to deletion, whatever
/// happens in between, and its set of endpoints is never empty.
pub(crate) async fn in_strict_mode_only_what_serves_is_reached(stage: &Stage) -> Result<()> {
    let scene = stage.scene("strict").await?;
    let mut v1 = App::new("shop", "v1");
    v1.strict = true;
    scene.deploy(&v1).await?;
    let load = scene.load("shop", 8080, RATE).await?;
    let direct = scene.direct(CLIENT, "shop", DIRECT_RATE).await?;
    let steps = "steps: [{weight: 5%, bake: 2s}, {weight: 50%, bake: 5s}]\n";
    scene.adopt(&v1, &format!("replicas: 2\n{steps}")).await?;
    let old = scene.revision_of(&v1).await?;
    endpoints(&direct, &old, 2).await?;

    let v2 = v1.tagged("v2");
    scene.deploy(&v2).await?;
    let new = scene.at_step(&v2, 2, Duration::from_secs(40)).await?;
    without_the_controller(&scene, &direct, (&old, &new)).await?;
    let judged = direct.load.now();
    never_saw(&direct, &new)?;
    promoted(&scene, &v2).await?;
    endpoints(&direct, &new, 2).await?;
    let switched = direct.load.now();

    let v3 = v2.tagged("v3-fail30");
    scene.deploy(&v3).await?;
    let end = scene.outcome(&v3, Duration::from_secs(40)).await?;
    ensure!(end.phase == Some(Phase::Failed), "{}", describe(&end));
    never_saw(&direct, &scene.revision_of(&v3).await?)?;

    let more = json!({"spec": {"replicas": 4}});
    scene.patch("shop", &more).await?;
    endpoints(&direct, &new, 4).await?;

    // The target has the label from Git.
    scene.deploy(&v2).await?;
    let within = Duration::from_secs(20);
    scene.phase("shop", Phase::Succeeded, within).await?;
    let canaries = scene.api::<Canary>();
    canaries.delete("shop", &DeleteParams::default()).await?;
    scene
        .only_left("shop", &[], Duration::from_secs(40))
        .await?;

    let sights = direct.sights();
    println!("strict mode: {} sets of endpoints", sights.len());
    let empty = sights.iter().filter(|seen| seen.what.is_empty());
    ensure!(empty.count() == 0, "no endpoints at a time: {sights:?}");
    let report = direct.load.stop().await;
    no_failure(&report)?;
    // Through the waypoint they met the bad version as well, and nothing else of that kind.
    let users = load.stop().await;
    let bad = users.totals.versions.get("v3").map_or(0, |v3| v3.failed);
    ensure!(bad > 0 && users.totals.all.failed == bad, "{users}");
    reached(&report, (Duration::ZERO, judged), "v1")?;
    reached(&report, (switched, report.elapsed), "v2")?;
    scene.close().await
}

/// While it is down, a pod of the serving revision is replaced and one of the candidate added: neither is
/// reached. The first one is as soon as it is back.
async fn without_the_controller(
    scene: &Scene<'_>,
    direct: &Direct,
    (old, new): (&str, &str),
) -> Result<()> {
    let controller = &scene.stage.controller;
    // In order: a Lease that is left behind looks like an outage, after which rollouts wait.
    controller.end().await?;
    let pods = scene.pods(old).await?;
    let gone: Vec<String> = pods.iter().take(1).map(Pod::name_any).collect();
    for pod in &gone {
        scene
            .api::<Pod>()
            .delete(pod, &DeleteParams::default())
            .await?;
    }
    ready(scene, old, 2, &gone).await?;
    let more = scene.pods(new).await?.len() + 1;
    let scale = json!({"spec": {"replicas": more}});
    scene
        .api::<Deployment>()
        .patch(new, &PatchParams::default(), &Patch::Merge(&scale))
        .await?;
    ready(scene, new, more, &[]).await?;
    // Time for the endpoints to follow, if they did.
    tokio::time::sleep(Duration::from_secs(1)).await;
    endpoints(direct, old, 1).await?;
    controller.restart().await?;
    endpoints(direct, old, 2).await
}

/// Waits until a revision has so many ready pods that are none of `but`.
async fn ready(scene: &Scene<'_>, revision: &str, wanted: usize, but: &[String]) -> Result<()> {
    let what = format!("{wanted} ready pods of {revision}");
    eventually(&what, Duration::from_secs(20), async || {
        let pods = scene.pods(revision).await?;
        let new = pods.iter().filter(|pod| is_ready(pod));
        let ready = new.filter(|pod| !but.contains(&pod.name_any())).count();
        Ok((ready >= wanted).then_some(()).ok_or(ready))
    })
    .await
}

/// Waits until the endpoints of the users' Service are so many pods of one revision, and no others.
async fn endpoints(direct: &Direct, revision: &str, wanted: usize) -> Result<()> {
    let what = format!("{wanted} pods of {revision} as endpoints");
    eventually(&what, Duration::from_secs(20), async || {
        let sight = direct.sight();
        let own = sight.iter().all(|pod| is_of(pod, revision));
        let right = own && sight.len() == wanted;
        Ok(right.then_some(()).ok_or_else(|| format!("{sight:?}")))
    })
    .await
}

/// Fails if pods of a revision ever were endpoints of the users' Service.
fn never_saw(direct: &Direct, revision: &str) -> Result<()> {
    for seen in direct.sights() {
        let unjudged = seen.what.iter().find(|pod| is_of(pod, revision));
        ensure!(unjudged.is_none(), "{unjudged:?} is an endpoint unjudged");
    }
    Ok(())
}

fn is_of(pod: &str, revision: &str) -> bool {
    pod.strip_prefix(revision)
        .is_some_and(|rest| rest.starts_with('-'))
}

/// Fails unless one version alone answered what was sent in a span of time.
fn reached(report: &Report, (from, to): (Duration, Duration), version: &str) -> Result<()> {
    let versions = report.window(from, to).versions;
    let alone = versions.keys().all(|other| other == version);
    ensure!(
        alone && !versions.is_empty(),
        "in place of {version}: {versions:?}"
    );
    Ok(())
}

/// Fails unless the metrics tell of connections of the waypoint too: that it is not named shows something.
async fn counted(scene: &Scene<'_>, revision: &str) -> Result<()> {
    let waypoint = format!(
        "sum(istio_tcp_connections_opened_total{{reporter=\"destination\", \
         source_workload=\"waypoint\", source_workload_namespace=\"{}\", \
         destination_workload=\"{revision}\"}})",
        scene.namespace
    );
    let url = format!("{}/api/v1/query", scene.stage.cluster.prometheus_url());
    let url = reqwest::Url::parse_with_params(&url, [("query", &waypoint)])?;
    let answer = reqwest::get(url).await?.error_for_status()?;
    let answer: serde_json::Value = answer.json().await?;
    let opened = answer.pointer("/data/result/0/value/1");
    let opened = opened.and_then(|value| value.as_str()?.parse::<f64>().ok());
    ensure!(opened.is_some_and(|opened| opened > 0.0), "{answer}");
    Ok(())
}

async fn promoted(scene: &Scene<'_>, app: &App) -> Result<()> {
    let end = scene.outcome(app, Duration::from_mins(1)).await?;
    ensure!(end.phase == Some(Phase::Succeeded), "{}", describe(&end));
    Ok(())
}
