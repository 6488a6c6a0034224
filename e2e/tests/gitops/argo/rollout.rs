//! From a Deployment as most charts have it to a service that Git alone steers: by the words of the conditions, and
//! without a difference between Git and the cluster.

use std::time::Duration;

use anyhow::{Result, ensure};
use e2e::delivery::argo::{Apply, State};
use e2e::delivery::{Delivery, monitor};
use e2e::stage::{condition, describe, no_failure, serves};
use sluice_crds::{Canary, Phase};
use tokio::time::Instant;

use super::{NONE, PODS, RATE, Team};

const REPLICAS: usize = 3;
/// How long nothing more is told before it counts as the end.
const QUIET: Duration = Duration::from_secs(10);

/// As `kubectl apply` does.
pub(crate) async fn client_side(delivery: &Delivery) -> Result<()> {
    story(delivery, "argo-client", Apply::ClientSide).await
}

/// As `kubectl apply --server-side` does.
pub(crate) async fn server_side(delivery: &Delivery) -> Result<()> {
    story(delivery, "argo-server", Apply::ServerSide).await
}

async fn story(delivery: &Delivery, name: &str, apply: Apply) -> Result<()> {
    let mut team = Team::new(delivery, name, apply).await?;
    team.app.replicas = Some(3);
    team.scales = Some("Deployment");
    team.push("the app as it is").await?;
    team.scene.settled("shop", 3).await?;
    let load = team.scene.load("shop", 8080, RATE).await?;
    let pods = team.scene.record_ready(PODS).await?;

    let sizes = team.scene.record_size("shop").await?;
    team.canary = Some((NONE.to_owned(), team.spec("")));
    team.push("a Canary").await?;
    let told = follow(&mut team).await?;
    let sizes: Vec<_> = sizes.all().into_iter().map(|seen| seen.what).collect();
    println!("{name}: the Deployment had {sizes:?} replicas; told, and done: {told:#?}");
    // Client-side apply makes it 1 when Git drops it, unless Sluice is faster; nobody puts anything back.
    let falls = sizes.is_sorted_by(|before, after| before > after);
    ensure!(falls && sizes.last() == Some(&0), "{name}: {sizes:?}");
    ensure!(
        team.app.replicas.is_none() && team.scales == Some("Canary"),
        "the conditions led to another end: {told:?}"
    );
    team.health("Healthy").await?;
    // An autoscaler is to change the size: so it is not in Git, and no difference to Git either.
    let size = team.scene.api::<Canary>().get("shop").await?.spec.replicas;
    ensure!(size == Some(3), "the autoscaler cannot scale it: {size:?}");

    team.app = team.app.tagged("v2");
    team.push("v2").await?;
    let watch = team.watch().await?;
    let end = team
        .scene
        .outcome(&team.app, Duration::from_mins(1))
        .await?;
    let good = team.scene.revision_of(&team.app).await?;
    serves(&end, &good)?;
    team.health("Healthy").await?;
    let healths = team.nothing_to_do(&watch)?;
    ensure!(
        healths.ends_with(&["Progressing".to_owned(), "Healthy".to_owned()]),
        "the Application was {healths:?}"
    );
    monitor::scrapes(&team.scene, "shop", &good).await?;
    no_failure(&load.stop().await)?;

    // From here on some users are answered badly, as they are to be.
    let load = team.scene.load("shop", 8080, RATE).await?;
    let before = team.app.clone();
    team.app = team.app.tagged("v3-fail50");
    let bad = team.push("v3, which fails").await?;
    let watch = team.watch().await?;
    let end = team
        .scene
        .outcome(&team.app, Duration::from_mins(1))
        .await?;
    ensure!(end.phase == Some(Phase::Failed), "{}", describe(&end));
    let rejected = team.scene.revision_of(&team.app).await?;
    let words = format!("healthy, but {rejected} was rejected: availability:");
    let told = |state: &State| state.health == "Healthy" && state.canary.1.starts_with(&words);
    team.application.until(&words, told).await?;
    team.nothing_to_do(&watch)?;

    team.app = before;
    let reverted = team.repository.revert(&bad).await?;
    team.delivered(&reverted).await?;
    let watch = team.watch().await?;
    team.scene.clean("shop").await?;
    serves(&team.scene.status("shop").await?, &good)?;
    team.health("Healthy").await?;
    team.nothing_to_do(&watch)?;
    load.stop().await;
    pods.never_below(REPLICAS)?;
    team.close().await
}

/// Does what the Ready condition says, and nothing else, until it says no more; returns what it said.
async fn follow(team: &mut Team<'_>) -> Result<Vec<String>> {
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
            return Ok(told);
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
