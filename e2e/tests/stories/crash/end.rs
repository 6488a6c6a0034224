//! Where a run ended, in lines that are the same for every run.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::Result;
use e2e::stage::{Scene, eventually, is_ready};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Event, Pod, Service};
use kube::ResourceExt as _;
use kube::api::ListParams;
use serde_json::Value;
use sluice_crds::{Canary, annotations, labels};

/// Revisions by the part that they play in a run.
type Roles<'a> = [(&'a str, &'a str)];

/// Waits until the end is the expected one: phase, serving revision, weights, replicas, verdicts, the set of
/// objects of ours, and what was told.
///
/// A line may go on behind what is expected, as verdicts do with numbers. What is only once must be only
/// once: an entry of the history told twice is not as expected.
pub(super) async fn reaches(
    scene: &Scene<'_>,
    roles: &Roles<'_>,
    expected: &[&str],
    within: Duration,
) -> Result<()> {
    eventually("the end that all runs have", within, async || {
        let seen = seen(scene, roles).await?;
        let alike = seen.len() == expected.len()
            && seen.iter().zip(expected).all(|(s, e)| s.starts_with(e));
        Ok(if alike {
            Ok(())
        } else {
            let fits = |line: &String| expected.iter().any(|e| line.starts_with(e));
            let extra: Vec<_> = seen.iter().filter(|line| !fits(line)).collect();
            let there = |e: &&&str| seen.iter().any(|line| line.starts_with(**e));
            let missing: Vec<_> = expected.iter().filter(|e| !there(e)).collect();
            Err(format!("extra {extra:?}, missing {missing:?} in {seen:#?}"))
        })
    })
    .await
}

async fn seen(scene: &Scene<'_>, roles: &Roles<'_>) -> Result<Vec<String>> {
    let role = |name: &str| {
        let known = roles.iter().find(|(_, revision)| *revision == name);
        known.map_or_else(|| name.to_owned(), |(role, _)| (*role).to_owned())
    };
    let ours = ListParams::default().labels(&format!("{}=shop", labels::CANARY));
    let mut lines = status(scene, &role).await?;
    for workload in scene
        .api::<Deployment>()
        .list(&ListParams::default())
        .await?
    {
        let name = role(&workload.name_any());
        let replicas = workload.spec.and_then(|spec| spec.replicas);
        lines.push(format!("Deployment {name} {}", replicas.unwrap_or(-1)));
    }
    for service in scene.api::<Service>().list(&ours).await? {
        lines.push(format!("Service {}", role(&service.name_any())));
    }
    for copy in scene.api::<ConfigMap>().list(&ours).await? {
        lines.push(format!("ConfigMap {}", copy.name_any()));
    }
    for snapshot in scene.snapshots("shop").await? {
        let name = role(&snapshot.name_any());
        let verdict = verdict(snapshot.annotations().get(annotations::VERDICT));
        // Rejected versions of earlier runs are remembered, and nothing else is left of them.
        let is_known = roles.iter().any(|(role, _)| *role == name);
        if is_known || !verdict.starts_with("Rejected") {
            lines.push(format!("PodTemplate {name} {verdict}"));
        }
    }
    for route in scene.routes("shop").await? {
        let weights = e2e::stage::weights(&route).unwrap_or_default();
        let weights = weights
            .iter()
            .map(|(name, share)| format!("{} {share}%", role(name)));
        let weights: Vec<_> = weights.collect();
        lines.push(format!("route {}", weights.join(", ")));
    }
    lines.extend(pods(scene, roles, &ours).await?);
    lines.sort();
    Ok(lines)
}

/// Pods of each revision that has any, those that are on their way out as well.
async fn pods(scene: &Scene<'_>, roles: &Roles<'_>, ours: &ListParams) -> Result<Vec<String>> {
    let pods = scene.api::<Pod>().list(ours).await?.items;
    let of = |pod: &Pod, revision: &str| {
        pod.labels().get(labels::REVISION).map(String::as_str) == Some(revision)
    };
    let mut lines = Vec::new();
    for (role, revision) in roles {
        let own: Vec<_> = pods.iter().filter(|pod| of(pod, revision)).collect();
        if own.iter().all(|pod| is_ready(pod)) {
            if !own.is_empty() {
                lines.push(format!("pods {role} {}", own.len()));
            }
        } else {
            lines.push(format!("pods {role} not ready"));
        }
    }
    let strangers = pods
        .iter()
        .filter(|pod| !roles.iter().any(|(_, revision)| of(pod, revision)));
    lines.extend(strangers.map(|pod| format!("pods {}", pod.name_any())));
    Ok(lines)
}

/// What the Canary says, and the Events on it. Of an Event once is enough, and more are no harm.
async fn status(scene: &Scene<'_>, role: &impl Fn(&str) -> String) -> Result<Vec<String>> {
    let canary = scene.api::<Canary>().get("shop").await?;
    let status = canary.status.clone().unwrap_or_default();
    let mut lines = Vec::new();
    lines.extend(status.phase.map(|phase| format!("phase {phase:?}")));
    lines.extend(status.stable.map(|name| format!("stable {}", role(&name))));
    lines.extend(
        status
            .candidate
            .map(|name| format!("candidate {}", role(&name))),
    );
    lines.extend(
        status
            .rollout
            .map(|rollout| format!("rollout {}", role(&rollout.candidate))),
    );
    let draining = status.draining.iter();
    lines.extend(draining.map(|entry| format!("draining {}", role(&entry.revision))));
    // Of this run alone; others have had theirs checked.
    let new = |revision: &str| role(revision) == "new";
    let history = status.history.iter().filter(|entry| new(&entry.revision));
    lines.extend(history.map(|entry| format!("history {:?} new", entry.outcome)));

    let uid = canary.uid().unwrap_or_default();
    let own = ListParams::default().fields(&format!("involvedObject.uid={uid}"));
    let mut told = BTreeSet::new();
    for event in scene.api::<Event>().list(&own).await? {
        // The action names what an Event is about.
        if new(event.action.as_deref().unwrap_or_default()) {
            told.insert(format!("Event {} new", event.reason.unwrap_or_default()));
        }
    }
    lines.extend(told);
    Ok(lines)
}

/// `Promoted: every gate passed`, as the snapshot has it.
fn verdict(annotation: Option<&String>) -> String {
    let record: Value = annotation
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default();
    let text = |key: &str| {
        record
            .get(key)
            .and_then(Value::as_str)
            .unwrap_or("none")
            .to_owned()
    };
    format!("{}: {}", text("outcome"), text("reason"))
}
