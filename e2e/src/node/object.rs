//! The Node object and its heartbeat.

use std::{collections::BTreeMap, net::Ipv4Addr, time::Duration};

use anyhow::{Context, Result};
use k8s_openapi::{
    api::{
        coordination::v1::{Lease, LeaseSpec},
        core::v1::{Node, NodeAddress, NodeCondition, NodeStatus, NodeSystemInfo},
    },
    apimachinery::pkg::{
        api::resource::Quantity,
        apis::meta::v1::{MicroTime, ObjectMeta, Time},
    },
    jiff::Timestamp,
};
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
};
use serde_json::json;

/// Thousandths of a core that pods may request.
pub(super) const CPU_MILLIS: u64 = 64_000;
const PODS: &str = "500";
const MEMORY: &str = "256Gi";
/// Field manager of what the node writes.
pub const MANAGER: &str = "node-agent";
/// As a kubelet's. Without a heartbeat for 50 s the node controller taints the node and evicts.
const HEARTBEAT: Duration = Duration::from_secs(10);
const LEASE_SECONDS: i32 = 40;

/// Labels of the node, which a pod's `nodeSelector` is compared with.
pub(super) fn labels(name: &str) -> BTreeMap<String, String> {
    [
        ("kubernetes.io/hostname", name),
        ("kubernetes.io/os", "linux"),
        ("kubernetes.io/arch", "amd64"),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into()
}

/// Creates the Node, ready, and its first heartbeat.
pub(super) async fn register(client: &Client, name: &str, address: Ipv4Addr) -> Result<()> {
    let nodes: Api<Node> = Api::all(client.clone());
    let apply = PatchParams::apply(MANAGER).force();
    let node = Node {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            labels: Some(labels(name)),
            ..ObjectMeta::default()
        },
        ..Node::default()
    };
    nodes
        .patch(name, &apply, &Patch::Apply(node))
        .await
        .context("creating the Node")?;
    let status = json!({
        "apiVersion": "v1",
        "kind": "Node",
        "status": status(name, address),
    });
    nodes
        .patch_status(name, &apply, &Patch::Apply(status))
        .await
        .context("the Node's status")?;
    beat(client, name).await.context("the Node's heartbeat")
}

fn status(name: &str, address: Ipv4Addr) -> NodeStatus {
    let capacity: BTreeMap<_, _> = [
        ("cpu", format!("{CPU_MILLIS}m")),
        ("memory", MEMORY.to_owned()),
        ("pods", PODS.to_owned()),
    ]
    .map(|(resource, quantity)| (resource.to_owned(), Quantity(quantity)))
    .into();
    let now = Time(Timestamp::now());
    let condition = |type_: &str, status: &str, reason: &str| NodeCondition {
        type_: type_.to_owned(),
        status: status.to_owned(),
        reason: Some(reason.to_owned()),
        last_heartbeat_time: Some(now.clone()),
        last_transition_time: Some(now.clone()),
        ..NodeCondition::default()
    };
    let address_of = |type_: &str, address: String| NodeAddress {
        type_: type_.to_owned(),
        address,
    };
    NodeStatus {
        addresses: Some(vec![
            address_of("InternalIP", address.to_string()),
            address_of("Hostname", name.to_owned()),
        ]),
        allocatable: Some(capacity.clone()),
        capacity: Some(capacity),
        conditions: Some(vec![
            condition("Ready", "True", "KubeletReady"),
            condition("MemoryPressure", "False", "KubeletHasSufficientMemory"),
            condition("DiskPressure", "False", "KubeletHasNoDiskPressure"),
            condition("PIDPressure", "False", "KubeletHasSufficientPID"),
        ]),
        node_info: Some(NodeSystemInfo {
            architecture: "amd64".to_owned(),
            operating_system: "linux".to_owned(),
            kubelet_version: "v1.35.0+sluice-node-agent".to_owned(),
            container_runtime_version: "process://1".to_owned(),
            ..NodeSystemInfo::default()
        }),
        ..NodeStatus::default()
    }
}

/// Renews the heartbeat until dropped.
pub(super) async fn keep_alive(client: Client, name: String) {
    loop {
        tokio::time::sleep(HEARTBEAT).await;
        if let Err(error) = beat(&client, &name).await {
            tracing::debug!(%error, "the node's heartbeat failed");
        }
    }
}

async fn beat(client: &Client, name: &str) -> Result<(), kube::Error> {
    let leases: Api<Lease> = Api::namespaced(client.clone(), "kube-node-lease");
    let lease = Lease {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            ..ObjectMeta::default()
        },
        spec: Some(LeaseSpec {
            holder_identity: Some(name.to_owned()),
            lease_duration_seconds: Some(LEASE_SECONDS),
            renew_time: Some(MicroTime(Timestamp::now())),
            ..LeaseSpec::default()
        }),
    };
    leases
        .patch(
            name,
            &PatchParams::apply(MANAGER).force(),
            &Patch::Apply(lease),
        )
        .await
        .map(drop)
}
