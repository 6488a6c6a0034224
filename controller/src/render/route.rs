//! The `HTTPRoute`s of a Canary.

use std::collections::BTreeMap;

use chrono::SecondsFormat;
use k8s_openapi::api::core::v1::{Service, ServicePort};
use serde_json::{Map, Value, json};
use sluice_core::{RevisionName, Routing, Weight};
use sluice_crds::{RouteRule, RouteTemplate, annotations};

use super::{name, own_labels, service};

/// The `HTTPRoute`s that carry a routing, one for each routed port of the Service, to be applied.
///
/// A route's rules are for all of its parents, and a backend names one port: a single route for two
/// ports would send the requests of one to the other. So each port has its own, with the same rules
/// and weights.
///
/// Empty when the routing names no backend: a rule without backends answers every request with 500.
#[must_use]
pub fn routes(
    namespace: &str,
    canary: &str,
    parent: &Service,
    routing: &Routing,
    template: Option<&RouteTemplate>,
    unrouted: &[String],
) -> Vec<Value> {
    let shares = shares(routing);
    let Some(service) = parent
        .metadata
        .name
        .as_deref()
        .filter(|_| !shares.is_empty())
    else {
        return Vec::new();
    };
    let marks = marks(routing);
    let route = |port: &ServicePort| {
        json!({
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "HTTPRoute",
            "metadata": {
                "name": name::route_name(service, port.port),
                "namespace": namespace,
                "labels": own_labels(canary, None),
                "annotations": marks,
            },
            "spec": {
                "parentRefs": [{"group": "", "kind": "Service", "name": service, "port": port.port}],
                "rules": rules(template, &backends(&shares, port.port)),
            },
        })
    };
    service::routed_ports(parent, unrouted).map(route).collect()
}

/// What a lost status is rebuilt from.
fn marks(routing: &Routing) -> BTreeMap<&'static str, String> {
    let stable = routing
        .stable
        .as_ref()
        .map(|name| (annotations::STABLE, name.to_string()));
    let candidate = routing
        .candidate
        .as_ref()
        .map(|name| (annotations::CANDIDATE, name.to_string()));
    // People count steps from 1.
    let step = routing
        .step
        .map(|step| (annotations::STEP, step.saturating_add(1).to_string()));
    let at = routing.at.to_rfc3339_opts(SecondsFormat::Micros, true);
    let at = Some((annotations::DECIDED_AT, at));
    [stable, candidate, step, at]
        .into_iter()
        .flatten()
        .collect()
}

/// The backends and their weights as the smallest convenient whole numbers: out of 100 if that is
/// exact, else out of 1,000 and so on up to 1,000,000. The stable revision comes first.
fn shares(routing: &Routing) -> Vec<(&RevisionName, u32)> {
    let mut named: Vec<(&RevisionName, Weight)> = routing
        .weights
        .iter()
        .map(|(name, weight)| (name, *weight))
        .filter(|(_, weight)| !weight.is_zero())
        .collect();
    named.sort_by_key(|(name, _)| routing.stable.as_ref() != Some(*name));
    let exact = |unit: &u32| named.iter().all(|(_, weight)| weight.ppm() % unit == 0);
    let unit = [10_000, 1_000, 100, 10]
        .into_iter()
        .find(exact)
        .unwrap_or(1);
    named
        .into_iter()
        .map(|(name, weight)| (name, weight.ppm() / unit))
        .collect()
}

fn backends(shares: &[(&RevisionName, u32)], port: i32) -> Vec<Value> {
    let backend = |(name, weight): &(&RevisionName, u32)| json!({"group": "", "kind": "Service", "name": name.as_str(), "port": port, "weight": weight});
    shares.iter().map(backend).collect()
}

fn rules(template: Option<&RouteTemplate>, backends: &[Value]) -> Vec<Value> {
    let for_all = [RouteRule::default()];
    let rules = template
        .map(|template| template.rules.as_slice())
        .filter(|rules| !rules.is_empty())
        .unwrap_or(&for_all);
    rules
        .iter()
        .map(|written| rule(written, backends))
        .collect()
}

fn rule(written: &RouteRule, backends: &[Value]) -> Value {
    let RouteRule {
        name,
        matches,
        filters,
        timeouts,
        retry,
        session_persistence,
        other,
    } = written;
    let mut rule: Map<String, Value> = other.clone().into_iter().collect();
    let fields = [
        ("name", name.as_deref().map(Value::from)),
        ("matches", (!matches.is_empty()).then(|| json!(matches))),
        ("filters", (!filters.is_empty()).then(|| json!(filters))),
        ("timeouts", timeouts.clone()),
        ("retry", retry.clone()),
        ("sessionPersistence", session_persistence.clone()),
        ("backendRefs", Some(json!(backends))),
    ];
    for (field, value) in fields {
        rule.extend(value.map(|value| (field.to_owned(), value)));
    }
    rule.into()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use super::*;

    fn parent() -> Service {
        serde_json::from_value(json!({
            "metadata": {"name": "podinfo", "namespace": "shop"},
            "spec": {"ports": [
                {"name": "http", "port": 80}, {"name": "grpc", "port": 9999}, {"name": "tcp-x", "port": 5432},
            ]},
        }))
        .unwrap()
    }

    fn routing(weights: &[(&str, u32)]) -> Routing {
        Routing {
            weights: weights
                .iter()
                .map(|(name, ppm)| ((*name).into(), Weight::from_ppm(*ppm)))
                .collect(),
            stable: Some("podinfo-old".into()),
            candidate: Some("podinfo-new".into()),
            step: Some(0),
            at: sluice_core::Time::default(),
        }
    }

    fn rendered(weights: &[(&str, u32)], template: Option<&RouteTemplate>) -> Vec<Value> {
        let unrouted = ["tcp-x".to_owned()];
        routes(
            "shop",
            "podinfo",
            &parent(),
            &routing(weights),
            template,
            &unrouted,
        )
    }

    #[test]
    fn each_routed_port_has_a_route_of_its_own() {
        let split = rendered(&[("podinfo-old", 950_000), ("podinfo-new", 50_000)], None);
        let expected = |port: i32| {
            let backend = |name: &str, weight: u32| json!({"group": "", "kind": "Service", "name": name, "port": port, "weight": weight});
            json!({
                "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
                "metadata": {
                    "name": format!("sluice-podinfo-{port}"), "namespace": "shop",
                    "labels": {"sluice.dev/canary": "podinfo", "app.kubernetes.io/managed-by": "sluice"},
                    "annotations": {
                        "sluice.dev/stable": "podinfo-old", "sluice.dev/candidate": "podinfo-new",
                        "sluice.dev/step": "1", "sluice.dev/decided-at": "1970-01-01T00:00:00.000000Z",
                    },
                },
                "spec": {
                    "parentRefs": [{"group": "", "kind": "Service", "name": "podinfo", "port": port}],
                    "rules": [{"backendRefs": [backend("podinfo-old", 95), backend("podinfo-new", 5)]}],
                },
            })
        };
        assert_eq!(split, [expected(80), expected(9999)]);
    }

    #[test]
    fn weights_are_as_small_as_is_exact() {
        let weights = |ppm: u32| -> Vec<u32> {
            let routing = routing(&[("podinfo-old", 1_000_000 - ppm), ("podinfo-new", ppm)]);
            shares(&routing)
                .into_iter()
                .map(|(_, weight)| weight)
                .collect()
        };
        assert_eq!(weights(0), [100]);
        assert_eq!(weights(1_000_000), [100]);
        assert_eq!(weights(10_000), [99, 1]);
        assert_eq!(weights(125_000), [875, 125]);
        assert_eq!(weights(100), [9_999, 1]);
        assert_eq!(weights(1), [999_999, 1]);
    }

    #[test]
    fn a_routing_without_backends_is_no_route() {
        assert!(rendered(&[], None).is_empty());
        assert!(rendered(&[("podinfo-old", 0)], None).is_empty());
    }

    #[test]
    fn every_field_of_the_template_is_kept_in_order() {
        let written = json!({"rules": [
            {
                "name": "api",
                "matches": [{"path": {"type": "PathPrefix", "value": "/api"}}],
                "filters": [{"type": "URLRewrite", "urlRewrite": {"hostname": "x"}}],
                "timeouts": {"request": "10s"},
                "retry": {"attempts": 2},
                "sessionPersistence": {"type": "Cookie"},
                "aFieldOfTheFuture": 1,
            },
            {"timeouts": {"request": "1s"}},
        ]});
        let template: RouteTemplate = serde_json::from_value(written.clone()).unwrap();
        let rendered = rendered(&[("podinfo-old", 1_000_000)], Some(&template));
        for route in rendered {
            let mut rules = route
                .pointer("/spec/rules")
                .unwrap()
                .as_array()
                .unwrap()
                .clone();
            for rule in &mut rules {
                let backends = rule.as_object_mut().unwrap().remove("backendRefs").unwrap();
                assert_eq!(backends.as_array().unwrap().len(), 1);
            }
            assert_eq!(json!(rules), *written.get("rules").unwrap());
        }
    }
}
