//! Two Canaries follow one policy.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::cluster::Shares;
use e2e::stage::app::{merged, quick_policy};
use e2e::stage::{App, Scene, Stage, condition, says};
use kube::api::{Api, DeleteParams};
use sluice_crds::{CanaryStatus, ClusterCanaryPolicy, Percent, Phase};

/// Clusters have one of a name: not `default`, which every other story would follow.
const POLICY: &str = "pair";
const FOLLOWS: &str = "policyRef: {kind: ClusterCanaryPolicy, name: pair}\nreplicas: 1\n";
const RATE: f64 = 200.0;

/// One rollout at a time; the other says that it waits, and why, and then has its turn. An edit of the
/// policy alters no rollout under way, and holds for the next one. A section of the Canary's own
/// replaces that of the policy.
pub(crate) async fn two_follow_one_policy(stage: &Stage) -> Result<()> {
    let scene = stage.scene("policy").await?;
    let result = play(&scene).await;
    // It is not in the namespace, and would outlive it.
    let policies: Api<ClusterCanaryPolicy> = Api::all(scene.client());
    policies.delete(POLICY, &DeleteParams::default()).await?;
    result?;
    scene.close().await
}

async fn play(scene: &Scene<'_>) -> Result<()> {
    // 15 of 100 requests may fail.
    let lenient = "steps: [{weight: 20%, bake: 4s}]\n\
                   slos: [{name: availability, objective: 80%, availability: {}}]\n";
    write_policy(scene, lenient).await?;
    let (cart, shop) = (App::new("cart", "v1"), App::new("shop", "v1"));
    scene.deploy(&cart).await?;
    scene.deploy(&shop).await?;
    let loads = [
        scene.load("cart", 8080, RATE).await?,
        scene.load("shop", 8080, RATE).await?,
    ];
    scene.canary("cart", FOLLOWS).await?;
    let strict = "slos: [{name: availability, objective: 95%, availability: {}}]\n";
    scene.canary("shop", &format!("{FOLLOWS}{strict}")).await?;
    for name in ["cart", "shop"] {
        scene
            .phase(name, Phase::Succeeded, Duration::from_secs(30))
            .await?;
    }
    write_policy(scene, &format!("{lenient}maxConcurrent: 1\n")).await?;
    let routed = (
        scene.record_weights("cart").await?,
        scene.record_weights("shop").await?,
    );

    let v2 = cart.tagged("v2-fail15");
    scene.deploy(&v2).await?;
    let new = scene.at_step(&v2, 1, Duration::from_secs(20)).await?;
    let other = shop.tagged("v2-fail15");
    scene.deploy(&other).await?;
    waits_for_a_place(scene).await?;

    // By this objective, v2 fails within a scrape or two.
    let edited = "steps: [{weight: 50%, bake: 1s}]\n\
                  slos: [{name: availability, objective: 99%, availability: {}}]\n\
                  maxConcurrent: 1\n";
    write_policy(scene, edited).await?;
    let pinned = plan(&scene.status("cart").await?)?;
    ensure!(
        pinned == (vec!["20%".to_owned()], Some("80%".to_owned())),
        "{pinned:?}"
    );
    let end = scene.outcome(&v2, Duration::from_secs(30)).await?;
    ensure!(
        end.stable.as_deref() == Some(new.as_str()),
        "the edit failed {new}: {end:?}"
    );
    ensure!(
        plan(&end)? == pinned,
        "the plan changed in the middle: {:?}",
        plan(&end)?
    );
    let weights: Vec<_> = routed
        .0
        .all()
        .into_iter()
        .map(|seen| seen.what.weights)
        .collect();
    let with_new: Vec<_> = weights
        .iter()
        .filter_map(|split| split.get(&new))
        .copied()
        .collect();
    ensure!(with_new == [20.0, 100.0], "{weights:?}");

    // The other one has its turn: by the edited steps, and by an objective of its own.
    let end = scene.outcome(&other, Duration::from_secs(30)).await?;
    ensure!(
        end.phase == Some(Phase::Failed),
        "its own objective was not held: {end:?}"
    );
    let tried = plan(&end)?;
    ensure!(
        tried == (vec!["50%".to_owned()], Some("95%".to_owned())),
        "{tried:?}"
    );
    let rejected = end.candidate.as_deref().context("no candidate")?;
    let splits = routed.1.all().into_iter().map(|seen| seen.what.weights);
    let had = |split: &Shares| split.get(rejected).copied();
    let had: Vec<_> = splits.filter_map(|split| had(&split)).collect();
    ensure!(had == [50.0], "{rejected} had {had:?}");
    drop(loads);
    Ok(())
}

/// The second rollout does not start; its conditions and columns say why, and that it is no fault.
async fn waits_for_a_place(scene: &Scene<'_>) -> Result<()> {
    let waiting = |status: &CanaryStatus| {
        let ready = condition(status, "Ready").ok()?;
        (ready.reason == "TooManyRollouts").then(|| status.clone())
    };
    let within = Duration::from_secs(5);
    let status = scene
        .until("shop", "waits for a place", within, waiting)
        .await?;
    ensure!(status.phase == Some(Phase::Waiting), "{status:?}");
    let ready = condition(&status, "Ready")?;
    says(&ready.message, &["maxConcurrent"])?;
    ensure!(ready.status == "False", "{ready:?}");
    ensure!(
        condition(&status, "Stalled").is_err(),
        "nobody needs to do anything: {status:?}"
    );
    ensure!(
        condition(&status, "Reconciling")?.status == "True",
        "{status:?}"
    );
    ensure!(status.rollout.is_none(), "it started: {status:?}");
    Ok(())
}

/// The weights of the pinned steps, and the objective of the only SLO.
fn plan(status: &CanaryStatus) -> Result<(Vec<String>, Option<String>)> {
    let plan = status.plan.as_ref().context("no plan is pinned")?;
    let text = |percent: &Percent| percent.as_str().to_owned();
    let weights = plan
        .steps
        .iter()
        .flatten()
        .filter_map(|step| step.weight.as_ref().map(text))
        .collect();
    let slo = plan
        .slos
        .as_deref()
        .and_then(<[_]>::first)
        .context("no SLO is pinned")?;
    Ok((weights, slo.objective.as_ref().map(text)))
}

async fn write_policy(scene: &Scene<'_>, more: &str) -> Result<()> {
    let sections = merged(&quick_policy(scene.stage.cluster.prometheus_url()), more);
    let mut yaml = format!(
        "apiVersion: sluice.dev/v1alpha1\nkind: ClusterCanaryPolicy\n\
         metadata: {{name: {POLICY}}}\nspec:\n"
    );
    for line in sections.lines() {
        yaml.push_str("  ");
        yaml.push_str(line);
        yaml.push('\n');
    }
    scene.stage.cluster.apply(&yaml).await?;
    Ok(())
}
