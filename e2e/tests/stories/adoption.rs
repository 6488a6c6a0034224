//! Taking a running Deployment over, and handing it back.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::load::Load;
use e2e::stage::{App, Recording, Scene, Stage, eventually, no_failure};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::api::{DeleteParams, ListParams};
use sluice_crds::Canary;
use tokio::time::Instant;

/// As Git has it.
const REPLICAS: usize = 3;
/// `drainDelay` of the stories' policy.
const DRAIN: Duration = Duration::from_secs(2);
const RATE: f64 = 300.0;
/// All pods of the app; and those of its own Deployment.
const PODS: &str = "app=shop";
const OWN_PODS: &str = "app=shop,!sluice.dev/revision";

/// Users notice neither that Sluice comes nor that it goes: at least as many pods as Git asks for are
/// ready at any time, the Deployment's own leave last and come back first.
pub(crate) async fn comes_and_goes_without_a_failed_request(stage: &Stage) -> Result<()> {
    let scene = stage.scene("adoption").await?;
    let (app, load) = running(&scene).await?;
    let (pods, own) = (
        scene.record_ready(PODS).await?,
        scene.record_ready(OWN_PODS).await?,
    );
    let routed = scene.record_weights("shop").await?;

    let status = scene.adopt(&app, "").await?;
    let revision = scene.revision_of(&app).await?;
    ensure!(
        status.stable.as_deref() == Some(revision.as_str()),
        "{status:?}"
    );
    ensure!(
        scene.pods(&revision).await?.len() == REPLICAS,
        "not the size that Git asks for"
    );
    ensure!(
        scene.replicas("shop").await? == 0,
        "the Deployment was not scaled down"
    );
    let scaled_down = status
        .adoption
        .context("no word of the adoption")?
        .scaled_down;
    ensure!(
        scaled_down,
        "the status does not say that the Deployment is at 0"
    );
    let served_at = routed.all().first().context("no route")?.at;
    let left_at = first_below(&own, REPLICAS)?;
    let waited = left_at.saturating_duration_since(served_at);
    ensure!(
        waited >= DRAIN,
        "the Deployment lost pods {waited:?} after the route came"
    );

    scene
        .api::<Canary>()
        .delete("shop", &DeleteParams::default())
        .await?;
    nothing_left(&scene, Duration::from_secs(40)).await?;
    let gone_at = routed
        .all()
        .last()
        .filter(|seen| seen.what.weights.is_empty())
        .map(|s| s.at);
    let gone_at = gone_at.context("the route is still there")?;
    let back = own
        .all()
        .into_iter()
        .take_while(|seen| seen.at <= gone_at)
        .last();
    let back = back.map(|seen| seen.what);
    ensure!(
        back == Some(REPLICAS),
        "{back:?} of the Deployment's pods ready as the route went"
    );
    let deployment = scene.api::<Deployment>().get("shop").await?;
    let ready = deployment.status.and_then(|status| status.ready_replicas);
    ensure!(ready == Some(3), "{ready:?} pods are ready");

    let fewest = pods
        .all()
        .into_iter()
        .map(|seen| seen.what)
        .min()
        .context("no pods")?;
    ensure!(
        fewest >= REPLICAS,
        "only {fewest} pods were ready: {:?}",
        pods.all()
    );
    no_failure(&load.stop().await)?;
    scene.close().await
}

/// The whole app is removed, in the order of its manifests and all at once: nothing stays behind.
pub(crate) async fn removed_with_its_app_nothing_stays(stage: &Stage) -> Result<()> {
    let scene = stage.scene("removal").await?;
    let (app, load) = running(&scene).await?;
    scene
        .adopt(&app, "steps: [{weight: 20%, bake: 1m}]\n")
        .await?;
    let v2 = app.tagged("v2");
    scene.deploy(&v2).await?;
    scene.at_step(&v2, 1, Duration::from_secs(20)).await?;
    drop(load);

    let params = DeleteParams::default();
    let begun = Instant::now();
    scene.api::<Canary>().delete("shop", &params).await?;
    scene.api::<Deployment>().delete("shop", &params).await?;
    scene.api::<Service>().delete("shop", &params).await?;
    nothing_left(&scene, Duration::from_secs(30)).await?;
    let pods = ListParams::default().labels(PODS);
    eventually("no pod left", Duration::from_secs(30), async || {
        let left = scene.api::<Pod>().list(&pods).await?.items.len();
        Ok(if left == 0 {
            Ok(())
        } else {
            Err(format!("{left} pods"))
        })
    })
    .await?;
    let took = begun.elapsed();
    ensure!(took <= Duration::from_secs(30), "all gone after {took:?}");
    scene.close().await
}

/// An app that runs, as Git has it, with users; Sluice knows nothing of it.
async fn running(scene: &Scene<'_>) -> Result<(App, Load)> {
    let mut app = App::new("shop", "v1");
    app.replicas = Some(3);
    scene.deploy(&app).await?;
    eventually(
        "the Deployment's pods ready",
        Duration::from_secs(20),
        async || {
            let status = scene.api::<Deployment>().get("shop").await?.status;
            let ready = status.and_then(|status| status.ready_replicas);
            Ok(if ready == Some(3) {
                Ok(())
            } else {
                Err(format!("{ready:?}"))
            })
        },
    )
    .await?;
    let load = scene.load("shop", 8080, RATE).await?;
    Ok((app, load))
}

/// Waits until the Canary is gone, and with it everything that carries its label.
async fn nothing_left(scene: &Scene<'_>, within: Duration) -> Result<()> {
    eventually("the Canary gone", within, async || {
        let canary = scene.api::<Canary>().get_opt("shop").await?;
        let text = |canary: Canary| format!("{:?}", canary.status.and_then(|status| status.phase));
        Ok(canary.map_or(Ok(()), |canary| Err(text(canary))))
    })
    .await?;
    // Pods end a moment after their Deployment.
    scene.only_left("shop", &[], Duration::from_secs(15)).await
}

/// When fewer than so many were ready for the first time.
fn first_below(ready: &Recording<usize>, wanted: usize) -> Result<Instant> {
    let below = ready.all().into_iter().find(|seen| seen.what < wanted);
    Ok(below.context("never")?.at)
}
