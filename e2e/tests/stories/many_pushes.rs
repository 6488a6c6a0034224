//! A team in a hurry: a new template every two seconds, for a minute.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use e2e::stage::{App, Stage, list, no_failure, serves};
use sluice_crds::Outcome;

const PUSHES: u32 = 30;
const EVERY: Duration = Duration::from_secs(2);
/// The bake is longer than the time between two pushes: nothing passes the first step.
const SPEC: &str = "replicas: 2\nsteps: [{weight: 10%, bake: 4s}, {weight: 50%, bake: 1s}]\n";
/// Writes of Sluice per push: three parts of a revision made and removed, the route twice, and its
/// status.
const WRITES: usize = 20;

/// It ends at the newest. None in between was ever promoted, or had more than the first step's weight;
/// nothing of them is left, and no user noticed any of it.
pub(crate) async fn the_newest_serves_in_the_end(stage: &Stage) -> Result<()> {
    let scene = stage.scene("many-pushes").await?;
    let first = App::new("shop", "v0");
    scene.deploy(&first).await?;
    let load = scene.load("shop", 8080, 200.0).await?;
    scene.adopt(&first, SPEC).await?;
    let old = scene.revision_of(&first).await?;
    let routed = scene.record_weights("shop").await?;
    let mark = stage.cluster.audit().mark()?;

    let begun = Instant::now();
    let mut last = first.clone();
    for push in 1..=PUSHES {
        last = first.tagged(&format!("v{push}"));
        scene.deploy(&last).await?;
        tokio::time::sleep((begun + push * EVERY).saturating_duration_since(Instant::now())).await;
    }
    let took = begun.elapsed();
    ensure!(
        took < (PUSHES + 5) * EVERY,
        "this machine is too slow for the story: {took:?}"
    );
    let writes = scene.asked_since(mark)?;
    let end = scene.outcome(&last, Duration::from_mins(1)).await?;
    let new = scene.revision_of(&last).await?;
    serves(&end, &new)?;
    scene
        .only_left("shop", &[&old, &new], Duration::from_secs(30))
        .await?;

    let mut highest: BTreeMap<String, f64> = BTreeMap::new();
    for (revision, weight) in routed.all().into_iter().flat_map(|seen| seen.what.weights) {
        let known = highest.entry(revision).or_default();
        *known = known.max(weight);
    }
    let between = highest
        .iter()
        .filter(|(revision, _)| **revision != old && **revision != new);
    let above: Vec<_> = between
        .clone()
        .filter(|(_, weight)| **weight > 10.0)
        .collect();
    ensure!(above.is_empty(), "more than the first step: {above:?}");
    ensure!(
        between.count() > 1,
        "hardly one of them served: nothing is shown: {highest:?}"
    );
    let promoted = end
        .history
        .iter()
        .filter(|entry| entry.outcome == Outcome::Promoted);
    let promoted: BTreeSet<_> = promoted.map(|entry| entry.revision.clone()).collect();
    let allowed = BTreeSet::from([old.clone(), new.clone()]);
    ensure!(promoted.is_subset(&allowed), "promoted: {promoted:?}");
    ensure!(
        writes.len() <= WRITES * usize::try_from(PUSHES)?,
        "{} requests for {PUSHES} pushes: {}",
        writes.len(),
        list(&writes)
    );
    no_failure(&load.stop().await)?;
    scene.close().await
}
