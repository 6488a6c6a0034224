//! Which Services and Gateways the objects of others name.

use std::collections::BTreeSet;

use kube::api::DynamicObject;
use serde_json::Value;

const GATEWAY_API: &str = "gateway.networking.k8s.io";

/// An object, by namespace and name.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Place {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl Place {
    /// The place of an object.
    #[must_use]
    pub fn new(namespace: &str, name: &str) -> Self {
        Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        }
    }
}

/// The Services that a route names, as parents or backends.
#[must_use]
pub fn services(route: &DynamicObject) -> BTreeSet<Place> {
    let own = own(route);
    let parents = list(&route.data, "/spec/parentRefs").iter();
    let parents = parents.filter(|parent| text(parent, "kind") == Some("Service"));
    let named = parents.chain(backends(route).filter(|backend| is_service(backend)));
    named.map(|reference| place(reference, own)).collect()
}

/// The ports by which a route has a Service as its parent; `None` stands for all of them.
#[must_use]
pub fn parent_ports(route: &DynamicObject, service: &Place) -> Vec<Option<i64>> {
    let own = own(route);
    list(&route.data, "/spec/parentRefs")
        .iter()
        .filter(|parent| {
            is_core(text(parent, "group").unwrap_or(GATEWAY_API))
                && text(parent, "kind") == Some("Service")
                && is_place(parent, own, service)
        })
        .map(|parent| parent.get("port").and_then(Value::as_i64))
        .collect()
}

/// The Gateways that a route hangs on.
#[must_use]
pub fn gateways(route: &DynamicObject) -> Vec<Place> {
    let own = own(route);
    list(&route.data, "/spec/parentRefs")
        .iter()
        .filter(|parent| {
            text(parent, "group").unwrap_or(GATEWAY_API) == GATEWAY_API
                && text(parent, "kind").unwrap_or("Gateway") == "Gateway"
        })
        .map(|parent| place(parent, own))
        .collect()
}

/// Whether a route sends requests to a Service. A backend without any is none.
#[must_use]
pub fn has_backend(route: &DynamicObject, service: &Place) -> bool {
    let own = own(route);
    backends(route).any(|backend| {
        let idle = backend.get("weight").and_then(Value::as_i64) == Some(0);
        !idle && is_service(backend) && is_place(backend, own, service)
    })
}

/// Whether a `VirtualService` says what becomes of calls to a Service, inside the mesh.
#[must_use]
pub fn takes_calls(virtual_service: &DynamicObject, service: &Place) -> bool {
    let own = own(virtual_service);
    let gateways = list(&virtual_service.data, "/spec/gateways");
    let in_mesh = gateways.is_empty() || gateways.iter().any(|gateway| gateway == "mesh");
    in_mesh
        && list(&virtual_service.data, "/spec/hosts")
            .iter()
            .filter_map(Value::as_str)
            .any(|host| matches(host, own, service))
}

/// The gateway by which a `VirtualService` sends requests from outside the mesh to a Service.
#[must_use]
pub fn ingress_gateway<'a>(virtual_service: &'a DynamicObject, service: &Place) -> Option<&'a str> {
    let own = own(virtual_service);
    let gateways = list(&virtual_service.data, "/spec/gateways").iter();
    let gateway = gateways
        .filter_map(Value::as_str)
        .find(|gateway| *gateway != "mesh")?;
    let leads = destinations(virtual_service).any(|host| matches(host, own, service));
    leads.then_some(gateway)
}

/// Whether a host of Istio's is that Service and no pattern: `shop`, `shop.prod`, `shop.prod.svc`, or
/// with the domain of whichever cluster. Short names are of the object's own namespace.
#[must_use]
pub fn is_host(host: &str, own: &str, service: &Place) -> bool {
    let host = host.trim_end_matches('.');
    let mut parts = host.splitn(4, '.');
    let name = parts.next().unwrap_or_default();
    let namespace = parts.next().unwrap_or(own);
    let is_service = parts.next().is_none_or(|part| part == "svc");
    is_service && name == service.name && namespace == service.namespace
}

/// The same, also for a pattern such as `*` or `*.prod.svc.cluster.local`.
fn matches(host: &str, own: &str, service: &Place) -> bool {
    let Some(end) = host.strip_prefix('*') else {
        return is_host(host, own, service);
    };
    let full = format!("{}.{}.svc.cluster.local", service.name, service.namespace);
    full.ends_with(end)
}

/// The namespaces of everything that a route or a `VirtualService` names.
#[must_use]
pub fn namespaces(object: &DynamicObject) -> BTreeSet<String> {
    let explicit = list(&object.data, "/spec/parentRefs")
        .iter()
        .chain(backends(object))
        .filter_map(|reference| text(reference, "namespace"));
    let hosts = list(&object.data, "/spec/hosts")
        .iter()
        .filter_map(Value::as_str)
        .chain(destinations(object));
    let of_hosts = hosts.filter_map(|host| {
        let mut parts = host.split('.');
        let (_, namespace, svc) = (parts.next()?, parts.next()?, parts.next());
        svc.is_none_or(|part| part == "svc").then_some(namespace)
    });
    explicit.chain(of_hosts).map(str::to_owned).collect()
}

fn backends(route: &DynamicObject) -> impl Iterator<Item = &Value> {
    list(&route.data, "/spec/rules")
        .iter()
        .flat_map(|rule| list(rule, "/backendRefs"))
}

fn destinations(virtual_service: &DynamicObject) -> impl Iterator<Item = &str> {
    ["/spec/http", "/spec/tls", "/spec/tcp"]
        .into_iter()
        .flat_map(|kind| list(&virtual_service.data, kind))
        .flat_map(|rule| list(rule, "/route"))
        .filter_map(|route| route.pointer("/destination/host")?.as_str())
}

fn is_service(backend: &Value) -> bool {
    is_core(text(backend, "group").unwrap_or_default())
        && text(backend, "kind").unwrap_or("Service") == "Service"
}

/// Some write the core group's nickname.
fn is_core(group: &str) -> bool {
    group.is_empty() || group == "core"
}

/// The namespace of an object.
fn own(object: &DynamicObject) -> &str {
    object.metadata.namespace.as_deref().unwrap_or_default()
}

fn place(reference: &Value, own: &str) -> Place {
    let name = text(reference, "name").unwrap_or_default();
    Place::new(text(reference, "namespace").unwrap_or(own), name)
}

/// Whether that is the place of a reference. Asked of every route at every look: it copies nothing.
fn is_place(reference: &Value, own: &str, place: &Place) -> bool {
    text(reference, "name").unwrap_or_default() == place.name
        && text(reference, "namespace").unwrap_or(own) == place.namespace
}

fn text<'a>(value: &'a Value, field: &str) -> Option<&'a str> {
    value.get(field).and_then(Value::as_str)
}

fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value
        .pointer(pointer)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use serde_json::json;

    use super::*;

    fn object(kind: &str, spec: &Value) -> DynamicObject {
        serde_json::from_value(json!({
            "apiVersion": "any/v1", "kind": kind,
            "metadata": {"name": "other", "namespace": "web"}, "spec": spec,
        }))
        .unwrap()
    }

    fn shop() -> Place {
        Place::new("prod", "shop")
    }

    #[test]
    fn a_parent_is_a_service_of_the_core_group_in_the_namespace_named() {
        let ports = |parent: Value| {
            parent_ports(
                &object("HTTPRoute", &json!({"parentRefs": [parent]})),
                &shop(),
            )
        };
        let named = |more: Value| {
            let mut parent =
                json!({"kind": "Service", "group": "", "name": "shop", "namespace": "prod"});
            parent
                .as_object_mut()
                .unwrap()
                .extend(more.as_object().unwrap().clone());
            parent
        };
        assert_eq!(ports(named(json!({}))), [None]);
        assert_eq!(
            ports(named(json!({"group": "core", "port": 80}))),
            [Some(80)]
        );
        assert!(ports(named(json!({"group": "example.com"}))).is_empty());
        assert!(ports(named(json!({"kind": "Gateway"}))).is_empty());
        assert!(
            ports(named(json!({"namespace": null}))).is_empty(),
            "its own namespace is another"
        );
        // The default group of a parent is the Gateway API's, which has no Services.
        assert!(ports(json!({"kind": "Service", "name": "shop", "namespace": "prod"})).is_empty());
    }

    #[test]
    fn gateways_and_backends_have_defaults() {
        let route = object(
            "HTTPRoute",
            &json!({
                "parentRefs": [{"name": "edge"}, {"group": "", "kind": "Service", "name": "shop"}],
                "rules": [{"backendRefs": [{"name": "shop", "namespace": "prod", "port": 80}]}],
            }),
        );
        assert_eq!(gateways(&route), [Place::new("web", "edge")]);
        assert!(has_backend(&route, &shop()));
        assert!(!has_backend(&route, &Place::new("web", "shop")));
        let idle = json!({"rules": [{"backendRefs": [{"name": "shop", "namespace": "prod", "weight": 0}]}]});
        assert!(!has_backend(&object("HTTPRoute", &idle), &shop()));
        assert_eq!(namespaces(&route), BTreeSet::from(["prod".to_owned()]));
    }

    #[test]
    fn hosts_of_istio_are_read_as_istio_does() {
        for host in [
            "shop.prod",
            "shop.prod.svc",
            "shop.prod.svc.cluster.local",
            "shop.prod.svc.example.",
        ] {
            assert!(is_host(host, "web", &shop()), "{host}");
        }
        assert!(is_host("shop", "prod", &shop()));
        for host in [
            "shop",
            "shop.web",
            "shop.prod.example.com",
            "shop2.prod",
            "*.prod.svc.cluster.local",
        ] {
            assert!(!is_host(host, "web", &shop()), "{host}");
        }
    }

    #[test]
    fn a_virtual_service_is_of_the_mesh_unless_it_names_gateways_only() {
        let of = |gateways: Value| {
            let route =
                json!([{"route": [{"destination": {"host": "shop.prod.svc.cluster.local"}}]}]);
            object(
                "VirtualService",
                &json!({"hosts": ["*.prod.svc.cluster.local"], "gateways": gateways, "http": route}),
            )
        };
        assert!(takes_calls(&of(json!([])), &shop()));
        assert!(takes_calls(&of(json!(["mesh", "edge"])), &shop()));
        assert!(!takes_calls(&of(json!(["edge"])), &shop()));
        assert_eq!(
            ingress_gateway(&of(json!(["mesh", "edge"])), &shop()),
            Some("edge")
        );
        assert_eq!(ingress_gateway(&of(json!([])), &shop()), None);
        assert_eq!(
            namespaces(&of(json!([]))),
            BTreeSet::from(["prod".to_owned()])
        );
    }
}
