//! Sluice itself goes, before its Canaries or after them: traffic goes on, and `docs/uninstall.md` is right.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::load::Load;
use e2e::stage::{App, Recording, Scene, Stage, app, no_failure};
use kube::api::DeleteParams;
use serde_json::json;
use sluice_crds::Canary;

pub(crate) const REPLICAS: usize = 2;
const POLICY: &str = "replicas: 2\nsteps: [{weight: 50%, bake: 1s}]\nminRequests: 20\n";
const RATE: f64 = 200.0;
const PODS: &str = "app=shop";

/// The controller and its rights go first. Traffic stays as it is; a Canary deleted then waits. Its finalizer
/// taken off by hand, what serves stays, and is taken up again by a new installation.
pub(crate) async fn the_controller_first(stage: &Stage) -> Result<()> {
    let scene = stage.scene("uninstall").await?;
    let (app, load, pods) = adopted(&scene).await?;
    let revision = scene.revision_of(&app).await?;
    let routed = scene.record_weights("shop").await?;
    stage.uninstall().await?;
    let result = without_controller(&scene).await;
    stage.install().await?;
    result?;
    let left = scene.weights("shop").await?;
    ensure!(left.get(&revision) == Some(&100.0), "{left:?}");

    scene.canary("shop", &policy(&scene)).await?;
    let wait = Duration::from_secs(15);
    scene
        .phase("shop", sluice_crds::Phase::Succeeded, wait)
        .await?;
    scene.clean("shop").await?;
    let v2 = app.tagged("v2");
    scene.deploy(&v2).await?;
    let end_of_it = scene.outcome(&v2, Duration::from_secs(30)).await?;
    let new = scene.revision_of(&v2).await?;
    ensure!(
        end_of_it.stable.as_deref() == Some(new.as_str()),
        "{end_of_it:?}"
    );
    let first = routed.all().into_iter().next().context("no route")?;
    ensure!(
        first.what.weights.get(&revision) == Some(&100.0),
        "{first:?}"
    );
    end(scene, load, &pods).await
}

/// As documented: the Canaries first, and the controller once they are gone. Then nothing of it is left, and
/// nobody misses it.
pub(crate) async fn its_canaries_first(stage: &Stage) -> Result<()> {
    let scene = stage.scene("uninstall-order").await?;
    let (_, load, pods) = adopted(&scene).await?;
    scene
        .api::<Canary>()
        .delete("shop", &DeleteParams::default())
        .await?;
    scene.canary_gone("shop", Duration::from_secs(40)).await?;
    scene
        .only_left("shop", &[], Duration::from_secs(15))
        .await?;
    stage.uninstall().await?;
    let mark = load.now();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let served = load.since(mark).all.requests;
    stage.install().await?;
    ensure!(served > 0, "nobody called");
    ensure!(scene.replicas("shop").await? == 2, "another size");
    end(scene, load, &pods).await
}

/// Nobody hands over: the Canary stays until a person takes its finalizer off.
async fn without_controller(scene: &Scene<'_>) -> Result<()> {
    scene
        .api::<Canary>()
        .delete("shop", &DeleteParams::default())
        .await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let canary = scene.api::<Canary>().get_opt("shop").await?;
    ensure!(canary.is_some(), "the Canary is gone without a hand-over");
    let none = json!({"metadata": {"finalizers": null}});
    scene.patch("shop", &none).await?;
    scene.canary_gone("shop", Duration::from_secs(5)).await
}

/// An adopted app with users, whose manifest no longer says a size, and how many of its pods are ready.
pub(crate) async fn adopted(scene: &Scene<'_>) -> Result<(App, Load, Recording<usize>)> {
    let mut app = App::new("shop", "v1");
    app.replicas = Some(2);
    scene.deploy(&app).await?;
    scene.settled("shop", 2).await?;
    let load = scene.load("shop", 8080, RATE).await?;
    scene.adopt(&app, POLICY).await?;
    let pods = scene.record_ready(PODS).await?;
    app.replicas = None;
    scene.deploy(&app).await?;
    let wait = Duration::from_secs(10);
    scene.told("shop", "Promoted", &[], wait).await?;
    scene.clean("shop").await?;
    Ok((app, load, pods))
}

fn policy(scene: &Scene<'_>) -> String {
    let quick = app::quick_policy(scene.stage.cluster.prometheus_url());
    app::merged(&quick, POLICY)
}

async fn end(scene: Scene<'_>, load: Load, pods: &Recording<usize>) -> Result<()> {
    no_failure(&load.stop().await)?;
    pods.never_below(REPLICAS)?;
    scene.close().await
}
