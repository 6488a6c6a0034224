//! A person with nothing but kubectl follows a rollout, and gives it orders.

use std::collections::HashSet;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::stage::app::{merged, quick_policy};
use e2e::stage::{App, Scene, Stage, condition, eventually, is_ready, says};
use sluice_crds::{Canary, CanaryStatus, Phase};
use tokio::process::Command;

const RATE: f64 = 200.0;

/// Columns, conditions and Events name phase, step, weight, what is waited for, and why; at each moment
/// the conditions mean what kstatus takes them for, so that `kubectl wait` and Flux do too.
pub(crate) async fn kubectl_alone_tells_the_story(stage: &Stage) -> Result<()> {
    let scene = stage.scene("conversation").await?;
    let v1 = App::new("shop", "v1");
    scene.deploy(&v1).await?;
    let load = scene.load("shop", 8080, RATE).await?;
    let policy = quick_policy(stage.cluster.prometheus_url());
    let more = "replicas: 2\nsteps: [{weight: 20%, bake: 5s}, {weight: 50%, bake: 1s}]\n";
    scene.canary("shop", &merged(&policy, more)).await?;
    let told = scene.record_canary("shop").await?;
    kubectl(
        &scene,
        &["wait", "--for=condition=Ready", "slc/shop", "--timeout=30s"],
    )
    .await?;
    let old = scene.revision_of(&v1).await?;
    let row = Row::get(&scene).await?;
    row.says(&[
        ("PHASE", "Succeeded"),
        ("STABLE", &old),
        ("REASON", "Promoted"),
    ])?;
    row.says(&[("STEP", ""), ("WEIGHT", ""), ("CANDIDATE", "")])?;

    let new = promoted(&scene, &old, &v1.tagged("v2")).await?;
    let failed = load.snapshot().totals.all.failed;
    ensure!(failed == 0, "{failed} requests failed");
    scaled(&scene, &new).await?;
    rejected(&scene, &v1.tagged("v3-fail50")).await?;
    drop(load);

    let mut phases = HashSet::new();
    for canary in told.all().into_iter().map(|seen| seen.what) {
        kstatus(&canary).with_context(|| format!("{:?}", canary.status))?;
        phases.extend(canary.status.and_then(|status| status.phase));
    }
    for phase in [
        Phase::Initializing,
        Phase::Progressing,
        Phase::Promoting,
        Phase::Failed,
    ] {
        ensure!(
            phases.contains(&phase),
            "{phase:?} was never told: {phases:?}"
        );
    }
    scene.close().await
}

/// A good version: kubectl says where it is; returns its revision.
async fn promoted(scene: &Scene<'_>, old: &str, good: &App) -> Result<String> {
    scene.deploy(good).await?;
    let new = scene.at_step(good, 1, Duration::from_secs(20)).await?;
    let baking = |status: &CanaryStatus| {
        let ready = condition(status, "Ready").ok()?;
        (ready.reason == "Baking").then_some(())
    };
    scene
        .until("shop", "reason Baking", Duration::from_secs(5), baking)
        .await?;
    let row = Row::get(scene).await?;
    row.says(&[("PHASE", "Progressing"), ("STEP", "1/2"), ("WEIGHT", "20%")])?;
    row.says(&[("STABLE", old), ("CANDIDATE", &new), ("REASON", "Baking")])?;
    let bakes = format!("{new} has 20% of the requests: bakes until ");
    says(row.of("MESSAGE")?, &[&bakes])?;
    let text = kubectl(scene, &["describe", "slc", "shop"]).await?;
    says(
        &text,
        &[
            &bakes,
            "RolloutStarted",
            &format!("{new} is brought to users"),
        ],
    )?;

    kubectl(
        scene,
        &["wait", "--for=condition=Ready", "slc/shop", "--timeout=30s"],
    )
    .await?;
    let row = Row::get(scene).await?;
    row.says(&[
        ("PHASE", "Succeeded"),
        ("STABLE", &new),
        ("REASON", "Promoted"),
    ])?;
    let text = kubectl(scene, &["describe", "slc", "shop"]).await?;
    says(&text, &[&format!("{new} serves all requests")])?;
    Ok(new)
}

/// The Canary is scaled, as an autoscaler would; its serving revision follows.
async fn scaled(scene: &Scene<'_>, serving: &str) -> Result<()> {
    kubectl(scene, &["scale", "slc/shop", "--replicas=3"]).await?;
    let what = format!("3 pods of {serving} ready");
    eventually(&what, Duration::from_secs(15), async || {
        let pods = scene.pods(serving).await?;
        let ready = pods.iter().filter(|pod| is_ready(pod)).count();
        Ok(if ready == 3 {
            Ok(())
        } else {
            Err(format!("{ready} ready"))
        })
    })
    .await?;
    let path = "jsonpath={.spec.replicas} {.status.replicas}";
    eventually("the scale told", Duration::from_secs(5), async || {
        let sizes = kubectl(scene, &["get", "slc", "shop", "-o", path]).await?;
        Ok(if sizes == "3 3" { Ok(()) } else { Err(sizes) })
    })
    .await
}

/// A version that fails: kubectl says why, and what a person can do.
async fn rejected(scene: &Scene<'_>, bad: &App) -> Result<()> {
    scene.deploy(bad).await?;
    let wait = [
        "wait",
        "--for=condition=Promoted=False",
        "slc/shop",
        "--timeout=30s",
    ];
    kubectl(scene, &wait).await?;
    let new = scene
        .status("shop")
        .await?
        .candidate
        .context("no candidate")?;
    let row = Row::get(scene).await?;
    row.says(&[
        ("PHASE", "Failed"),
        ("CANDIDATE", &new),
        ("REASON", "Rejected"),
    ])?;
    let how = format!("sluice.dev/retry: {new}");
    says(
        row.of("MESSAGE")?,
        &["availability: ", "requests were good", &how],
    )?;
    let text = kubectl(scene, &["describe", "slc", "shop"]).await?;
    says(
        &text,
        &[
            "RolledBack",
            &format!("{new} was rejected, its requests went back"),
            &how,
        ],
    )
}

/// What kstatus makes of an object must be what holds.
fn kstatus(canary: &Canary) -> Result<()> {
    let Some(status) = &canary.status else {
        return Ok(());
    };
    let Some(phase) = status.phase else {
        return Ok(());
    };
    let is_true = |kind: &str| condition(status, kind).is_ok_and(|c| c.status == "True");
    let at_rest = matches!(phase, Phase::Succeeded | Phase::Failed);
    ensure!(is_true("Ready") == at_rest, "Ready in phase {phase:?}");
    ensure!(
        is_true("Reconciling") != at_rest,
        "Reconciling in phase {phase:?}"
    );
    // Absent, not False: kstatus wants abnormal conditions so.
    let absent = |kind: &str| condition(status, kind).is_err();
    ensure!(
        absent("Stalled") && (absent("Reconciling") || is_true("Reconciling")),
        "{phase:?}"
    );
    let observed = status.observed_generation;
    ensure!(
        observed.is_some() && observed <= canary.metadata.generation,
        "{observed:?}"
    );
    for condition in &status.conditions {
        let of = condition.observed_generation;
        ensure!(
            of == observed,
            "{} is about generation {of:?}",
            condition.type_
        );
    }
    Ok(())
}

/// The one line of `kubectl get slc -o wide`, by its columns.
struct Row(Vec<(String, String)>);

impl Row {
    async fn get(scene: &Scene<'_>) -> Result<Self> {
        let text = kubectl(scene, &["get", "slc", "shop", "-o", "wide"]).await?;
        let mut lines = text.lines();
        let (header, line) = lines.next().zip(lines.next()).context("no table")?;
        // A column begins where its header does; an empty cell is only seen by that.
        let (mut header, mut line) = (header.to_owned(), line.to_owned());
        let mut cells = Vec::new();
        while !header.trim().is_empty() {
            let name = header.split(' ').next().unwrap_or_default().to_owned();
            let gap = header
                .chars()
                .skip(name.len())
                .take_while(|c| *c == ' ')
                .count();
            let width = name.len() + gap;
            header = header.chars().skip(width).collect();
            let last = header.is_empty();
            let cell: String = line
                .chars()
                .take(if last { usize::MAX } else { width })
                .collect();
            line = line.chars().skip(width).collect();
            cells.push((name, cell.trim().to_owned()));
        }
        Ok(Self(cells))
    }

    fn of(&self, column: &str) -> Result<&str> {
        let cell = self.0.iter().find(|(header, _)| header == column);
        let cell = cell.with_context(|| format!("no column {column} in {:?}", self.0))?;
        Ok(&cell.1)
    }

    fn says(&self, cells: &[(&str, &str)]) -> Result<()> {
        for (column, wanted) in cells {
            let found = self.of(column)?;
            ensure!(
                found == *wanted,
                "{column} says {found:?}, not {wanted:?}: {:?}",
                self.0
            );
        }
        Ok(())
    }
}

/// What kubectl prints.
async fn kubectl(scene: &Scene<'_>, args: &[&str]) -> Result<String> {
    let cluster = &scene.stage.cluster;
    let output = Command::new(&cluster.tools().kubectl)
        .arg("--kubeconfig")
        .arg(cluster.admin_kubeconfig())
        .args(["--namespace", &scene.namespace])
        .args(args)
        .kill_on_drop(true)
        .output()
        .await
        .context("starting kubectl")?;
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "kubectl {}: {error}",
        args.join(" ")
    );
    Ok(String::from_utf8(output.stdout)?)
}
