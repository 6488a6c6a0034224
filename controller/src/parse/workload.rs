//! A revision's Deployment, and why its pods are not ready.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::ResourceExt as _;
use kube::api::DynamicObject;
use serde_json::Value;
use sluice_core::{RevisionName, Workload};

use crate::observe::labelled::revision_of;

/// Characters of a problem that are kept: events and conditions are no logs. A runtime names an
/// image that it cannot pull four times, and says at the end why.
const LONGEST_PROBLEM: usize = 600;

/// A Deployment in the terms of the decision.
#[must_use]
pub fn parse(object: &DynamicObject, pods: &[Arc<Pod>], revision: &RevisionName) -> Workload {
    let number = |path: &str| object.data.pointer(path).and_then(Value::as_i64);
    let count = |path: &str| {
        number(path)
            .and_then(|n| u32::try_from(n).ok())
            .unwrap_or_default()
    };
    let current = number("/status/observedGeneration") >= object.metadata.generation;
    Workload {
        replicas: count("/spec/replicas"),
        // A status of an older generation counts pods that the present one may not want.
        ready: if current {
            count("/status/readyReplicas")
        } else {
            0
        },
        going: object.metadata.deletion_timestamp.is_some(),
        problem: problem(object, pods, revision),
    }
}

/// Why pods are missing or not ready: what the API server says of the Deployment, else what the
/// node says of a pod, both verbatim.
fn problem(object: &DynamicObject, pods: &[Arc<Pod>], revision: &RevisionName) -> Option<String> {
    let refused = refused(object);
    let own = pods
        .iter()
        .filter(|pod| revision_of(pod.labels()).as_ref() == Some(revision));
    let mut alive = own.filter(|pod| pod.metadata.deletion_timestamp.is_none());
    let problem = refused.or_else(|| alive.find_map(|pod| pod_problem(pod)));
    problem.map(|text| text.chars().take(LONGEST_PROBLEM).collect())
}

/// The message of the Deployment's condition `ReplicaFailure`: quota, admission.
fn refused(object: &DynamicObject) -> Option<String> {
    let conditions = object.data.pointer("/status/conditions")?.as_array()?;
    let failure = conditions.iter().find(|condition| {
        condition.get("type").and_then(Value::as_str) == Some("ReplicaFailure")
            && condition.get("status").and_then(Value::as_str) == Some("True")
    })?;
    Some(failure.get("message")?.as_str()?.to_owned())
}

fn pod_problem(pod: &Pod) -> Option<String> {
    let status = pod.status.as_ref()?;
    let containers = status
        .init_container_statuses
        .iter()
        .chain(&status.container_statuses);
    let waiting = containers.flatten().find_map(container_problem);
    let unscheduled = || {
        let condition =
            status.conditions.iter().flatten().find(|condition| {
                condition.type_ == "PodScheduled" && condition.status == "False"
            })?;
        Some(format!(
            "pod {}: {}",
            pod.name_any(),
            condition.message.as_deref()?
        ))
    };
    // The kubelet's words are the last resort: they tell which container is not ready, and not why.
    let unready = || {
        let mut conditions = status.conditions.iter().flatten();
        let condition = conditions.find(|c| c.type_ == "Ready" && c.status == "False")?;
        Some(format!(
            "pod {}: {}",
            pod.name_any(),
            condition.message.as_deref()?
        ))
    };
    waiting
        .map(|problem| format!("pod {}: {problem}", pod.name_any()))
        .or_else(unscheduled)
        .or_else(unready)
}

fn container_problem(container: &ContainerStatus) -> Option<String> {
    let waiting = container
        .state
        .as_ref()
        .and_then(|state| state.waiting.as_ref());
    if let Some(reason) = waiting.and_then(|waiting| waiting.reason.as_deref()) {
        if matches!(reason, "ContainerCreating" | "PodInitializing") {
            return None;
        }
        let message = waiting.and_then(|waiting| waiting.message.as_deref());
        return Some(message.map_or_else(|| reason.to_owned(), |m| format!("{reason}: {m}")));
    }
    let state = container.state.as_ref()?;
    if let Some(ended) = &state.terminated {
        let reason = ended.reason.as_deref().unwrap_or("Terminated");
        return Some(format!("{reason} with exit code {}", ended.exit_code));
    }
    (!container.ready && state.running.is_some() && container.restart_count > 0)
        .then(|| format!("not ready after {} restarts", container.restart_count))
}
