//! Pods with sidecars: as clients they pick endpoints themselves, past the waypoint.

use std::collections::BTreeSet;

use kube::ResourceExt as _;
use kube::api::DynamicObject;
use serde_json::Value;

use super::few;
use crate::cli::preflight::found::{Found, list_of, pod, text};
use crate::cli::preflight::item::{Findings, Item};

/// What Istio calls its proxy, in sidecars, gateways and waypoints alike.
const PROXY: &str = "istio-proxy";

/// Whether a pod has Istio's proxy in it.
pub(in crate::cli::preflight) fn has_proxy(pod: &DynamicObject) -> bool {
    proxy(pod).is_some()
}

fn proxy(pod: &DynamicObject) -> Option<&Value> {
    // Native sidecars are containers that are started first.
    let containers = ["/spec/containers", "/spec/initContainers"];
    let mut containers = containers
        .into_iter()
        .flat_map(|path| list_of(&pod.data, path));
    containers.find(|container| text(container, "/name") == Some(PROXY))
}

/// Who has a sidecar.
pub(super) fn clients(found: &Found) -> Vec<Item> {
    let mut findings = Findings::new("sidecars");
    let kind = pod();
    let workloads: BTreeSet<String> = found
        .all(&kind)
        .filter(|pod| is_sidecar(pod))
        .map(workload)
        .collect();
    if !workloads.is_empty() {
        findings.warning(format!(
            "{} with a sidecar, and so past every waypoint and its weights: move what calls an adopted Service to \
             ambient mode, or use strict mode, docs/around-the-waypoint.md",
            few(workloads)
        ));
    }
    findings.unknown(found.unread(&kind));
    findings.or_ok(|| "no pod has one".to_owned())
}

/// Gateways and waypoints are told what they are by their first words.
fn is_sidecar(pod: &DynamicObject) -> bool {
    let Some(proxy) = proxy(pod) else {
        return false;
    };
    let args = list_of(proxy, "/args");
    if args.is_empty() {
        let gateway = "gateway.networking.k8s.io/gateway-name";
        return !pod.labels().contains_key(gateway);
    }
    args.iter().any(|arg| arg == "sidecar")
}

/// As `shop/batch`: by the owner, without the hash of a `ReplicaSet`.
fn workload(pod: &DynamicObject) -> String {
    let owner = pod.owner_references().first();
    let own = pod.name_any();
    let hash = pod.labels().get("pod-template-hash");
    let name = owner.map_or(own.as_str(), |owner| owner.name.as_str());
    let cut = hash.and_then(|hash| name.strip_suffix(hash)?.strip_suffix('-'));
    let namespace = pod.namespace().unwrap_or_default();
    format!("{namespace}/{}", cut.unwrap_or(name))
}
