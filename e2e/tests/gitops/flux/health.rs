//! What Flux makes of a rejected image where a Kustomization says by an expression that it fails.

use anyhow::{Context, Result};
use e2e::delivery::Delivery;
use e2e::stage::{no_failure, serves};
use sluice_crds::Phase;

use super::{INTERVAL, RATE, ROLLOUT, SHOP, SOON, adopted, nothing_drifts, ship};

/// Where users find the expressions.
const PAGE: &str = include_str!("../../../../docs/flux.md");

/// The block of `docs/flux.md`, word by word: a good image makes the Kustomization Ready, a bad one does not, and its
/// revert does.
pub(crate) async fn by_an_expression(delivery: &Delivery) -> Result<()> {
    let scene = delivery.stage.scene("flux-health").await?;
    let (team, v1) = adopted(delivery, &scene, "").await?;
    team.follow_by(INTERVAL, expressions()?).await?;
    team.reconcile(SOON).await?;
    let load = scene.load(SHOP, 8080, RATE).await?;
    let v2 = v1.tagged("v2");
    let good = ship(&team, &v2).await?;
    let status = scene.outcome(&v2, ROLLOUT).await?;
    let serving = scene.revision_of(&v2).await?;
    serves(&status, &serving)?;
    team.healthy(&good, SOON).await?;
    no_failure(&load.stop().await)?;

    let load = scene.load(SHOP, 8080, RATE).await?;
    let v3 = v1.tagged("v3-fail20");
    let bad = ship(&team, &v3).await?;
    let status = scene.outcome(&v3, ROLLOUT).await?;
    serves(&status, &serving)?;
    let canary = format!("Canary/{}/{SHOP} status: 'Failed'", scene.namespace);
    let words = ["health check failed", canary.as_str()];
    let said = team.says("False", &words, SOON).await?;
    println!("{}: Flux says: {said}", scene.namespace);
    load.stop().await;

    let back = team.revert(&bad).await?;
    scene.phase(SHOP, Phase::Succeeded, ROLLOUT).await?;
    team.healthy(&back, SOON).await?;
    nothing_drifts(&team).await?;
    scene.close().await
}

/// The lines of the page's code block that begins with them.
fn expressions() -> Result<&'static str> {
    let begin = PAGE
        .find("  healthCheckExprs:")
        .context("not on the page")?;
    let block = PAGE.get(begin..).unwrap_or_default();
    let end = block.find("```").context("a block without an end")?;
    Ok(block.get(..end).unwrap_or_default())
}
