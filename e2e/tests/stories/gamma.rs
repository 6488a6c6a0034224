//! A mesh of which no more is known than that it takes routes on Services. Istio's stands in for it, by a waypoint as
//! ever; and a patch for what Cilium says of a Service.

use std::time::Duration;

use anyhow::{Result, ensure};
use e2e::cluster::Shares;
use e2e::stage::{App, Scene, Stage, no_failure, serves};
use k8s_openapi::api::core::v1::Service;
use kube::api::{Patch, PatchParams};
use serde_json::json;

const RATE: f64 = 100.0;
/// A rollout, with telemetry that comes a second or two late.
const ENOUGH: Duration = Duration::from_secs(45);
const SOON: Duration = Duration::from_secs(15);

/// What the app itself counts proves the weights. While Cilium has taken the route and not programmed it nothing gets any
/// traffic; once it has, it goes on.
pub(crate) async fn weights_count_once_it_accepted_the_route(stage: &Stage) -> Result<()> {
    let scene = stage.scene("gamma").await?;
    let endpoint = stage.cluster.prometheus().otlp_url();
    let v1 = App::new("shop", "v1").pushes(&endpoint, "http");
    scene.deploy(&v1).await?;
    let load = scene.load("shop", 8080, RATE).await?;
    let more = "replicas: 2\nmesh: gamma\nsource: otel-http\n";
    scene.adopt(&v1, more).await?;
    let v2 = v1.tagged("v2");
    scene.deploy(&v2).await?;
    let end = scene.outcome(&v2, ENOUGH).await?;
    let second = scene.revision_of(&v2).await?;
    serves(&end, &second)?;

    cilium_says(&scene, &[ATTACHED]).await?;
    let v3 = v1.tagged("v3");
    scene.deploy(&v3).await?;
    let words = ["did not program it", "log of cilium-operator"];
    scene.told("shop", "WaypointNotBound", &words, SOON).await?;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let whole = Shares::from([(second, 100.0)]);
    let weights = scene.weights("shop").await?;
    ensure!(weights == whole, "weights moved: {weights:?}");
    cilium_says(&scene, &[ATTACHED, PROGRAMMED]).await?;
    let end = scene.outcome(&v3, ENOUGH).await?;
    serves(&end, &scene.revision_of(&v3).await?)?;
    no_failure(&load.stop().await)?;
    scene.close().await
}

/// A condition of Cilium's, whose status is always True: type, reason and message. What it could not program has the
/// first alone. (`operator/pkg/gateway-api/gamma_reconcile.go`)
type Said = [&'static str; 3];
const ATTACHED: Said = [
    "gamma.cilium.io/GammaRoutesAttached",
    "Accepted",
    "Gamma Service has HTTPRoutes attached",
];
const PROGRAMMED: Said = [
    "gamma.cilium.io/GammaRoutesProgrammed",
    "Programmed",
    "Gamma Service has been programmed",
];

async fn cilium_says(scene: &Scene<'_>, said: &[Said]) -> Result<()> {
    let conditions = said.iter().map(|[kind, reason, message]| {
        json!({
            "type": kind,
            "status": "True",
            "reason": reason,
            "message": message,
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        })
    });
    let conditions: Vec<_> = conditions.collect();
    let patch = json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "shop"},
        "status": {"conditions": conditions},
    });
    let params = PatchParams::apply("cilium-operator-generic").force();
    let services = scene.api::<Service>();
    services
        .patch_status("shop", &params, &Patch::Apply(patch))
        .await?;
    Ok(())
}
