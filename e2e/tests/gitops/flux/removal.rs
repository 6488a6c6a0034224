//! Files go from Git, and Flux prunes.

use anyhow::{Result, ensure};
use e2e::delivery::Delivery;
use e2e::stage::{eventually, no_failure};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;

use super::{APP, CANARY, PODS, RATE, ROLLOUT, SHOP, SOON, adopted, nothing_drifts};

/// The Canary alone: the Deployment has its pods again before anything of Sluice goes.
pub(crate) async fn of_the_canary_alone(delivery: &Delivery) -> Result<()> {
    let scene = delivery.stage.scene("flux-removal").await?;
    let (team, _) = adopted(delivery, &scene, "").await?;
    let load = scene.load(SHOP, 8080, RATE).await?;
    let pods = scene.record_ready(PODS).await?;
    let commit = team.remove(&[CANARY], "Without a canary").await?;
    scene.only_left(SHOP, &[], ROLLOUT).await?;
    team.healthy(&commit, SOON).await?;
    ensure!(scene.replicas(SHOP).await? == 2, "another size");
    nothing_drifts(&team).await?;
    no_failure(&load.stop().await)?;
    pods.never_below(2)?;
    scene.close().await
}

/// The whole app in one commit: nothing of it is left, and nothing hangs.
pub(crate) async fn of_all(delivery: &Delivery) -> Result<()> {
    let scene = delivery.stage.scene("flux-removal-all").await?;
    let (team, v1) = adopted(delivery, &scene, "steps: [{weight: 20%, bake: 10m}]\n").await?;
    // In the middle of a rollout, of all times.
    let load = scene.load(SHOP, 8080, RATE).await?;
    let v2 = v1.tagged("v2");
    super::ship(&team, &v2).await?;
    scene.at_step(&v2, 1, ROLLOUT).await?;
    no_failure(&load.stop().await)?;
    let commit = team.remove(&[APP, CANARY], "No shop any more").await?;
    scene.only_left(SHOP, &[], ROLLOUT).await?;
    eventually("app and Canary gone", ROLLOUT, async || {
        let canary = scene.api::<sluice_crds::Canary>().get_opt(SHOP).await?;
        let target = scene.api::<Deployment>().get_opt(SHOP).await?;
        let service = scene.api::<Service>().get_opt(SHOP).await?;
        let left = [canary.is_some(), target.is_some(), service.is_some()];
        Ok(if left == [false; 3] {
            Ok(())
        } else {
            Err(format!("Canary, Deployment, Service: {left:?}"))
        })
    })
    .await?;
    team.healthy(&commit, SOON).await?;
    scene.close().await
}
