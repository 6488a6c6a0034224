//! What cannot be done is refused where it is written, or told where it is looked for.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::stage::{App, Scene, Stage, condition, says};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, DeleteParams};
use sluice_crds::{CanaryStatus, Phase};

/// The API server refuses each file's last object with the text of its first line.
pub(crate) async fn the_api_server_says_what_is_wrong(stage: &Stage) -> Result<()> {
    let namespace = "bad-input";
    stage.cluster.namespace(namespace).await?;
    let files = invalid()?;
    ensure!(files.len() >= 20, "only {} files", files.len());
    let mut wrong = Vec::new();
    for file in &files {
        if let Err(error) = refused(stage, namespace, file).await {
            wrong.push(format!("{}: {error:#}", file.display()));
        }
    }
    println!("bad input: {} files refused", files.len() - wrong.len());
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    let namespaces: Api<Namespace> = Api::all(stage.cluster.client());
    namespaces
        .delete(namespace, &DeleteParams::default())
        .await?;
    Ok(())
}

fn invalid() -> Result<Vec<PathBuf>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crds/tests/invalid");
    let mut files = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| format!("reading {}", folder.display()))? {
        files.push(entry?.path());
    }
    files.sort();
    Ok(files)
}

async fn refused(stage: &Stage, namespace: &str, file: &Path) -> Result<()> {
    let yaml = fs::read_to_string(file)?;
    let first = yaml
        .lines()
        .next()
        .and_then(|line| line.strip_prefix("# error: "));
    let wanted = first.context("its first line names no error")?;
    let mut answers = stage.cluster.apply_strictly(namespace, &yaml).await?;
    let last = answers.pop().context("no object")?;
    for answer in answers {
        ensure!(
            answer.is_ok(),
            "an object before the last was refused: {answer:?}"
        );
    }
    let Err(message) = last else {
        anyhow::bail!("it was taken")
    };
    says(&message, &[wanted])
}

/// What only the controller can see: a condition names the field and the fix, nothing starts; once
/// mended, it does.
pub(crate) async fn the_condition_says_what_is_wrong(stage: &Stage) -> Result<()> {
    let scene = stage.scene("bad-spec").await?;
    let metrics = format!("metrics: {{address: {}}}\n", stage.cluster.prometheus_url());
    let slow = |ms: u32| {
        let slo = format!("slos: [{{name: slow, objective: 99%, latency: {{threshold: {ms}ms}}}}]");
        format!("{metrics}settle: 500ms\ndrainDelay: 1s\n{slo}\n")
    };
    for name in ["threshold", "policy", "headless"] {
        scene.deploy(&App::new(name, "v1")).await?;
    }
    let api = "apiVersion: v1\nkind: Service\nmetadata";
    let spec = "spec: {clusterIP: None, selector: {app: headless}, ports: [{port: 8080}]}";
    let headless = format!(
        "{api}: {{name: bare, namespace: {}}}\n{spec}\n",
        scene.namespace
    );
    stage.cluster.apply(&headless).await?;
    scene.canary("threshold", &slow(300)).await?;
    scene
        .canary("policy", "policyRef: {kind: CanaryPolicy, name: strict}\n")
        .await?;
    scene.canary("headless", "service: {name: bare}\n").await?;

    for (name, reason, words) in [
        (
            "threshold",
            "InvalidSpec",
            ["spec.slos[0].latency.threshold", "use 250ms or 500ms"],
        ),
        (
            "policy",
            "PolicyNotFound",
            ["spec.policyRef", "no CanaryPolicy named strict; create it"],
        ),
        (
            "headless",
            "ServiceNotSupported",
            ["Service bare is headless", "spec.service.name"],
        ),
    ] {
        stalled(&scene, name, reason, &words).await?;
        ensure!(
            scene.snapshots(name).await?.is_empty(),
            "{name}: a revision was made"
        );
        ensure!(
            scene.routes(name).await?.is_empty(),
            "{name}: a route was made"
        );
    }

    scene.canary("threshold", &slow(250)).await?;
    let mended = scene
        .phase("threshold", Phase::Succeeded, Duration::from_secs(40))
        .await?;
    ensure!(
        condition(&mended, "Stalled").is_err(),
        "it is stalled: {mended:?}"
    );
    scene.close().await
}

async fn stalled(scene: &Scene<'_>, name: &str, reason: &str, words: &[&str]) -> Result<()> {
    let is_stalled = |status: &CanaryStatus| {
        let stalled = condition(status, "Stalled").ok()?;
        (stalled.status == "True").then(|| status.clone())
    };
    let status = scene
        .until(name, "stalled", Duration::from_secs(10), is_stalled)
        .await?;
    for kind in ["Stalled", "Ready"] {
        let condition = condition(&status, kind)?;
        ensure!(
            condition.reason == reason,
            "{name}: {kind} for {}",
            condition.reason
        );
        ensure!(
            condition.observed_generation == Some(1),
            "{name}: {condition:?}"
        );
        says(&condition.message, words)?;
    }
    ensure!(
        condition(&status, "Ready")?.status == "False",
        "{name} is ready: {status:?}"
    );
    Ok(())
}
