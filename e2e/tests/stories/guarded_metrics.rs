//! Metrics behind TLS by an authority of one's own, a bearer token and a tenant.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use e2e::paths;
use e2e::stage::app::{merged, quick_policy};
use e2e::stage::{App, Guarded, Scene, Stage, TENANT, no_failure, serves};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use sluice_crds::Phase;

/// The Secret that `deploy/metrics-credentials.yaml` lets Sluice read.
const SECRET: &str = "prometheus";
const SOON: Duration = Duration::from_secs(30);

/// Without the right to read the Secret the rollout holds, and says so; with it, it goes on. A new token needs
/// nobody's help, and an answer that may lack something holds the next rollout while it does.
pub(crate) async fn a_token_an_authority_and_a_tenant_open_it(stage: &Stage) -> Result<()> {
    let scene = stage.scene("guarded").await?;
    let door = scene.guarded("first").await?;
    token(&scene, "first\n").await?;
    let v1 = App::new("shop", "v1");
    scene.deploy(&v1).await?;
    let load = scene.load("shop", 8080, 200.0).await?;
    let policy = quick_policy(stage.cluster.prometheus_url());
    scene
        .canary("shop", &merged(&policy, &section(&door)))
        .await?;
    scene.phase("shop", Phase::Succeeded, SOON).await?;

    let v2 = v1.tagged("v2");
    scene.deploy(&v2).await?;
    let words = ["the Secret guarded/prometheus cannot be read", "forbidden"];
    held(&scene, &v2, &words).await?;
    let file = paths::workspace().join("deploy/metrics-credentials.yaml");
    let grant = std::fs::read_to_string(&file).with_context(|| file.display().to_string())?;
    let placed = "metadata:\n  namespace: guarded\n  name: sluice-metrics-credentials\n";
    let grant = grant.replace("metadata:\n  name: sluice-metrics-credentials\n", placed);
    ensure!(
        grant.matches(placed).count() == 2,
        "{} is another",
        file.display()
    );
    stage.cluster.apply(&grant).await?;
    serves(
        &scene.outcome(&v2, SOON).await?,
        &scene.revision_of(&v2).await?,
    )?;

    // Rotated; and then a store is away.
    door.wants("second");
    token(&scene, "second").await?;
    door.partial(true);
    let v3 = v2.tagged("v3");
    scene.deploy(&v3).await?;
    held(
        &scene,
        &v3,
        &["the answer is incomplete: store 10.0.0.7 is away"],
    )
    .await?;
    door.partial(false);
    serves(
        &scene.outcome(&v3, SOON).await?,
        &scene.revision_of(&v3).await?,
    )?;
    no_failure(&load.stop().await)?;
    scene.close().await
}

/// The condition says why the rollout stands, and it stands: no share of the traffic is added.
async fn held(scene: &Scene<'_>, app: &App, words: &[&str]) -> Result<()> {
    let revision = scene.revision_of(app).await?;
    scene
        .told("shop", "MetricsUnavailable", words, SOON)
        .await?;
    let before = scene.weights("shop").await?;
    tokio::time::sleep(Duration::from_secs(4)).await;
    let after = scene.weights("shop").await?;
    ensure!(
        before == after && after.contains_key(&revision),
        "it went on: {before:?}, {after:?}"
    );
    Ok(())
}

fn section(door: &Guarded) -> String {
    let metrics = json!({
        "address": door.url,
        "interval": "1s",
        "ca": door.ca,
        "headers": [{"name": "X-Scope-OrgID", "value": TENANT}],
        "credentials": {"bearer": {"secret": SECRET}},
    });
    format!("metrics: {metrics}\n")
}

async fn token(scene: &Scene<'_>, token: &str) -> Result<()> {
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": SECRET}, "stringData": {"token": token},
    });
    let params = PatchParams::apply("git").force();
    let secrets = scene.api::<Secret>();
    secrets
        .patch(SECRET, &params, &Patch::Apply(&secret))
        .await?;
    Ok(())
}
