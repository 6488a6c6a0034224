//! What a rollout costs the API server.

use std::time::Duration;

use anyhow::{Result, ensure};
use e2e::cluster::audit::Event;
use e2e::stage::{App, Scene, Stage, list, no_failure, serves};
use sluice_crds::CanaryStatus;

/// A weight step: the route, and the status.
const MOST_WRITES: usize = 2;

/// From the proof of one step to the proof of the next: bake, pass, new weight, proof.
pub(crate) async fn a_weight_step_costs_two_writes_and_no_read(stage: &Stage) -> Result<()> {
    let scene = stage.scene("writes").await?;
    let v1 = App::new("shop", "v1");
    scene.deploy(&v1).await?;
    let load = scene.load("shop", 8080, 300.0).await?;
    // One pod is enough for each of these weights.
    let steps =
        "steps: [{weight: 10%, bake: 3s}, {weight: 30%, bake: 3s}, {weight: 50%, bake: 3s}]";
    scene.adopt(&v1, &format!("replicas: 1\n{steps}\n")).await?;

    let v2 = v1.tagged("v2");
    scene.deploy(&v2).await?;
    proven(&scene, 1).await?;
    for step in [2, 3] {
        let mark = stage.cluster.audit().mark()?;
        proven(&scene, step).await?;
        let asked = scene.asked_since(mark)?;
        let (writes, reads): (Vec<Event>, Vec<Event>) = asked.into_iter().partition(Event::writes);
        println!("step {step}: {} writes ({})", writes.len(), list(&writes));
        println!("step {step}: {} reads ({})", reads.len(), list(&reads));
        ensure!(
            writes.len() <= MOST_WRITES,
            "step {step}: {} writes",
            writes.len()
        );
        ensure!(reads.is_empty(), "step {step}: {} reads", reads.len());
        // Else the log is not that of what happened.
        for plural in ["httproutes", "canaries/status"] {
            ensure!(
                writes.iter().any(|write| write.about(plural)),
                "no write of {plural}"
            );
        }
    }
    let end = scene.outcome(&v2, Duration::from_secs(30)).await?;
    let new = scene.revision_of(&v2).await?;
    serves(&end, &new)?;
    no_failure(&load.stop().await)?;
    scene.close().await
}

async fn proven(scene: &Scene<'_>, step: u32) -> Result<()> {
    let proven = |status: &CanaryStatus| {
        let since = status.rollout.as_ref()?.step_since;
        (status.step == Some(step) && since.is_some()).then_some(())
    };
    let what = format!("step {step} proven");
    scene
        .until("shop", &what, Duration::from_secs(30), proven)
        .await
}
