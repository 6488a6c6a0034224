//! What the mesh says about a Service, and what is said to the mesh.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Service;
use serde_json::Value;
use sluice_crds::Mesh;

/// Puts namespaces and pods into the mesh.
pub const MODE_LABEL: &str = "istio.io/dataplane-mode";
/// Sends ingress by the waypoint, on a Service or its namespace.
pub const INGRESS_LABEL: &str = "istio.io/ingress-use-waypoint";
/// Names the Gateway of a Service's waypoint, on the Service or its namespace; `none` for none.
pub const WAYPOINT_LABEL: &str = "istio.io/use-waypoint";
/// The namespace of that Gateway, where it is another.
const WAYPOINT_NAMESPACE_LABEL: &str = "istio.io/use-waypoint-namespace";
/// The same two for the next version of a waypoint (Istio 1.31).
const NEXT_WAYPOINT_LABEL: &str = "istio.io/use-waypoint-canary";
const NEXT_WAYPOINT_NAMESPACE_LABEL: &str = "istio.io/use-waypoint-canary-namespace";

type Labels = BTreeMap<String, String>;

/// The one condition of Istio's that tells whether a waypoint serves a Service: an `HTTPRoute` is
/// Accepted without one, too. It has no `observedGeneration`.
const WAYPOINT_BOUND: &str = "istio.io/WaypointBound";

/// Cilium's, of a Service with a route: it took the route, and then, its proxies have it. It never says False: where it
/// could not program what it took, the second is not there. Once there it stays True, whatever fails later; and both stay
/// when the last route goes. Other meshes than these two say nothing of a Service.
/// (`operator/pkg/gateway-api/gamma_{reconcile,status}.go` of Cilium 1.20)
const GAMMA_ATTACHED: &str = "gamma.cilium.io/GammaRoutesAttached";
const GAMMA_PROGRAMMED: &str = "gamma.cilium.io/GammaRoutesProgrammed";

/// Whether the mesh serves the Service, and what it says if not, verbatim if it has words. A Service of which nothing was
/// said is not bound to a waypoint; where routes alone tell, that hinders nothing.
#[must_use]
pub fn bound(mesh: Mesh, service: &Service) -> (bool, Option<String>) {
    let status = service.status.as_ref();
    let conditions = status.and_then(|status| status.conditions.as_ref());
    let said = |kind: &str| {
        let mut conditions = conditions.into_iter().flatten();
        conditions.find(|condition| condition.type_ == kind)
    };
    let (kind, unsaid) = match mesh {
        Mesh::IstioAmbient => (WAYPOINT_BOUND, (false, None)),
        Mesh::Gamma if said(GAMMA_ATTACHED).is_some() => {
            let words = "Cilium took the route and did not program it".to_owned();
            (GAMMA_PROGRAMMED, (false, Some(words)))
        }
        Mesh::Gamma => (GAMMA_PROGRAMMED, (true, None)),
    };
    match said(kind) {
        None => unsaid,
        Some(condition) if condition.status == "True" => (true, None),
        Some(condition) => {
            let words = format!("{}: {}", condition.reason, condition.message);
            (false, Some(words))
        }
    }
}

/// Why nothing serves the users' Service, in the mesh's own words if it said any, and what to do.
#[must_use]
pub fn advice(
    mesh: Mesh,
    service: &Service,
    namespace: Option<&Labels>,
    said: Option<&str>,
) -> String {
    if mesh == Mesh::Gamma {
        let said = said.unwrap_or_default();
        return format!("{said}: see the log of cilium-operator for why");
    }
    let labelled = label(Some(service), namespace, WAYPOINT_LABEL);
    let place = |waypoint: &str| {
        let own = service.metadata.namespace.as_deref().unwrap_or_default();
        let namespace = label(Some(service), namespace, WAYPOINT_NAMESPACE_LABEL).unwrap_or(own);
        format!("{namespace}/{waypoint}")
    };
    match (labelled, said) {
        (None | Some("none"), said) => {
            let said = said.map(|said| format!("{said}; ")).unwrap_or_default();
            format!("{said}label the Service or its namespace {WAYPOINT_LABEL}: NAME of a waypoint")
        }
        (Some(waypoint), Some(said)) if said.starts_with("WaypointIsNotReady") => format!(
            "{said}; see that Gateway {} exists and a pod of it is ready",
            place(waypoint)
        ),
        (Some(waypoint), Some(said)) => {
            format!("{said}; mend that at Gateway {}", place(waypoint))
        }
        (Some(waypoint), None) => format!(
            "istiod has said nothing of Gateway {} yet; see that istiod runs and watches this namespace",
            place(waypoint)
        ),
    }
}

/// The namespace of the waypoint, if the labels name another than the Service's own.
#[must_use]
pub fn waypoint_namespace<'a>(
    service: Option<&'a Service>,
    namespace: Option<&'a Labels>,
) -> Option<&'a str> {
    label(service, namespace, WAYPOINT_NAMESPACE_LABEL)
}

/// Whether ingress goes by the waypoint.
#[must_use]
pub fn ingress_uses_waypoint(service: Option<&Service>, namespace: Option<&Labels>) -> bool {
    label(service, namespace, INGRESS_LABEL) == Some("true")
}

/// Whether the pods of a template are in the mesh: by their own label, else by their namespace's.
#[must_use]
pub fn is_ambient(template: Option<&Value>, namespace: &Labels) -> bool {
    let own = template
        .and_then(|template| template.get("metadata")?.get("labels")?.get(MODE_LABEL))
        .and_then(Value::as_str);
    let mode = own.or_else(|| namespace.get(MODE_LABEL).map(String::as_str));
    mode == Some("ambient")
}

/// A label of a Service, else of its namespace.
fn label<'a>(
    service: Option<&'a Service>,
    namespace: Option<&'a Labels>,
    name: &str,
) -> Option<&'a str> {
    let own = service.and_then(|service| service.metadata.labels.as_ref()?.get(name));
    own.or_else(|| namespace?.get(name)).map(String::as_str)
}

/// Namespace and name of each Gateway that is a waypoint of a Service in `namespace`, whose own labels are
/// `namespace_labels`.
#[must_use]
pub fn waypoints(
    service: &Service,
    namespace: &str,
    namespace_labels: Option<&Labels>,
) -> Vec<(String, String)> {
    let own = service.metadata.labels.as_ref();
    let waypoint = |[name, elsewhere]: [&str; 2]| {
        let mut labels = own.into_iter().chain(namespace_labels);
        let labels = labels.find(|labels| labels.contains_key(name))?;
        let namespace = labels.get(elsewhere).map_or(namespace, String::as_str);
        let name = labels.get(name).filter(|name| *name != "none")?;
        Some((namespace.to_owned(), name.clone()))
    };
    let labels = [
        [WAYPOINT_LABEL, WAYPOINT_NAMESPACE_LABEL],
        [NEXT_WAYPOINT_LABEL, NEXT_WAYPOINT_NAMESPACE_LABEL],
    ];
    labels.into_iter().filter_map(waypoint).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use serde_json::json;

    use super::*;

    const AMBIENT: Mesh = Mesh::IstioAmbient;

    fn service(kind: &str, status: &str) -> Service {
        serde_json::from_value(json!({"status": {"conditions": [{
            "type": kind, "status": status, "reason": "WaypointIsNotReady",
            "message": "waypoint shop/waypoint is not ready",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }]}}))
        .unwrap()
    }

    #[test]
    fn only_a_true_condition_is_bound() {
        assert_eq!(
            bound(AMBIENT, &service(WAYPOINT_BOUND, "True")),
            (true, None)
        );
        let problem = "WaypointIsNotReady: waypoint shop/waypoint is not ready".to_owned();
        assert_eq!(
            bound(AMBIENT, &service(WAYPOINT_BOUND, "False")),
            (false, Some(problem))
        );
        assert_eq!(bound(AMBIENT, &service("Other", "True")), (false, None));
        assert_eq!(bound(AMBIENT, &Service::default()), (false, None));
    }

    #[test]
    fn what_cilium_attached_it_must_have_programmed() {
        let both = |attached: &Service, programmed: &Service| -> Service {
            let all = [attached, programmed].into_iter();
            let all = all.filter_map(|one| one.status.clone()?.conditions);
            let conditions: Vec<_> = all.flatten().collect();
            serde_json::from_value(json!({"status": {"conditions": conditions}})).unwrap()
        };
        let gamma = |service: &Service| bound(Mesh::Gamma, service);
        let (nothing, attached) = (Service::default(), service(GAMMA_ATTACHED, "True"));
        assert_eq!(gamma(&nothing), (true, None), "another mesh than Cilium");
        assert_eq!(gamma(&service(WAYPOINT_BOUND, "False")), (true, None));
        let programmed = service(GAMMA_PROGRAMMED, "True");
        assert_eq!(gamma(&both(&attached, &programmed)), (true, None));
        let unlike = service(GAMMA_PROGRAMMED, "False");
        for service in [&attached, &unlike, &both(&attached, &unlike)] {
            let (serves, said) = gamma(service);
            let text = advice(Mesh::Gamma, &nothing, None, said.as_deref());
            assert!(!serves && text.contains("log of cilium-operator"), "{text}");
        }
    }

    #[test]
    fn the_advice_names_what_is_missing() {
        let with = |labels: &Value| -> Service {
            serde_json::from_value(json!({"metadata": {"namespace": "shop", "labels": labels}}))
                .unwrap()
        };
        let bare = with(&json!({}));
        assert!(
            advice(AMBIENT, &bare, None, None)
                .contains("label the Service or its namespace istio.io/use-waypoint")
        );
        let named = with(&json!({WAYPOINT_LABEL: "wp"}));
        let said = "WaypointIsNotReady: waypoint \"shop/wp\" is not ready";
        let text = advice(AMBIENT, &named, None, Some(said));
        assert!(
            text.starts_with(said) && text.contains("Gateway shop/wp exists"),
            "{text}"
        );
        assert!(advice(AMBIENT, &named, None, None).contains("istiod"));
        let namespace = Labels::from([
            (WAYPOINT_LABEL.to_owned(), "wp".to_owned()),
            (WAYPOINT_NAMESPACE_LABEL.to_owned(), "infra".to_owned()),
        ]);
        let text = advice(
            AMBIENT,
            &bare,
            Some(&namespace),
            Some("AttachmentDenied: no"),
        );
        assert!(text.contains("Gateway infra/wp"), "{text}");
        let opted_out = with(&json!({WAYPOINT_LABEL: "none"}));
        assert!(advice(AMBIENT, &opted_out, Some(&namespace), None).contains("label the Service"));
    }

    #[test]
    fn a_pods_own_label_goes_before_its_namespaces() {
        let ambient = Labels::from([(MODE_LABEL.to_owned(), "ambient".to_owned())]);
        let template = |mode: &str| json!({"metadata": {"labels": {MODE_LABEL: mode}}});
        assert!(is_ambient(None, &ambient));
        assert!(!is_ambient(Some(&template("none")), &ambient));
        assert!(is_ambient(Some(&template("ambient")), &Labels::new()));
        assert!(!is_ambient(None, &Labels::new()));
    }

    #[test]
    fn a_services_own_waypoint_goes_before_its_namespaces() {
        let labels = |pairs: &[(&str, &str)]| {
            let owned = pairs
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
            owned.collect::<BTreeMap<_, _>>()
        };
        let of = |own: &[(&str, &str)], around: &[(&str, &str)]| {
            let mut service = Service::default();
            service.metadata.labels = Some(labels(own));
            let found = waypoints(&service, "shop", Some(&labels(around)));
            found
                .into_iter()
                .map(|(namespace, name)| format!("{namespace}/{name}"))
                .collect::<Vec<_>>()
        };
        let shared = [
            ("istio.io/use-waypoint", "shared"),
            ("istio.io/use-waypoint-namespace", "mesh"),
        ];
        let none: [&str; 0] = [];
        assert_eq!(of(&[], &[]), none);
        assert_eq!(of(&[], &shared), ["mesh/shared"]);
        assert_eq!(
            of(&[("istio.io/use-waypoint", "own")], &shared),
            ["shop/own"]
        );
        assert_eq!(of(&[("istio.io/use-waypoint", "none")], &shared), none);
        let next = [("istio.io/use-waypoint-canary", "next")];
        assert_eq!(of(&next, &shared), ["mesh/shared", "shop/next"]);
    }
}
