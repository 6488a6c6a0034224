//! What the controller recorded of real rollouts is decided again by the same program, to the last bit.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::stage::{App, Stage, says, serves};
use sluice_crds::Phase;

const RATE: f64 = 300.0;
const SPEC: &str = "\
replicas: 2
slos: [{name: availability, objective: 99.9%, availability: {}}]
";

/// An adoption, a promotion and a rejection: each is one bundle, and every decision in it is made again. Of one
/// in which somebody changed a number it is told where, and the exit code is 1.
pub(crate) async fn rollouts_are_decided_again_to_the_last_bit(stage: &Stage) -> Result<()> {
    let scene = stage.scene("replay").await?;
    let v1 = App::new("shop", "v1");
    scene.deploy(&v1).await?;
    let load = scene.load("shop", 8080, RATE).await?;
    scene.adopt(&v1, SPEC).await?;
    let v2 = v1.tagged("v2");
    scene.deploy(&v2).await?;
    let end = scene.outcome(&v2, Duration::from_mins(1)).await?;
    let good = scene.revision_of(&v2).await?;
    serves(&end, &good)?;
    let v3 = v1.tagged("v3-fail50");
    scene.deploy(&v3).await?;
    let end = scene.outcome(&v3, Duration::from_secs(30)).await?;
    let bad = scene.revision_of(&v3).await?;
    ensure!(end.phase == Some(Phase::Failed), "{bad} serves: {end:?}");
    scene.pods_gone(&bad, Duration::from_secs(15)).await?;
    load.stop().await;

    let first = scene.revision_of(&v1).await?;
    let bundles = stage.recordings("replay", "shop")?;
    let wanted = [(first, "adopted"), (good, "promoted"), (bad, "rejected")];
    ensure!(bundles.len() == wanted.len(), "recorded: {bundles:?}");
    for (bundle, (revision, outcome)) in bundles.iter().zip(&wanted) {
        let told = same(stage, bundle).await?;
        says(&told, &[&format!("{revision} was {outcome} after ")])?;
        let size = fs::metadata(bundle)?.len();
        println!(
            "replay: {revision} was {outcome}: {size} bytes, {}",
            last_line(&told)
        );
        // A line for each look at the metrics at least.
        ensure!(fs::read_to_string(bundle)?.lines().count() > 5, "{told}");
    }
    let rejected = bundles.last().context("no bundle")?;
    tampered(stage, rejected).await?;
    scene.close().await
}

/// Replays a bundle that nobody touched.
async fn same(stage: &Stage, bundle: &Path) -> Result<String> {
    let output = stage
        .command(&["replay", &bundle.to_string_lossy()])
        .await?;
    let (told, error) = (
        String::from_utf8_lossy(&output.stdout).into_owned(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    );
    ensure!(
        output.status.success(),
        "{}: {error}\n{told}",
        bundle.display()
    );
    let (same, of) = last_line(&told)
        .split_once(" of ")
        .with_context(|| format!("no count in {told}"))?;
    let all = of.strip_suffix(" decisions are the same.");
    ensure!(all == Some(same), "{told}");
    Ok(told)
}

fn last_line(text: &str) -> &str {
    text.lines().last().unwrap_or_default()
}

/// One word of the verdict is another.
async fn tampered(stage: &Stage, bundle: &Path) -> Result<()> {
    let whole = fs::read_to_string(bundle)?;
    let place = whole
        .find(r#""Fail":"#)
        .context("no verdict in the bundle")?;
    let line = whole.get(..place).unwrap_or_default().lines().count();
    let (before, after) = whole.split_at(place);
    let copy = bundle.with_extension("tampered");
    fs::write(
        &copy,
        format!("{before}{}", after.replacen("good", "well", 1)),
    )?;
    let output = stage.command(&["replay", &copy.to_string_lossy()]).await?;
    fs::remove_file(&copy)?;
    ensure!(output.status.code() == Some(1), "{:?}", output.status);
    let error = String::from_utf8_lossy(&output.stderr);
    says(
        &error,
        &[
            &format!("line {line}: the decision is another one now"),
            "were well",
            "were good",
        ],
    )
}
