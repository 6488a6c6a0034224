//! Without a waypoint nobody enforces a weight: nothing is risked, and the condition says what to do.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::stage::{App, Scene, Stage, condition, no_failure, serves};
use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use kube::api::{DynamicObject, Patch, PatchParams, PostParams};
use serde_json::json;
use sluice_crds::Phase;

const GATEWAY: &str = "gateway.networking.k8s.io/v1/Gateway";
const PORT: u16 = 8080;
const SOON: Duration = Duration::from_secs(15);
/// All pods of the app.
const PODS: &str = "app=shop";

/// Not in the mesh, not bound, no waypoint: the Deployment serves on, untouched, and each condition
/// names the next thing to mend. With all mended the adoption goes on by itself.
pub(crate) async fn adoption_waits_for_one(stage: &Stage) -> Result<()> {
    let scene = stage.scene("no-waypoint").await?;
    let gateway = remove_gateway(&scene).await?;
    label_namespace(
        &scene,
        json!({"istio.io/dataplane-mode": null, "istio.io/use-waypoint": null}),
    )
    .await?;
    let v1 = App::new("shop", "v1");
    scene.deploy(&v1).await?;
    // So that the deadline passes meanwhile, which is no fault of the revision.
    let policy = e2e::stage::app::quick_policy(stage.cluster.prometheus_url());
    scene
        .canary(
            "shop",
            &policy.replace("progressDeadline: 30s", "progressDeadline: 10s"),
        )
        .await?;

    let ambient = [
        "namespace no-waypoint is not in the ambient mesh",
        "istio.io/dataplane-mode: ambient",
    ];
    told(&scene, "AroundWaypoint", &ambient).await?;
    untouched(&scene).await?;
    label_namespace(&scene, json!({"istio.io/dataplane-mode": "ambient"})).await?;

    let unbound = [
        "the mesh does not serve the Service",
        "label the Service or its namespace istio.io/use-waypoint",
    ];
    told(&scene, "WaypointNotBound", &unbound).await?;
    tokio::time::sleep(Duration::from_secs(11)).await;
    untouched(&scene).await?;
    label_namespace(&scene, json!({"istio.io/use-waypoint": "waypoint"})).await?;

    let missing = [
        "WaypointIsNotReady: waypoint \"no-waypoint/waypoint\" is not ready",
        "see that Gateway no-waypoint/waypoint exists and a pod of it is ready",
    ];
    told(&scene, "WaypointNotBound", &missing).await?;
    untouched(&scene).await?;
    scene
        .of_kind(GATEWAY)?
        .create(&PostParams::default(), &gateway)
        .await?;
    scene
        .phase("shop", Phase::Succeeded, Duration::from_secs(30))
        .await?;
    let load = scene.load("shop", PORT, 50.0).await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    no_failure(&load.stop().await)?;

    // At rest it is told as well, and forgotten when it is over.
    remove_gateway(&scene).await?;
    told(&scene, "WaypointNotBound", &missing).await?;
    scene
        .of_kind(GATEWAY)?
        .create(&PostParams::default(), &gateway)
        .await?;
    ready(&scene).await?;
    scene.close().await
}

/// In mid-rollout no weight grows and no pod goes while it is away; back, the rollout ends well. The
/// clients of the stage know no other way than by the waypoint, so what they miss meanwhile is not
/// counted.
pub(crate) async fn gone_in_mid_rollout_everything_stays(stage: &Stage) -> Result<()> {
    let scene = stage.scene("waypoint-gone").await?;
    let v1 = App::new("shop", "v1");
    scene.deploy(&v1).await?;
    let load = scene.load("shop", PORT, 100.0).await?;
    let steps = "replicas: 2\nsteps: [{weight: 50%, bake: 3s}]\nprogressDeadline: 10s\n";
    scene.adopt(&v1, steps).await?;
    let v2 = v1.tagged("v2");
    scene.deploy(&v2).await?;
    let new = scene.at_step(&v2, 1, Duration::from_secs(20)).await?;
    no_failure(&load.stop().await)?;
    let pods = scene.record_ready(PODS).await?;
    let routed = scene.record_weights("shop").await?;

    let gateway = remove_gateway(&scene).await?;
    told(
        &scene,
        "WaypointNotBound",
        &[
            "has 50% of the requests",
            "WaypointIsNotReady",
            "Gateway waypoint-gone/waypoint exists",
        ],
    )
    .await?;
    // Longer than the bake, and than the deadline.
    tokio::time::sleep(Duration::from_secs(12)).await;
    let weights: Vec<_> = routed
        .all()
        .into_iter()
        .map(|seen| seen.what.weights)
        .collect();
    ensure!(weights.len() == 1, "weights moved: {weights:?}");
    let counts: Vec<usize> = pods.all().into_iter().map(|seen| seen.what).collect();
    ensure!(counts.is_sorted(), "pods went: {counts:?}");

    scene
        .of_kind(GATEWAY)?
        .create(&PostParams::default(), &gateway)
        .await?;
    let load = scene.load("shop", PORT, 100.0).await?;
    let end = scene.outcome(&v2, Duration::from_secs(40)).await?;
    serves(&end, &new)?;
    no_failure(&load.stop().await)?;
    scene.close().await
}

/// Deletes the waypoint's Gateway; returns it as it is to be made again. Its Envoy runs on, with nothing
/// to do.
async fn remove_gateway(scene: &Scene<'_>) -> Result<DynamicObject> {
    let gateway = scene.of_kind(GATEWAY)?.get("waypoint").await?;
    let labels = gateway.metadata.labels.clone();
    let spec = gateway
        .data
        .get("spec")
        .context("a Gateway without a spec")?;
    let again = json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway",
        "metadata": {"name": "waypoint", "labels": labels}, "spec": spec,
    });
    scene.delete(GATEWAY, "waypoint").await?;
    Ok(serde_json::from_value(again)?)
}

async fn label_namespace(scene: &Scene<'_>, labels: serde_json::Value) -> Result<()> {
    let namespaces: Api<Namespace> = Api::all(scene.client());
    let patch = Patch::Merge(json!({"metadata": {"labels": labels}}));
    namespaces
        .patch(&scene.namespace, &PatchParams::default(), &patch)
        .await?;
    Ok(())
}

async fn told(scene: &Scene<'_>, reason: &str, words: &[&str]) -> Result<()> {
    scene
        .until("shop", &format!("{reason}: {words:?}"), SOON, |status| {
            let ready = condition(status, "Ready").ok()?;
            let said = words.iter().all(|word| ready.message.contains(word));
            (said && ready.reason == reason && ready.status == "False").then_some(())
        })
        .await
}

async fn ready(scene: &Scene<'_>) -> Result<()> {
    scene
        .until("shop", "ready again", SOON, |status| {
            let ready = condition(status, "Ready").ok()?;
            (ready.status == "True").then_some(())
        })
        .await
}

/// The Deployment serves as it did, by no route of ours, and nothing was rejected.
async fn untouched(scene: &Scene<'_>) -> Result<()> {
    let (routes, replicas) = (
        scene.routes("shop").await?.len(),
        scene.replicas("shop").await?,
    );
    ensure!(
        (routes, replicas) == (0, 1),
        "{routes} routes, {replicas} replicas of the Deployment"
    );
    let status = scene.status("shop").await?;
    ensure!(status.history.is_empty(), "{:?}", status.history);
    Ok(())
}
