//! The Service of a revision, and which Services of users can be split.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Service, ServicePort};
use serde_json::{Map, Value, json};
use sluice_core::RevisionName;
use sluice_crds::{Reason, labels};

use super::own_labels;

/// Labels by which Istio binds a Service to a waypoint.
const MESH_LABELS: &str = "istio.io/";

/// Annotations by which Istio limits or steers traffic to a Service.
const MESH_ANNOTATIONS: &str = "networking.istio.io/";

/// Ports that Istio takes for TCP unless their protocol is declared: SMTP, DNS, `MySQL` and `MongoDB`.
const KNOWN_TCP_PORTS: [i32; 4] = [25, 53, 3306, 27017];

/// A `ClusterIP` Service for the pods of one revision, to be applied.
///
/// The waypoint reads protocol, ports, binding and locality of the *backend's* Service once traffic is
/// routed to it, so these are the parent's. Nothing else is copied. `live` is what there is of it: a port
/// keeps its target port, since the pods of this revision go on listening there.
#[must_use]
pub fn service(
    namespace: &str,
    canary: &str,
    revision: &RevisionName,
    parent: &Service,
    live: Option<&Service>,
) -> Value {
    let mut own = own_labels(canary, Some(revision));
    own.extend(prefixed(parent.metadata.labels.as_ref(), MESH_LABELS));
    let annotations: BTreeMap<_, _> =
        prefixed(parent.metadata.annotations.as_ref(), MESH_ANNOTATIONS).collect();
    let mut spec = Map::new();
    if let Some(source) = &parent.spec {
        let copied = [
            ("ipFamilies", json!(source.ip_families)),
            ("ipFamilyPolicy", json!(source.ip_family_policy)),
            (
                "internalTrafficPolicy",
                json!(source.internal_traffic_policy),
            ),
            ("trafficDistribution", json!(source.traffic_distribution)),
        ];
        let given = copied.into_iter().filter(|(_, value)| !value.is_null());
        spec.extend(given.map(|(field, value)| (field.to_owned(), value)));
    }
    spec.insert("type".to_owned(), "ClusterIP".into());
    spec.insert(
        "selector".to_owned(),
        json!({labels::REVISION: revision.as_str()}),
    );
    let wanted = wanted_ports(parent, live);
    spec.insert("ports".to_owned(), json!(wanted));
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": revision.as_str(),
            "namespace": namespace,
            "labels": own,
            "annotations": annotations,
        },
        "spec": spec,
    })
}

fn prefixed<'a>(
    entries: Option<&'a BTreeMap<String, String>>,
    prefix: &'a str,
) -> impl Iterator<Item = (String, String)> + 'a {
    let wanted = move |(key, _): &(&String, &String)| key.starts_with(prefix);
    let owned = |(key, value): (&String, &String)| (key.clone(), value.clone());
    entries.into_iter().flatten().filter(wanted).map(owned)
}

/// Whether a revision's Service is not as it is `wanted`: it lacks a port of the parent's, a label or
/// an annotation, or somebody changed its selector.
#[must_use]
pub fn is_outdated(live: &Service, parent: &Service, wanted: &Value) -> bool {
    let own: Vec<_> = ports(live).map(port).collect();
    let has = |own: Option<&BTreeMap<String, String>>, path: &str| {
        let wanted = wanted.pointer(path).and_then(Value::as_object);
        wanted.into_iter().flatten().all(|(key, value)| {
            own.and_then(|own| own.get(key)).map(String::as_str) == value.as_str()
        })
    };
    let selector = live.spec.as_ref().and_then(|spec| spec.selector.as_ref());
    wanted_ports(parent, Some(live)) != own
        || !has(live.metadata.labels.as_ref(), "/metadata/labels")
        || !has(live.metadata.annotations.as_ref(), "/metadata/annotations")
        || Some(&json!(selector)) != wanted.pointer("/spec/selector")
}

/// The parent's ports, with the target ports that `live` has already.
fn wanted_ports(parent: &Service, live: Option<&Service>) -> Vec<ServicePort> {
    // One number may be there for TCP and for UDP.
    let known = |parents: &ServicePort| {
        let same =
            |own: &&ServicePort| own.port == parents.port && own.protocol == parents.protocol;
        live.into_iter().flat_map(ports).find(same)
    };
    let wanted = |parents: &ServicePort| ServicePort {
        target_port: known(parents)
            .map_or(&parents.target_port, |own| &own.target_port)
            .clone(),
        ..port(parents)
    };
    ports(parent).map(wanted).collect()
}

/// A port without its node port, which is the parent's alone.
fn port(port: &ServicePort) -> ServicePort {
    ServicePort {
        node_port: None,
        ..port.clone()
    }
}

fn ports(service: &Service) -> impl Iterator<Item = &ServicePort> {
    service
        .spec
        .iter()
        .flat_map(|spec| spec.ports.iter().flatten())
}

/// Whether a Service selects by the role of strict mode: its endpoints are admitted pods alone.
#[must_use]
pub fn selects_role(service: Option<&Service>) -> bool {
    let selector = service.and_then(|service| service.spec.as_ref()?.selector.as_ref());
    let role = selector.and_then(|selector| selector.get(labels::ROLE));
    role.is_some_and(|role| role == labels::SERVING)
}

/// The ports that the route is about: all but those named in `unrouted`.
pub fn routed_ports<'a>(
    parent: &'a Service,
    unrouted: &'a [String],
) -> impl Iterator<Item = &'a ServicePort> {
    ports(parent).filter(move |port| !unrouted.contains(&port_name(port)))
}

/// The name of a port; its number where it has none.
fn port_name(port: &ServicePort) -> String {
    port.name.clone().unwrap_or_else(|| port.port.to_string())
}

/// Why the traffic of a Service cannot be split, and how to mend it; `None` if it can.
#[must_use]
pub fn refusal(parent: &Service, unrouted: &[String]) -> Option<(Reason, String)> {
    let name = parent.metadata.name.as_deref().unwrap_or_default();
    let unsupported =
        |why: &str| Some((Reason::ServiceNotSupported, format!("Service {name} {why}")));
    let spec = parent.spec.as_ref();
    if spec.and_then(|spec| spec.type_.as_deref()) == Some("ExternalName") {
        return unsupported(
            "is an ExternalName, which no mesh can split: name a ClusterIP Service in spec.service.name",
        );
    }
    if spec.and_then(|spec| spec.cluster_ip.as_deref()) == Some("None") {
        return unsupported(
            "is headless, so clients pick pods themselves: name a Service with a cluster IP in \
             spec.service.name",
        );
    }
    if spec
        .and_then(|spec| spec.selector.as_ref())
        .is_none_or(BTreeMap::is_empty)
    {
        return unsupported(
            "has no selector, so its endpoints are not the target's pods: give it the target's pod labels \
             as selector",
        );
    }
    if ports(parent).next().is_none() {
        return unsupported("has no ports: give it the ports that clients call");
    }
    for port in routed_ports(parent, unrouted) {
        if let Some(protocol) = other_protocol(port) {
            let name_of_port = port_name(port);
            let message = format!(
                "port {name_of_port} of Service {name} carries {protocol}, which an HTTPRoute cannot \
                 split: list it in spec.service.unroutedPorts to leave it alone, or set its appProtocol \
                 to http, http2 or grpc if that is what it speaks"
            );
            return Some((Reason::UnroutedPort, message));
        }
    }
    if routed_ports(parent, unrouted).next().is_none() {
        let message = format!(
            "spec.service.unroutedPorts names every port of Service {name}, which leaves nothing to \
             split: take one out"
        );
        return Some((Reason::UnroutedPort, message));
    }
    None
}

/// The protocol of a port as Istio reads it, unless it is HTTP, gRPC, or found out by looking.
///
/// `appProtocol` goes before the port's name, of which the part before the first `-` counts:
/// istio.io/latest/docs/ops/configuration/traffic-management/protocol-selection/.
fn other_protocol(port: &ServicePort) -> Option<String> {
    if let Some(transport) = port
        .protocol
        .as_deref()
        .filter(|transport| *transport != "TCP")
    {
        return Some(transport.to_owned());
    }
    let declared = match port.app_protocol.as_deref() {
        Some("kubernetes.io/h2c" | "kubernetes.io/ws") => return None,
        Some("kubernetes.io/wss") => return Some("https".to_owned()),
        Some(declared) => declared,
        None => port.name.as_deref().unwrap_or_default(),
    };
    let declared = declared.to_ascii_lowercase();
    let protocol = declared.split('-').next().unwrap_or_default();
    match protocol {
        "http" | "http2" | "http_proxy" | "grpc" => None,
        "https" | "tls" | "tcp" | "udp" | "mongo" | "redis" | "mysql" | "hbone" => {
            Some(protocol.to_owned())
        }
        _ if KNOWN_TCP_PORTS.contains(&port.port) => Some("tcp".to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
