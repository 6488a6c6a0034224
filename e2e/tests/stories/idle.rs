//! Nothing happens: nothing is written, and nothing is read.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::cluster::audit::Event;
use e2e::stage::{App, Scene, Stage, USER, app, eventually, list};
use kube::ResourceExt as _;
use kube::api::ListParams;
use serde_json::json;
use sluice_crds::{Canary, Phase};
use tokio::time::Instant;

const CANARIES: usize = 50;
const REJECTED: usize = 5;
const HOLDING: usize = 5;
const MINUTE: Duration = Duration::from_mins(1);
/// One each five seconds; the first and the last may just fit.
const LEASE_WRITES: std::ops::RangeInclusive<usize> = 10..=13;
/// Fifty apps at once, on two cores.
const PATIENCE: Duration = Duration::from_secs(150);

/// Forty that are done, five that were rejected and five that wait for requests: for a minute the API
/// server hears nothing about them, and of Sluice only that it is alive.
pub(crate) async fn fifty_canaries_ask_for_nothing(stage: &Stage) -> Result<()> {
    let scene = stage.scene("idle").await?;
    let apps: Vec<_> = (0..CANARIES)
        .map(|n| App::new(&format!("app-{n:02}"), "v1"))
        .collect();
    let begun = Instant::now();
    let policy = app::quick_policy(stage.cluster.prometheus_url());
    let spec = app::merged(&policy, "replicas: 1\nprogressDeadline: 10m\n");
    let mut yaml = Vec::new();
    for app in &apps {
        yaml.push(app.yaml(&scene.namespace));
        yaml.push(app::canary(&scene.namespace, &app.name, &spec));
    }
    stage.cluster.apply(&yaml.join("---\n")).await?;
    phases(&scene, [CANARIES, 0, 0]).await?;
    println!("idle: adopted after {:?}", begun.elapsed());

    let (rejected, others) = apps.split_at(REJECTED);
    let (holding, _) = others.split_at(HOLDING);
    for app in rejected {
        let soon = json!({"spec": {"progressDeadline": "3s"}});
        scene.patch(&app.name, &soon).await?;
        scene.deploy(&app.tagged("missing")).await?;
    }
    for app in holding {
        scene.deploy(&app.tagged("v2")).await?;
    }
    let expected = [CANARIES - REJECTED - HOLDING, REJECTED, HOLDING];
    phases(&scene, expected).await?;
    calm(&scene).await?;
    println!("idle: calm after {:?}", begun.elapsed());

    let mark = stage.cluster.audit().mark()?;
    tokio::time::sleep(MINUTE).await;
    scene.silent_since(mark, "a minute of nothing")?;
    let events = stage.cluster.audit().since(mark)?;
    let (lease, _): (Vec<Event>, Vec<Event>) = events
        .into_iter()
        .filter(|event| event.by(USER) && event.verb != "watch")
        .partition(|event| event.about("leases"));
    // Else the log is not that of what happened.
    ensure!(
        LEASE_WRITES.contains(&lease.len()) && lease.iter().all(|event| event.verb == "update"),
        "about the Lease: {}",
        list(&lease)
    );
    println!("idle: {} lease writes in a minute", lease.len());
    phases(&scene, expected).await?;
    scene.close().await
}

/// Waits until so many are done, rejected, and holding at their first step.
async fn phases(scene: &Scene<'_>, expected: [usize; 3]) -> Result<()> {
    eventually("phases", PATIENCE, async || {
        let canaries = scene.api::<Canary>().list(&ListParams::default()).await?;
        let mut names: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for canary in &canaries {
            let phase = canary.status.as_ref().and_then(|status| status.phase);
            let phase = phase.map_or_else(|| "none".to_owned(), |phase| format!("{phase:?}"));
            names.entry(phase).or_default().push(canary.name_any());
        }
        let count = |phase: Phase| names.get(&format!("{phase:?}")).map_or(0, Vec::len);
        let seen = [Phase::Succeeded, Phase::Failed, Phase::Holding].map(count);
        Ok(if seen == expected {
            Ok(())
        } else {
            Err(format!("{names:?}"))
        })
    })
    .await
}

/// Waits until Sluice asked for nothing for five seconds.
async fn calm(scene: &Scene<'_>) -> Result<()> {
    let audit = scene.stage.cluster.audit();
    let mut since = (Instant::now(), audit.mark()?);
    eventually("calm", MINUTE, async || {
        let asked = scene.asked_since(since.1)?;
        if let Some(last) = asked.last() {
            let last = format!("{} {}", last.verb, last.request_uri);
            since = (Instant::now(), audit.mark()?);
            return Ok(Err(last));
        }
        Ok((since.0.elapsed() > Duration::from_secs(5))
            .then_some(())
            .ok_or_else(|| "not for long".to_owned()))
    })
    .await
    .context("after all of them came to rest")
}
