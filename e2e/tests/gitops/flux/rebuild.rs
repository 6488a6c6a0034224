//! All that the cluster knew of an app is lost in the middle of a rollout; Git is all that is left.

use anyhow::{Result, ensure};
use e2e::delivery::{Delivery, Team};
use e2e::stage::{eventually, no_failure, serves};
use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use sluice_crds::Phase;

use super::{INTERVAL, RATE, ROLLOUT, SHOP, SOON, adopted, nothing_drifts, ship};

/// The namespace goes, with Canary, route, revisions and verdicts, and comes again empty. Flux applies Git anew:
/// what Git says is served, by its first revision, and nothing waits for what is lost. The rest of the cluster
/// is not lost here.
pub(crate) async fn of_a_namespace_lost_in_mid_rollout(delivery: &Delivery) -> Result<()> {
    const NAMESPACE: &str = "flux-rebuild";
    let scene = delivery.stage.scene(NAMESPACE).await?;
    let long = "steps: [{weight: 20%, bake: 10m}]\n";
    let (team, v1) = adopted(delivery, &scene, long).await?;
    let load = scene.load(SHOP, 8080, RATE).await?;
    let v2 = v1.tagged("v2");
    ship(&team, &v2).await?;
    scene.at_step(&v2, 1, ROLLOUT).await?;
    no_failure(&load.stop().await)?;
    let Team { repository, .. } = team;
    let commit = repository.head().await?;
    scene.close().await?;
    let namespaces: Api<Namespace> = Api::all(delivery.stage.cluster.client());
    eventually("the namespace is gone", ROLLOUT, async || {
        let left = namespaces.get_opt(NAMESPACE).await?;
        Ok(left.map_or(Ok(()), |left| Err(format!("{:?}", left.status))))
    })
    .await?;

    let scene = delivery.stage.scene(NAMESPACE).await?;
    let team = delivery.team_of(&scene, repository, INTERVAL).await?;
    super::scene_has_canary(&scene).await?;
    let status = scene.phase(SHOP, Phase::Succeeded, ROLLOUT).await?;
    serves(&status, &scene.revision_of(&v2).await?)?;
    scene.clean(SHOP).await?;
    let revisions = scene.snapshots(SHOP).await?.len();
    ensure!(revisions == 1, "{revisions} revisions");
    team.healthy(&commit, SOON).await?;
    nothing_drifts(&team).await?;
    let load = scene.load(SHOP, 8080, RATE).await?;
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    let report = load.stop().await;
    no_failure(&report)?;
    scene.close().await
}
