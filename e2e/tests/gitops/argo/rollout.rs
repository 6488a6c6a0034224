//! Pushes: a good one, a bad one, and their reverts. Argo CD brings each commit, and nothing else.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use e2e::cluster::Shares;
use e2e::delivery::argo::{Apply, State};
use e2e::delivery::{Delivery, monitor};
use e2e::stage::{describe, no_failure, only_failures_of, says, serves};
use sluice_crds::Phase;

use super::{NONE, PODS, RATE, Team};

const REPLICAS: usize = 3;
const ROLLOUT: Duration = Duration::from_mins(1);

/// A good image is promoted; a bad one is rejected, for which some of its own users pay and nobody else, and reverting it
/// moves nothing; reverting the good one goes back to what served before, at once.
pub(crate) async fn pushed_and_reverted(delivery: &Delivery, apply: Apply) -> Result<()> {
    let mut team = Team::new(delivery, "rollout", apply).await?;
    team.canary = Some((NONE.to_owned(), team.spec("replicas: 3\n")));
    team.push("an app and its Canary").await?;
    team.scene.phase("shop", Phase::Succeeded, ROLLOUT).await?;
    team.scene.clean("shop").await?;
    let load = team.scene.load("shop", 8080, RATE).await?;
    let pods = team.scene.record_ready(PODS).await?;
    let v1 = team.app.clone();
    let old = team.scene.revision_of(&v1).await?;
    let all = team.watch().await?;

    let v2 = v1.tagged("v2");
    team.app = v2.clone();
    let shipped = team.push("v2").await?;
    let watch = team.watch().await?;
    serves(
        &team.scene.outcome(&v2, ROLLOUT).await?,
        &team.scene.revision_of(&v2).await?,
    )?;
    let good = team.scene.revision_of(&v2).await?;
    team.health("Healthy").await?;
    let healths = watch.nothing_to_do(&team)?;
    ensure!(
        healths.ends_with(&["Progressing".to_owned(), "Healthy".to_owned()]),
        "the Application was {healths:?}"
    );
    monitor::scrapes(&team.scene, "shop", &good).await?;
    no_failure(&load.stop().await)?;

    // From here on some users are answered badly, as they are to be.
    let load = team.scene.load("shop", 8080, RATE).await?;
    team.app = v1.tagged("v3-fail50");
    let bad = team.push("v3, which fails").await?;
    let watch = team.watch().await?;
    let end = team.scene.outcome(&team.app, ROLLOUT).await?;
    ensure!(end.phase == Some(Phase::Failed), "{}", describe(&end));
    let rejected = team.scene.revision_of(&team.app).await?;
    let words = format!("healthy, but {rejected} was rejected: availability:");
    let told = |state: &State| state.health == "Healthy" && state.canary.1.starts_with(&words);
    team.application.until(&words, told).await?;
    watch.nothing_to_do(&team)?;

    let routed = team.scene.record_weights("shop").await?;
    let reverted = team.repository.revert(&bad).await?;
    team.delivered(&reverted).await?;
    let watch = team.watch().await?;
    team.scene.clean("shop").await?;
    serves(&team.scene.status("shop").await?, &good)?;
    team.health("Healthy").await?;
    watch.nothing_to_do(&team)?;
    only_failures_of(&load.stop().await, "v3")?;

    // What was promoted is reverted like anything else.
    let load = team.scene.load("shop", 8080, RATE).await?;
    let reverted = team.repository.revert(&shipped).await?;
    team.delivered(&reverted).await?;
    let watch = team.watch().await?;
    serves(&team.scene.outcome(&v1, ROLLOUT).await?, &old)?;
    team.scene.clean("shop").await?;
    team.health("Healthy").await?;
    watch.nothing_to_do(&team)?;
    let weights: Vec<_> = routed
        .all()
        .into_iter()
        .map(|seen| seen.what.weights)
        .collect();
    let whole = |revision: &str| Shares::from([(revision.to_owned(), 100.0)]);
    ensure!(
        weights == [whole(&good), whole(&old)],
        "not at once: {weights:?}"
    );
    let events = team.scene.events("shop").await?;
    let back = events.iter().find(|event| event.starts_with("GoingBack"));
    says(
        back.context("no Event GoingBack")?,
        &[&old, "without gates"],
    )?;
    no_failure(&load.stop().await)?;
    pods.never_below(REPLICAS)?;
    all.one_sync_a_commit(&team).await?;
    team.nothing_restored().await?;
    team.close().await
}
