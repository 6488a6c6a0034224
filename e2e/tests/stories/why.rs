//! `sluice why` explains what objects say.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use e2e::stage::{App, Scene, Stage, eventually, says};
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use sluice_crds::{Canary, Phase};

const PATIENCE: Duration = Duration::from_secs(45);

/// A rollout with too few requests says how many are missing, and about how long that takes. One that was rejected
/// shows by which evidence, also after its status was wiped.
pub(crate) async fn a_person_is_told_what_is_waited_for_and_what_rejected_it(
    stage: &Stage,
) -> Result<()> {
    let scene = stage.scene("why").await?;
    let v1 = App::new("shop", "v1");
    scene.deploy(&v1).await?;
    let load = scene.load("shop", 8080, 100.0).await?;
    let spec = "\
replicas: 1
minRequests: 100000
slos: [{name: availability, objective: 99.9%, availability: {}}]
";
    scene.adopt(&v1, spec).await?;
    let old = scene.revision_of(&v1).await?;
    let v2 = v1.tagged("v2");
    scene.deploy(&v2).await?;
    let new = scene.at_step(&v2, 1, PATIENCE).await?;
    scene.phase("shop", Phase::Holding, PATIENCE).await?;

    // The words of a wait are written within seconds, the numbers beside them within half a minute.
    let (text, missing) = eventually("a number of requests and a time", PATIENCE, async || {
        let told = asked(&scene).await?;
        let exhibit = told.pointer("/rollout/evidence/0");
        let missing = exhibit.and_then(|one| one.get("missing")).cloned();
        let Some(missing) = missing.filter(|missing| missing.get("seconds").is_some()) else {
            return Ok(Err(told.to_string()));
        };
        let text = stage.sluice(&["why", "why/shop"]).await?;
        Ok(Ok((text, missing)))
    })
    .await?;
    println!("{text}");
    let events = missing.get("events").and_then(Value::as_u64);
    ensure!(
        events.is_some_and(|events| (50_000..100_000).contains(&events)),
        "missing: {missing}"
    );
    // Ten requests a second.
    let seconds = missing.get("seconds").and_then(Value::as_u64);
    ensure!(
        seconds.is_some_and(|seconds| (3_000..30_000).contains(&seconds)),
        "missing: {missing}"
    );
    says(
        &text,
        &[
            "why/shop is Holding, at step 1 of 2",
            &format!("{new} has 10% of the requests, proven since "),
            &format!("{old} is the stable revision"),
            "it waits for evidence since ",
            "a person is called at ",
            " of the 100000 requests that minRequests asks: ",
            " more, about ",
            "istio_requests_total",
            &format!("sluice promote why/shop --revision {new}"),
        ],
    )?;

    let v3 = v1.tagged("v3-fail50");
    scene.deploy(&v3).await?;
    load.set_rate(400.0);
    let end = scene.outcome(&v3, PATIENCE).await?;
    ensure!(end.phase == Some(Phase::Failed), "not rejected: {end:?}");
    let bad = scene.revision_of(&v3).await?;
    rejected(&scene, &bad).await?;

    let wiped = Patch::Merge(json!({"status": null}));
    let canaries = scene.api::<Canary>();
    canaries
        .patch_status("shop", &PatchParams::default(), &wiped)
        .await?;
    rejected(&scene, &bad).await?;
    drop(load);
    scene.close().await
}

/// By which evidence a revision was rejected is told, in numbers.
async fn rejected(scene: &Scene<'_>, revision: &str) -> Result<()> {
    let told = asked(scene).await?;
    let mut decisions = told
        .get("decisions")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    let of_it = |one: &&Value| one.get("revision").and_then(Value::as_str) == Some(revision);
    let decision = decisions.find(of_it).context("no decision")?;
    let exhibit = decision.pointer("/grounds/evidence/0");
    let exhibit = exhibit.with_context(|| format!("no evidence in {decision}"))?;
    let number = |path: &str| exhibit.pointer(path).and_then(Value::as_u64).unwrap_or(0);
    let proof = number("/proof");
    ensure!(
        proof == 200 && number("/against/objective") >= proof && number("/against/stable") >= proof,
        "no proof in {exhibit}"
    );
    ensure!(
        number("/candidate/total") > number("/candidate/good"),
        "nothing bad in {exhibit}"
    );
    let text = scene.stage.sluice(&["why", "why/shop"]).await?;
    println!("{text}");
    says(
        &text,
        &[
            &format!("{revision} was rejected "),
            "with 10% of the requests",
            "availability  99.9%",
            "Fail",
        ],
    )
}

async fn asked(scene: &Scene<'_>) -> Result<Value> {
    let json = scene
        .stage
        .sluice(&["why", "why/shop", "-o", "json"])
        .await?;
    Ok(serde_json::from_str(&json)?)
}
