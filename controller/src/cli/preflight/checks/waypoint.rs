//! The waypoint of the Service, which enforces the weights.

use kube::ResourceExt as _;

use crate::cli::preflight::found::{Found, condition, gateway_class, namespace, service, text};
use crate::cli::preflight::item::{Findings, Item};
use crate::cli::preflight::subject::Subject;
use crate::observe::others::WAYPOINT_CLASS;
use crate::parse;
use crate::render::kind::Optional;
use crate::render::mesh;
use sluice_crds::Mesh;

/// Whose requests a waypoint takes: those to Services, where nothing is said.
const FOR_LABEL: &str = "istio.io/waypoint-for";

/// Whether there is one, it is programmed, and it serves the Service.
pub(super) fn waypoint(found: &Found, subject: &Subject) -> Vec<Item> {
    let mut findings = Findings::new("waypoint");
    let observed = &subject.observed;
    let Some(parent) = observed.parent.as_deref() else {
        let why = found.unread(&service());
        findings.unknown([why.unwrap_or("there is no Service to have one")]);
        return findings.or_ok(String::new);
    };
    if subject.is_gamma() {
        let (_, advice) = parse::mesh::serves_parent(observed, parent);
        if let Some(advice) = advice {
            findings.error(advice);
        }
        let kind = gateway_class();
        let istio = found.one(&kind, None, WAYPOINT_CLASS).is_some();
        // Whether Istio's is the only one shows at a route alone.
        if istio && observed.routes.is_empty() && !mesh::bound(Mesh::IstioAmbient, parent).0 {
            findings.warning(format!(
                "Istio's ambient mode is here, and no waypoint serves Service {}: should Istio alone accept its \
                 routes, no weight counts until one does",
                parent.name_any()
            ));
        }
        return findings.or_ok(|| "mesh: gamma needs none".to_owned());
    }
    let labels = observed.namespace_labels.as_ref();
    let places = mesh::waypoints(parent, &observed.namespace, labels);
    let kind = Optional::Gateway.resource();
    let mut unknown: Vec<String> = Vec::new();
    for (namespace, name) in &places {
        let Some(gateway) = found.one(&kind, Some(namespace), name) else {
            match found.unread(&kind) {
                Some(why) => unknown.push(why.to_owned()),
                None => findings.error(format!(
                    "{} names the waypoint {namespace}/{name}, and there is no such Gateway: \
                     istioctl waypoint apply -n {namespace} --name {name}",
                    mesh::WAYPOINT_LABEL
                )),
            }
            continue;
        };
        let class = text(&gateway.data, "/spec/gatewayClassName").unwrap_or_default();
        if class != WAYPOINT_CLASS {
            findings.warning(format!(
                "Gateway {namespace}/{name} is of class {class}, not {WAYPOINT_CLASS}: is it a waypoint?"
            ));
        }
        let serves = gateway.labels().get(FOR_LABEL).map(String::as_str);
        if let Some(other @ ("workload" | "none")) = serves {
            findings.error(format!(
                "Gateway {namespace}/{name} has {FOR_LABEL}: {other}, so it serves no Service: set it to service or all"
            ));
        }
        match condition(gateway, "Programmed") {
            Some((true, _)) => {}
            Some((false, said)) => findings.error(format!(
                "Gateway {namespace}/{name} is not programmed ({said}): see that its pods are ready"
            )),
            None => unknown.push(format!(
                "nobody has said yet whether Gateway {namespace}/{name} is programmed"
            )),
        }
    }
    let (bound, said) = mesh::bound(Mesh::IstioAmbient, parent);
    // The namespace may have the label.
    let labels_unread = found.unread(&namespace()).filter(|_| places.is_empty());
    match labels_unread {
        Some(why) if !bound => unknown.push(why.to_owned()),
        _ if !bound => findings.error(format!(
            "no waypoint serves Service {}: {}",
            parent.name_any(),
            mesh::advice(Mesh::IstioAmbient, parent, labels, said.as_deref())
        )),
        _ => {}
    }
    findings.unknown(unknown.iter().map(String::as_str));
    findings.or_ok(|| {
        let places = places.iter();
        let places = places.map(|(namespace, name)| format!("{namespace}/{name}"));
        format!(
            "Gateway {} serves Service {}",
            places.collect::<Vec<_>>().join(" and "),
            parent.name_any()
        )
    })
}
