//! A Canary without an autoscaler comes and goes. What goes from Git goes from the cluster, in the foreground as Argo CD
//! prunes: first the Canary, then all.

use std::time::Duration;

use anyhow::{Result, ensure};
use e2e::delivery::Delivery;
use e2e::delivery::argo::Apply;
use e2e::stage::no_failure;
use k8s_openapi::api::apps::v1::Deployment;
use sluice_crds::Phase;

use super::{NONE, PODS, RATE, Team};

const REPLICAS: usize = 3;

/// Git drops the size in one commit, as told. The Canary alone is pruned: its Deployment takes over, with no pod missing
/// and no difference to Git. Then the Application goes, and nothing stays.
pub(crate) async fn by_prune(delivery: &Delivery, apply: Apply) -> Result<()> {
    let mut team = Team::new(delivery, "removal", apply).await?;
    team.app.replicas = Some(3);
    team.push("an app").await?;
    team.scene.settled("shop", 3).await?;
    let load = team.scene.load("shop", 8080, RATE).await?;
    let pods = team.scene.record_ready(PODS).await?;
    let watch = team.watch().await?;
    team.canary = Some((NONE.to_owned(), team.spec("")));
    team.push("a Canary").await?;
    let words = [
        "remove spec.replicas from Deployment shop in Git",
        "set spec.replicas: 3 on this Canary",
    ];
    team.scene
        .told("shop", "ReplicasInGit", &words, Duration::from_secs(40))
        .await?;
    team.app.replicas = None;
    team.canary = Some((NONE.to_owned(), team.spec("replicas: 3\n")));
    team.push("as the condition says, in one commit").await?;
    team.scene
        .told("shop", "Promoted", &[], Duration::from_secs(20))
        .await?;
    team.scene.clean("shop").await?;
    watch.one_sync_a_commit(&team).await?;

    let without = team.drop_canary().await?;
    team.scene
        .canary_gone("shop", Duration::from_mins(1))
        .await?;
    team.application.delivered(&without.id).await?;
    team.health("Healthy").await?;
    team.scene.settled("shop", 3).await?;
    team.scene
        .only_left("shop", &[], Duration::from_secs(20))
        .await?;
    no_failure(&load.stop().await)?;
    pods.never_below(REPLICAS)?;
    team.nothing_restored().await?;

    team.canary = Some((NONE.to_owned(), team.spec("replicas: 3\n")));
    team.push("the Canary again").await?;
    team.scene
        .phase("shop", Phase::Succeeded, Duration::from_secs(40))
        .await?;
    team.compare_owners().await?;
    team.application.delete().await?;
    team.scene
        .only_left("shop", &[], Duration::from_secs(30))
        .await?;
    let left = team.scene.api::<Deployment>().get_opt("shop").await?;
    ensure!(left.is_none(), "the Deployment is still there");
    team.scene.close().await
}
