//! What sends requests past the weights: the rules that stop an adoption, asked before it.

use kube::api::ApiResource;

use super::{cilium, istio};
use crate::cli::preflight::found::{Found, config_map, gateway_class, namespace, service};
use crate::cli::preflight::item::{Findings, Item};
use crate::cli::preflight::subject::Subject;
use crate::observe::kinds;
use crate::parse::blockers::Danger;
use crate::render::kind::Optional;
use crate::render::{acceptance, mesh};

/// What a rule finds. What a person accepted is told once more.
fn look(findings: &mut Findings, subject: &Subject, danger: Danger) {
    let waiver = danger.waiver();
    let waivers = &subject.observed.canary.spec.waivers;
    for message in danger.find(&subject.observed) {
        if waivers.contains(&waiver) {
            findings.warning(format!("accepted by spec.waivers: [{waiver:?}]: {message}"));
        } else {
            findings.error(danger.or_waive(&message));
        }
    }
}

fn unread(findings: &mut Findings, found: &Found, kinds: &[ApiResource]) {
    findings.unknown(kinds.iter().filter_map(|kind| found.unread(kind)));
}

/// Whether the pods of the namespace are in the mesh.
pub(super) fn ambient(found: &Found, subject: &Subject) -> Vec<Item> {
    let mut findings = Findings::new("ambient");
    if subject.is_gamma() {
        return findings.or_ok(|| "mesh: gamma asks for no label".to_owned());
    }
    look(&mut findings, subject, Danger::OwnClients);
    let labels = subject.observed.namespace_labels.as_ref();
    let injected = labels.and_then(|labels| {
        let is = |name: &str, value: &str| labels.get(name).is_some_and(|own| own == value);
        let named = is("istio-injection", "enabled").then_some("istio-injection: enabled");
        named.or_else(|| {
            labels
                .contains_key("istio.io/rev")
                .then_some("istio.io/rev")
        })
    });
    if let Some(label) = injected {
        findings.warning(format!(
            "namespace {} has the label {label}: its new pods get sidecars, which go past waypoints; take it off",
            subject.observed.namespace
        ));
    }
    unread(&mut findings, found, &[namespace()]);
    if labels.is_none() && found.unread(&namespace()).is_none() {
        findings.error(format!(
            "there is no namespace {}: create it",
            subject.observed.namespace
        ));
    }
    findings.or_ok(|| format!("{} is in the mesh", subject.observed.namespace))
}

/// Whether ingress goes by the waypoint.
pub(super) fn ingress(found: &Found, subject: &Subject) -> Vec<Item> {
    let mut findings = Findings::new("ingress");
    let observed = &subject.observed;
    let labels = observed.namespace_labels.as_ref();
    let gamma = subject.is_gamma();
    if !gamma && mesh::ingress_uses_waypoint(observed.parent.as_deref(), labels) {
        return findings.or_ok(|| "goes by the waypoint".to_owned());
    }
    // The label may be on either.
    let labelled = [service(), namespace()];
    if labelled.iter().all(|kind| found.unread(kind).is_none()) {
        look(&mut findings, subject, Danger::Ingress);
    }
    unread(&mut findings, found, &labelled);
    let kinds = [
        kinds::http_route(),
        Optional::GrpcRoute.resource(),
        Optional::VirtualService.resource(),
        Optional::Gateway.resource(),
    ];
    unread(&mut findings, found, &kinds);
    let (service, label) = (subject.service_name(), mesh::INGRESS_LABEL);
    findings.or_ok(|| {
        if gamma {
            return format!("none leads to {service}");
        }
        format!("none leads to {service}; before one does, label the Service {label}: \"true\"")
    })
}

/// Whether nobody else routes the Service.
pub(super) fn routes(found: &Found, subject: &Subject) -> Vec<Item> {
    let mut findings = Findings::new("other-routes");
    look(&mut findings, subject, Danger::Routes);
    look(&mut findings, subject, Danger::VirtualServices);
    let kinds = [
        kinds::http_route(),
        Optional::GrpcRoute.resource(),
        Optional::VirtualService.resource(),
    ];
    unread(&mut findings, found, &kinds);
    findings.or_ok(|| format!("none is on Service {}", subject.service_name()))
}

/// Whether one controller alone programs the Service's routes.
pub(super) fn controllers(found: &Found, subject: &Subject) -> Vec<Item> {
    let mut findings = Findings::new("one-controller");
    look(&mut findings, subject, Danger::Controllers);
    for (kind, route) in &subject.observed.others.routes {
        if let Some(controllers) = acceptance::two_controllers(route) {
            let name = route.metadata.name.as_deref().unwrap_or_default();
            let told = acceptance::two_are_one_too_many(name, &controllers);
            // It is only told of routes of one kind elsewhere.
            findings.error(told.replacen("HTTPRoute", kind, 1));
        }
    }
    let classes = found
        .unread(&gateway_class())
        .filter(|_| subject.is_gamma());
    let alone = subject.is_gamma() && istio::ciliums_alone(found);
    if let (Some(why), true) = (classes, cilium::programs_routes(found)) {
        findings.unknown([format!("whether Istio takes its routes beside Cilium: {why}").as_str()]);
    } else if cilium::programs_routes(found) && !alone {
        findings.warning(
            "cilium-config has enable-gateway-api: \"true\": Cilium takes every route on a Service, ours as well, \
             and programs it a second time; set gatewayAPI.enabled=false in its Helm values",
        );
    }
    unread(&mut findings, found, &[kinds::http_route(), config_map()]);
    findings.or_ok(|| "no second controller programs its routes".to_owned())
}

/// Whether no other Service has the same pods.
pub(super) fn services(found: &Found, subject: &Subject) -> Vec<Item> {
    let mut findings = Findings::new("other-services");
    look(&mut findings, subject, Danger::Pods);
    unread(&mut findings, found, &[service(), kinds::deployment()]);
    findings.or_ok(|| "none selects the same pods".to_owned())
}
