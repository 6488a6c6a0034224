//! The cluster has no room, or does not want the new version: its own words tell why, nobody is sent
//! there, and it does not wait for ever.

use std::fmt::Debug;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::stage::{App, Scene, Stage, condition, eventually, no_failure, says};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{LimitRange, Pod, PodTemplate, ResourceQuota, Service};
use kube::api::{DeleteParams, ListParams, PostParams};
use serde::de::DeserializeOwned;
use serde_json::json;
use sluice_crds::{CanaryStatus, Phase, annotations};
use tokio::time::Instant;

/// Room for the pods, the words and a busy machine; a story waits for it five times.
const DEADLINE: Duration = Duration::from_secs(15);
const SPEC: &str = "replicas: 2\nsteps: [{weight: 20%, bake: 1s}]\n";
/// Kubernetes looks every 30 s for kinds that quotas may count.
const SOON: Duration = Duration::from_secs(45);

/// Pods that no node takes, that a quota forbids, that a limit forbids: the words of scheduler and API
/// server are in the condition while it waits, and in the verdict.
pub(crate) async fn pods_that_nobody_takes(stage: &Stage) -> Result<()> {
    let scene = stage.scene("no-room").await?;
    let v1 = App::new("shop", "v1");
    scene.deploy(&v1).await?;
    let load = scene.load("shop", 8080, 100.0).await?;
    scene.adopt(&v1, SPEC).await?;
    // Not before: the first revision has a deadline too.
    hurry(&scene).await?;

    let unschedulable = v1.tagged("v2").with("nodeSelector", "{disk: ssd}");
    let words = "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector.";
    refused(&scene, &unschedulable, "RevisionNotReady", &[words]).await?;

    let pods = count::<Pod>(&scene).await?;
    quota(&scene, "full", "pods", pods).await?;
    let words = [
        "exceeded quota: full, requested: pods=1",
        &format!("used: pods={pods}"),
    ];
    refused(&scene, &v1.tagged("v3"), "RevisionNotReady", &words).await?;
    scene
        .api::<ResourceQuota>()
        .delete("full", &DeleteParams::default())
        .await?;

    let limit = json!({"metadata": {"name": "small"}, "spec": {"limits": [{"type": "Pod", "max": {"cpu": "1"}}]}});
    let limit: LimitRange = serde_json::from_value(limit)?;
    scene.api().create(&PostParams::default(), &limit).await?;
    let words = "maximum cpu usage per Pod is 1.  No limit is specified";
    refused(&scene, &v1.tagged("v4"), "RevisionNotReady", &[words]).await?;
    scene
        .api::<LimitRange>()
        .delete("small", &DeleteParams::default())
        .await?;

    let report = load.stop().await;
    no_failure(&report)?;
    let versions: Vec<_> = report.totals.versions.keys().collect();
    ensure!(versions == ["v1"], "requests reached {versions:?}");
    scene.close().await
}

/// What Sluice itself is not allowed to make: the API server's words are in the condition, nothing is
/// lost, and once there is room it goes on.
pub(crate) async fn writes_that_are_refused(stage: &Stage) -> Result<()> {
    let scene = stage.scene("refused").await?;
    let v1 = App::new("shop", "v1");
    scene.deploy(&v1).await?;
    let load = scene.load("shop", 8080, 100.0).await?;
    let routes = "httproutes.gateway.networking.k8s.io";
    quota(&scene, "no-route", &format!("count/{routes}"), 0).await?;
    let policy = e2e::stage::app::quick_policy(stage.cluster.prometheus_url());
    scene
        .canary("shop", &e2e::stage::app::merged(&policy, SPEC))
        .await?;
    let told = scene
        .until("shop", "a refused route", SOON, |s| {
            reads(s, "WriteRefused")
        })
        .await?;
    says(
        &told,
        &[
            "HTTPRoute sluice-shop-8080",
            "exceeded quota: no-route",
            routes,
        ],
    )?;
    ensure!(scene.replicas("shop").await? == 1, "the target was scaled");
    lift(&scene, "no-route").await?;
    scene
        .phase("shop", Phase::Succeeded, Duration::from_mins(1))
        .await?;
    hurry(&scene).await?;

    let services = count::<Service>(&scene).await?;
    quota(&scene, "services", "count/services", services).await?;
    let words = ["exceeded quota: services, requested: count/services=1"];
    let v2 = v1.tagged("v2");
    refused(&scene, &v2, "WriteRefused", &words).await?;
    lift(&scene, "services").await?;

    let deployments = count::<Deployment>(&scene).await?;
    quota(&scene, "deployments", "count/deployments.apps", deployments).await?;
    let words = ["exceeded quota: deployments, requested: count/deployments.apps=1"];
    refused(&scene, &v1.tagged("v3"), "WriteRefused", &words).await?;
    lift(&scene, "deployments").await?;

    // Without a snapshot nothing can be remembered: it waits, and goes on when there is room.
    let snapshots = count::<PodTemplate>(&scene).await?;
    quota(&scene, "snapshots", "count/podtemplates", snapshots).await?;
    scene.deploy(&v1.tagged("v4")).await?;
    let told = scene
        .until("shop", "a refused snapshot", SOON, |s| {
            reads(s, "WriteRefused")
        })
        .await?;
    says(
        &told,
        &["create PodTemplate shop-", "exceeded quota: snapshots"],
    )?;
    lift(&scene, "snapshots").await?;
    // Retries come at most 30 s apart.
    let v4 = v1.tagged("v4");
    eventually("the snapshot", Duration::from_secs(40), async || {
        let made = count::<PodTemplate>(&scene).await? > snapshots;
        Ok(if made { Ok(()) } else { Err("none") })
    })
    .await?;
    promoted(&scene, &v4).await?;

    // A rejection for want of room is no verdict for ever: an order has it tried again.
    scene.deploy(&v2).await?;
    let rejected = scene.revision_of(&v2).await?;
    scene.phase("shop", Phase::Failed, SOON).await?;
    scene.order("shop", annotations::RETRY, &rejected).await?;
    let serves = |status: &CanaryStatus| {
        let stable = status.stable.as_deref() == Some(rejected.as_str());
        stable.then_some(())
    };
    let patience = Duration::from_mins(1);
    scene.until("shop", "v2 serves", patience, serves).await?;
    no_failure(&load.stop().await)?;
    scene.close().await
}

/// Deploys an app that cannot run: while it waits, a condition of this reason says `words`; at the
/// deadline it is rejected, with them; the route is not touched, and nothing of it is left.
async fn refused(scene: &Scene<'_>, app: &App, reason: &str, words: &[&str]) -> Result<()> {
    let weights = scene.weights("shop").await?;
    let begun = Instant::now();
    scene.deploy(app).await?;
    let waits =
        |status: &CanaryStatus| reads(status, reason).filter(|text| says(text, words).is_ok());
    let what = format!("{}: {reason}, {words:?}", app.tag);
    scene.until("shop", &what, DEADLINE, waits).await?;
    let end = scene.outcome(app, SOON).await?;
    let took = begun.elapsed();
    ensure!(
        end.phase == Some(Phase::Failed),
        "{} ended as {end:?}",
        app.tag
    );
    ensure!(
        took >= DEADLINE && took < 2 * DEADLINE,
        "{} failed after {took:?}",
        app.tag
    );
    let verdict = &condition(&end, "Promoted")?.message;
    says(verdict, &["no progress within the deadline"])?;
    says(verdict, words)?;
    let revision = scene.revision_of(app).await?;
    let kept = scene.verdict("shop", &revision).await?;
    says(&kept.to_string(), &["no progress within the deadline"])?;
    scene.pods_gone(&revision, SOON).await?;
    ensure!(scene.weights("shop").await? == weights, "the route moved");
    Ok(())
}

async fn promoted(scene: &Scene<'_>, app: &App) -> Result<()> {
    let end = scene.outcome(app, Duration::from_mins(1)).await?;
    ensure!(
        end.phase == Some(Phase::Succeeded),
        "{} ended as {end:?}",
        app.tag
    );
    Ok(())
}

async fn hurry(scene: &Scene<'_>) -> Result<()> {
    let deadline = format!("{}s", DEADLINE.as_secs());
    scene
        .patch("shop", &json!({"spec": {"progressDeadline": deadline}}))
        .await
}

/// The message of the condition Ready, if it has this reason.
fn reads(status: &CanaryStatus, reason: &str) -> Option<String> {
    let ready = condition(status, "Ready").ok()?;
    (ready.reason == reason).then(|| ready.message.clone())
}

async fn count<K>(scene: &Scene<'_>) -> Result<usize>
where
    K: kube::Resource<Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Debug,
    K::DynamicType: Default,
{
    Ok(scene
        .api::<K>()
        .list(&ListParams::default())
        .await?
        .items
        .len())
}

/// Allows so many of a resource; waits until that is in force.
async fn quota(scene: &Scene<'_>, name: &str, resource: &str, hard: usize) -> Result<()> {
    let hard = json!({resource: hard.to_string()});
    let quota: ResourceQuota =
        serde_json::from_value(json!({"metadata": {"name": name}, "spec": {"hard": hard}}))?;
    let api = scene.api::<ResourceQuota>();
    api.create(&PostParams::default(), &quota)
        .await
        .context("a quota")?;
    let in_force = async || {
        let status = api.get(name).await?.status.unwrap_or_default();
        let known = status.used.is_some_and(|used| used.contains_key(resource));
        Ok(if known { Ok(()) } else { Err("not counted") })
    };
    eventually(&format!("quota {name}"), SOON, in_force).await
}

async fn lift(scene: &Scene<'_>, quota: &str) -> Result<()> {
    scene
        .api::<ResourceQuota>()
        .delete(quota, &DeleteParams::default())
        .await?;
    Ok(())
}
