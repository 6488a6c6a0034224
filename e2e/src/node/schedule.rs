//! The scheduler's part: binding a pod to the one node there is.

use anyhow::Result;
use k8s_openapi::{
    api::core::v1::{Binding, ObjectReference, Pod},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
    jiff::Timestamp,
};
use kube::{
    Api, ResourceExt,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::json;

use super::{Kubelet, object};

/// Binds `pod`, or says in its status why it cannot be. `used` is what the node's pods request, in
/// thousandths of a core.
pub(super) async fn schedule(kubelet: &Kubelet, pod: &Pod, used: u64) -> Result<()> {
    let namespace = pod.namespace().unwrap_or_default();
    let pods: Api<Pod> = Api::namespaced(kubelet.client.clone(), &namespace);
    let name = pod.name_any();
    if let Some(why) = unfit(pod, &kubelet.config.name, used) {
        if said_already(pod, &why) {
            return Ok(());
        }
        let status = json!({"metadata": {"uid": pod.uid()}, "status": {"conditions": [{
            "type": "PodScheduled",
            "status": "False",
            "reason": "Unschedulable",
            "message": why,
            "lastTransitionTime": Timestamp::now(),
        }]}});
        pods.patch_status(&name, &PatchParams::default(), &Patch::Strategic(status))
            .await?;
        return Ok(());
    }
    let binding = Binding {
        metadata: ObjectMeta {
            name: Some(name.clone()),
            namespace: Some(namespace),
            uid: pod.uid(),
            ..ObjectMeta::default()
        },
        target: ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Node".to_owned()),
            name: Some(kubelet.config.name.clone()),
            ..ObjectReference::default()
        },
    };
    // The answer is a Status, not a Binding.
    let _: serde_json::Value = pods
        .create_subresource("binding", &name, &PostParams::default(), &binding)
        .await?;
    Ok(())
}

/// kube-scheduler's words if the node does not fit.
fn unfit(pod: &Pod, node: &str, used: u64) -> Option<String> {
    let spec = pod.spec.as_ref()?;
    let labels = object::labels(node);
    let mut selector = spec.node_selector.iter().flatten();
    if selector.any(|(key, value)| labels.get(key) != Some(value)) {
        return Some(
            "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector. no new \
             claims to deallocate, preemption: 0/1 nodes are available: 1 Preemption is not \
             helpful for scheduling."
                .to_owned(),
        );
    }
    (used + cpu(pod) > object::CPU_MILLIS).then(|| {
        "0/1 nodes are available: 1 Insufficient cpu. no new claims to deallocate, preemption: \
         0/1 nodes are available: 1 No preemption victims found for incoming pod."
            .to_owned()
    })
}

fn said_already(pod: &Pod, why: &str) -> bool {
    let conditions = pod
        .status
        .iter()
        .flat_map(|status| status.conditions.iter().flatten());
    conditions
        .filter(|condition| condition.type_ == "PodScheduled")
        .any(|condition| condition.message.as_deref() == Some(why))
}

/// What the pod's containers request, in thousandths of a core.
pub(super) fn cpu(pod: &Pod) -> u64 {
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    containers
        .filter_map(|container| container.resources.as_ref()?.requests.as_ref()?.get("cpu"))
        .filter_map(|quantity| millis(&quantity.0))
        .sum()
}

/// A CPU quantity as the API server normalises it: `250m`, `2` or `1k`.
fn millis(quantity: &str) -> Option<u64> {
    let (digits, scale) = if let Some(digits) = quantity.strip_suffix('m') {
        (digits, 1)
    } else if let Some(digits) = quantity.strip_suffix('k') {
        (digits, 1_000_000)
    } else {
        (quantity, 1_000)
    };
    digits.parse::<u64>().ok()?.checked_mul(scale)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use super::*;

    fn pod(spec: &serde_json::Value) -> Pod {
        serde_json::from_value(json!({ "spec": spec })).unwrap()
    }

    #[test]
    fn a_pod_that_asks_for_too_much_stays_pending() {
        let requests = |cpu: &str| {
            let container = json!({"name": "app", "resources": {"requests": {"cpu": cpu}}});
            pod(&json!({"containers": [container]}))
        };
        assert_eq!(cpu(&requests("250m")), 250);
        assert_eq!(cpu(&requests("2")), 2000);
        assert_eq!(unfit(&requests("1"), "node-1", 63_000), None);
        let why = unfit(&requests("1"), "node-1", 63_001).unwrap();
        assert!(why.starts_with("0/1 nodes are available: 1 Insufficient cpu."));
    }

    #[test]
    fn a_node_selector_is_honoured() {
        let selecting = |value: &str| {
            pod(&json!({"containers": [], "nodeSelector": {"kubernetes.io/hostname": value}}))
        };
        assert_eq!(unfit(&selecting("node-1"), "node-1", 0), None);
        assert!(unfit(&selecting("node-2"), "node-1", 0).is_some());
    }
}
