//! An incident that is nobody's release: what both revisions depend on fails for a while.

use std::time::Duration;

use anyhow::{Result, ensure};
use e2e::app::admin;
use e2e::stage::{App, Scene, Stage, address, condition, serves};
use futures::future::try_join_all;
use sluice_crds::{CanaryStatus, Outcome};

/// One step, so that nothing passes before the incident.
const SPEC: &str = "\
replicas: 2
slos: [{name: availability, objective: 99%, availability: {}}]
steps: [{weight: 50%, bake: 4s}]
";

/// Half of the answers of both revisions are bad. The candidate is not failed: the rollout holds and says why, and
/// once nothing is left of the incident it goes on by itself.
pub(crate) async fn what_hits_both_revisions_only_holds(stage: &Stage) -> Result<()> {
    let scene = stage.scene("incident").await?;
    let (v1, v2) = (App::new("shop", "v1"), App::new("shop", "v2"));
    scene.deploy(&v1).await?;
    let load = scene.load("shop", 8080, 200.0).await?;
    scene.adopt(&v1, SPEC).await?;
    let old = scene.revision_of(&v1).await?;
    scene.deploy(&v2).await?;
    let new = scene.at_step(&v2, 1, Duration::from_secs(20)).await?;

    behave(&scene, [(&*old, "v1-fail50"), (&*new, "v2-fail50")]).await?;
    let elsewhere = |status: &CanaryStatus| {
        let ready = condition(status, "Ready").ok()?;
        (ready.reason == "IncidentElsewhere").then(|| ready.message.clone())
    };
    let within = Duration::from_secs(20);
    let message = scene.until("shop", "the incident named", within, elsewhere);
    println!("incident: {}", message.await?);
    behave(&scene, [(&*old, "v1"), (&*new, "v2")]).await?;

    let end = scene.outcome(&v2, Duration::from_mins(1)).await?;
    serves(&end, &new)?;
    let failed = end
        .history
        .iter()
        .find(|entry| entry.outcome == Outcome::RolledBack);
    ensure!(failed.is_none(), "{failed:?}");
    let report = load.stop().await;
    let bad = report
        .ended()
        .into_iter()
        .find(|one| one.outcome.is_failure());
    ensure!(bad.is_some(), "there was no incident");
    scene.close().await
}

/// All pods of both at once: what hits one first is no incident of both.
async fn behave(scene: &Scene<'_>, tags: [(&str, &str); 2]) -> Result<()> {
    let mut orders = Vec::new();
    for (revision, tag) in tags {
        for pod in scene.pods(revision).await? {
            orders.push((address(&pod)?, tag));
        }
    }
    let told = orders
        .into_iter()
        .map(|(pod, tag)| admin::set_behaviour(pod, tag));
    try_join_all(told).await?;
    Ok(())
}
