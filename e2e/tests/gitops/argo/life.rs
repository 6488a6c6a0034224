//! From a Deployment as most charts have it, with its size and an autoscaler in Git, to a service that Sluice brings to
//! users, and back to the Deployment alone: a person does what Sluice says, and only in Git.

use std::time::Duration;

use anyhow::{Result, ensure};
use e2e::delivery::Delivery;
use e2e::delivery::argo::Apply;
use e2e::load::Load;
use e2e::stage::{Recording, condition, describe, eventually, no_failure, serves};
use sluice_crds::{Canary, Phase};
use tokio::time::Instant;

use super::watch::Watch;
use super::{NONE, PODS, RATE, Team};

const REPLICAS: usize = 3;
/// How long nothing more is told before it counts as the end.
const QUIET: Duration = Duration::from_secs(5);
const ROLLOUT: Duration = Duration::from_mins(1);

/// Of two teams, one for each way to apply. Never is a pod missing, nobody is answered badly, neither puts anything back,
/// and at the end nothing of Sluice is left.
pub(crate) async fn from_adoption_to_uninstall(delivery: &Delivery) -> Result<()> {
    let (mut client, mut server) = tokio::try_join!(
        Life::with_a_canary(delivery, Apply::ClientSide),
        Life::with_a_canary(delivery, Apply::ServerSide),
    )?;
    delivery.stage.uninstall().await?;
    let without = tokio::try_join!(client.alone(), server.alone());
    delivery.stage.install().await?;
    without?;
    tokio::try_join!(client.end(), server.end())?;
    Ok(())
}

/// A team, and what is seen of it all the time.
struct Life<'a> {
    team: Team<'a>,
    load: Load,
    pods: Recording<usize>,
    /// What the Deployment was to have.
    sizes: Recording<i32>,
    /// From when the Canary was dropped.
    watch: Watch,
}

impl<'a> Life<'a> {
    /// The app as it was, its Canary, a rollout, and the app without a Canary again.
    async fn with_a_canary(delivery: &'a Delivery, apply: Apply) -> Result<Self> {
        let mut team = Team::new(delivery, "life", apply).await?;
        team.app.replicas = Some(3);
        team.scales = Some("Deployment");
        team.push("the app as it is").await?;
        team.scene.settled("shop", 3).await?;
        let load = team.scene.load("shop", 8080, RATE).await?;
        let pods = team.scene.record_ready(PODS).await?;
        let sizes = team.scene.record_size("shop").await?;
        let watch = team.watch().await?;

        adopt(&mut team).await?;
        team.app = team.app.tagged("v2");
        team.push("v2").await?;
        let end = team.scene.outcome(&team.app, ROLLOUT).await?;
        serves(&end, &team.scene.revision_of(&team.app).await?)?;
        team.scene.clean("shop").await?;
        team.health("Healthy").await?;
        team.compare_owners().await?;
        watch.one_sync_a_commit(&team).await?;
        let watch = team.watch().await?;
        leave(&mut team).await?;
        Ok(Self {
            team,
            load,
            pods,
            sizes,
            watch,
        })
    }

    /// Without Sluice on the cluster Argo CD delivers and the autoscaler scales, as before there was a Canary.
    async fn alone(&mut self) -> Result<()> {
        let Self { team, .. } = self;
        team.fewest = 4;
        team.push("four pods at least").await?;
        team.scene.settled("shop", 4).await?;
        team.health("Healthy").await?;
        let left = team.scene.owned("shop").await?;
        ensure!(left.is_empty(), "left of Sluice: {left:?}");
        Ok(())
    }

    /// What was seen.
    async fn end(self) -> Result<()> {
        let Self {
            team,
            load,
            pods,
            sizes,
            watch,
        } = self;
        no_failure(&load.stop().await)?;
        pods.never_below(REPLICAS)?;
        watch.one_sync_a_commit(&team).await?;
        watch.pruned_the_canary(&team)?;
        team.nothing_restored().await?;
        let sizes: Vec<_> = sizes.all().into_iter().map(|seen| seen.what).collect();
        // The API server makes it 1 when Git drops it, of pods that serve nobody, unless Sluice is faster.
        ensure!(
            sizes == [3, 1, 0, 3, 4] || sizes == [3, 0, 3, 4],
            "the Deployment had {sizes:?} replicas"
        );
        team.close().await
    }
}

/// Pushes a Canary, does what its Ready condition says, and nothing else, until it says no more.
async fn adopt(team: &mut Team<'_>) -> Result<()> {
    team.canary = Some((NONE.to_owned(), team.spec("")));
    team.push("a Canary").await?;
    let mut told = Vec::new();
    let mut quiet_since = None;
    let deadline = Instant::now() + Duration::from_mins(2);
    loop {
        let status = team.scene.status("shop").await?;
        ensure!(
            Instant::now() < deadline,
            "{}; told {told:#?}",
            describe(&status)
        );
        let ready = condition(&status, "Ready").map(|ready| ready.message.clone());
        let ready = ready.unwrap_or_default();
        let before = (team.app.replicas, team.scales);
        if ready.contains("remove spec.replicas from Deployment shop in Git") {
            team.app.replicas = None;
        }
        if ready.contains("point scaleTargetRef of HorizontalPodAutoscaler cpu at this Canary") {
            team.scales = Some("Canary");
        }
        if before != (team.app.replicas, team.scales) {
            told.push(ready);
            team.push("as the condition says").await?;
            continue;
        }
        let stable = status.stable.clone().unwrap_or_default();
        let is_quiet = status.phase == Some(Phase::Succeeded)
            && ready == format!("{stable} serves all requests");
        let since = quiet_since.get_or_insert_with(Instant::now);
        if !is_quiet {
            quiet_since = None;
        } else if since.elapsed() > QUIET {
            break;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let name = &team.scene.namespace;
    println!("{name}: told, and done: {told:#?}");
    ensure!(
        team.app.replicas.is_none() && team.scales == Some("Canary") && told.len() == 2,
        "the conditions led to another end: {told:?}"
    );
    team.scene.clean("shop").await?;
    team.health("Healthy").await?;
    // An autoscaler is to change the size: so it is not in Git, and no difference to Git either.
    let size = team.scene.api::<Canary>().get("shop").await?.spec.replicas;
    ensure!(size == Some(3), "the autoscaler cannot scale it: {size:?}");
    Ok(())
}

/// Drops the Canary, does what it says of the autoscaler, and waits until the Deployment serves alone.
async fn leave(team: &mut Team<'_>) -> Result<()> {
    team.drop_canary().await?;
    let words = [
        "HorizontalPodAutoscaler cpu",
        "at Deployment shop (apiVersion: apps/v1, kind: Deployment)",
    ];
    let told = eventually("told of the autoscaler", ROLLOUT, async || {
        let canary = team.scene.api::<Canary>().get_opt("shop").await?;
        let status = canary.and_then(|canary| canary.status).unwrap_or_default();
        let ready = condition(&status, "Ready").map(|ready| ready.message.clone());
        let mut said = team.scene.events("shop").await?;
        said.extend(ready);
        let told = said
            .iter()
            .find(|text| words.iter().all(|word| text.contains(word)));
        Ok(told.cloned().ok_or_else(|| said.join("\n")))
    })
    .await?;
    println!("{}: told, and done: {told}", team.scene.namespace);
    team.scales = Some("Deployment");
    team.push("as it says").await?;
    team.scene
        .canary_gone("shop", Duration::from_mins(1))
        .await?;
    team.scene
        .only_left("shop", &[], Duration::from_secs(20))
        .await?;
    team.scene.settled("shop", 3).await?;
    team.health("Healthy").await?;
    Ok(())
}
