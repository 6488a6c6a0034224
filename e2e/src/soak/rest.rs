//! After the chaos: every Canary comes to rest where it should, and nothing is left over.

mod leftovers;

use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::apps::v1::Deployment;
use sluice_crds::{Canary, CanaryStatus, Phase};
use tokio::time::{Instant, sleep};

use super::journal::{Journal, Written};
use super::judge::Violation;
use super::rules::REST;
use super::schedule::{first, name};
use super::version::{Version, is_bad};
use super::watchers::{Seen, Watchers};
use crate::stage::{Scene, describe};

const LOOK: Duration = Duration::from_secs(1);

/// How long it took until all were at rest, and who never was.
pub(super) struct Rested {
    pub(super) took: Duration,
    pub(super) violations: Vec<Violation>,
}

/// Waits until all is at rest, or the time is up.
pub(super) async fn wait(
    scene: &Scene<'_>,
    journal: &Journal,
    watchers: &Watchers,
    canaries: usize,
) -> Result<Rested> {
    let begun = Instant::now();
    let mut restless: Vec<usize> = (0..canaries).collect();
    loop {
        let (seen, written) = (watchers.seen(), journal.read());
        let mut problems = Vec::new();
        let mut still = Vec::new();
        for canary in restless {
            let problem = match unrest(scene, &written, &seen, canary).await {
                Ok(None) => continue,
                Ok(Some(problem)) => problem,
                Err(error) => format!("{error:#}"),
            };
            still.push(canary);
            problems.push((name(canary), problem));
        }
        restless = still;
        if problems.is_empty() {
            problems = leftovers::find(scene, canaries).await?;
        }
        let took = begun.elapsed();
        if problems.is_empty() || took > REST {
            let at = journal.now();
            let broken = |(who, what): (String, String)| {
                let what = format!("not at rest after {took:.0?}: {what}");
                Violation { at, who, what }
            };
            let violations = problems.into_iter().map(broken).collect();
            return Ok(Rested { took, violations });
        }
        sleep(LOOK).await;
    }
}

/// What is not yet as it should be at an app.
async fn unrest(
    scene: &Scene<'_>,
    written: &Written,
    seen: &Seen,
    canary: usize,
) -> Result<Option<String>> {
    let name = name(canary);
    let version = written
        .pushed
        .get(&canary)
        .copied()
        .unwrap_or(first(canary));
    let object = scene.api::<Canary>().get(&name).await?;
    let desired = object.spec.replicas;
    let status = object.status.unwrap_or_default();
    if let Some(problem) = ended_wrong(&status, version, (written, seen)) {
        let status = describe(&status);
        return Ok(Some(format!("Git has {version}; {problem}: {status}")));
    }
    let stable = status.stable.context("no stable revision")?;
    if status.phase == Some(Phase::Succeeded) {
        let wanted = scene.revision_of(&version.app(&name)).await?;
        if stable != wanted {
            return Ok(Some(format!("{wanted} has {version}, and {stable} serves")));
        }
    }
    let weights = scene.weights(&name).await?;
    if weights.len() != 1 || !weights.contains_key(&stable) {
        return Ok(Some(format!(
            "{stable} is stable, the route says {weights:?}"
        )));
    }
    let of_target = scene.replicas(&name).await?;
    // Whoever gives the target the same size once more after it was put back is left alone for an hour.
    if of_target != 0 && written.scaled_again(canary) != Some(of_target) {
        return Ok(Some(format!(
            "the Deployment in Git's hands has {of_target} replicas"
        )));
    }
    let serving = scene.api::<Deployment>().get(&stable).await?;
    let wants = serving.spec.and_then(|spec| spec.replicas);
    let ready = serving.status.and_then(|status| status.ready_replicas);
    if wants != desired || ready != desired {
        let text =
            format!("{stable} has {ready:?} pods of {wants:?}, the Canary wants {desired:?}");
        return Ok(Some(text));
    }
    Ok(None)
}

fn ended_wrong(
    status: &CanaryStatus,
    version: Version,
    (written, seen): (&Written, &Seen),
) -> Option<&'static str> {
    let tag = |revision: &Option<String>| {
        let tag = seen.tags.get(revision.as_deref()?);
        tag.cloned()
    };
    if status.rollout.is_some() || !status.draining.is_empty() {
        return Some("something is under way");
    }
    let (stable, candidate) = (tag(&status.stable), tag(&status.candidate));
    if stable.as_deref().is_none_or(is_bad) {
        return Some("no good version serves");
    }
    let aborted = |revision: &String| written.aborted.contains(revision);
    match status.phase {
        Some(Phase::Succeeded) if stable == Some(version.tag()) => None,
        Some(Phase::Succeeded) => Some("another version serves"),
        Some(Phase::Failed) if candidate != Some(version.tag()) => {
            Some("another version was rejected")
        }
        Some(Phase::Failed) if !version.is_good() => None,
        Some(Phase::Failed) if status.candidate.as_ref().is_some_and(aborted) => None,
        Some(Phase::Failed) => Some("a good version was rejected"),
        _ => Some("no end"),
    }
}
