//! Whether our live routes still are what we wrote, weights apart.

use std::iter;

use kube::ResourceExt as _;
use kube::api::DynamicObject;
use serde_json::{Value, json};
use sluice_crds::annotations;

use super::is_ours_alone;

/// Whether the live routes are those rendered: the same routes, labels, parents, rules, and ports of
/// backends.
///
/// The names and weights of backends may differ: the decision compares those. What the API server adds
/// by default is no difference; what somebody else added is.
#[must_use]
pub fn intact(live: &[&DynamicObject], rendered: &[Value]) -> bool {
    live.len() == rendered.len()
        && rendered.iter().all(|wanted| {
            live.iter()
                .find(|route| route.metadata.name.as_deref() == name_of(wanted))
                .is_some_and(|route| is_as_wanted(route, wanted))
        })
}

/// The live routes that are none of those rendered: the Service lost a port. To be deleted after the
/// others are written.
#[must_use]
pub fn superfluous(live: &[&DynamicObject], rendered: &[Value]) -> Vec<String> {
    let names = live.iter().filter_map(|route| route.metadata.name.clone());
    names
        .filter(|name| !rendered.iter().any(|wanted| name_of(wanted) == Some(name)))
        .collect()
}

fn name_of(rendered: &Value) -> Option<&str> {
    rendered.pointer("/metadata/name")?.as_str()
}

fn is_as_wanted(route: &DynamicObject, wanted: &Value) -> bool {
    // Nobody else can have written what is ours alone, so anything more than we wrote is a default,
    // perhaps of a Gateway API newer than the ones known below.
    let compare = Compare {
        any_default: is_ours_alone(route),
    };
    if !is_marked(route, wanted) {
        return false;
    }
    let parents = (
        route.data.pointer("/spec/parentRefs"),
        wanted.pointer("/spec/parentRefs"),
    );
    let rules = (
        list(&route.data, "/spec/rules"),
        list(wanted, "/spec/rules"),
    );
    let (Some(live_parents), Some(wanted_parents)) = parents else {
        return false;
    };
    compare.covers(live_parents, wanted_parents)
        && rules.0.len() == rules.1.len()
        && iter::zip(rules.0, rules.1).all(|(live, wanted)| compare.rule(live, wanted))
}

/// Whether a route has all labels of ours, and notes at all. What they say is for the decision.
fn is_marked(route: &DynamicObject, wanted: &Value) -> bool {
    let labels = wanted
        .pointer("/metadata/labels")
        .and_then(Value::as_object);
    let labelled = labels
        .into_iter()
        .flatten()
        .all(|(name, value)| route.labels().get(name).map(String::as_str) == value.as_str());
    labelled && route.annotations().contains_key(annotations::DECIDED_AT)
}

fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value
        .pointer(pointer)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

struct Compare {
    /// Take any field that was not written for a default.
    any_default: bool,
}

impl Compare {
    fn rule(&self, live: &Value, wanted: &Value) -> bool {
        let anonymous = |backend: &Value| {
            let mut backend = backend.clone();
            if let Value::Object(fields) = &mut backend {
                fields.remove("name");
                fields.remove("weight");
            }
            backend
        };
        let Some(expected) = list(wanted, "/backendRefs").first().map(anonymous) else {
            return false;
        };
        let backends = list(live, "/backendRefs");
        let without_backends = |rule: &Value| {
            let mut rule = rule.clone();
            if let Value::Object(fields) = &mut rule {
                fields.remove("backendRefs");
            }
            rule
        };
        !backends.is_empty()
            && backends
                .iter()
                .all(|backend| self.covers(&anonymous(backend), &expected))
            && self.covers(&without_backends(live), &without_backends(wanted))
    }

    /// Whether `live` holds all of `wanted` and, defaults apart, no more.
    fn covers(&self, live: &Value, wanted: &Value) -> bool {
        match (live, wanted) {
            (Value::Object(live), Value::Object(wanted)) => {
                wanted.iter().all(|(field, wanted)| match live.get(field) {
                    Some(live) => self.covers(live, wanted),
                    None => is_nothing(wanted),
                }) && (self.any_default
                    || live
                        .iter()
                        .filter(|(field, _)| !wanted.contains_key(*field))
                        .all(|(field, value)| is_nothing(value) || is_default(field, value)))
            }
            (Value::Array(live), Value::Array(wanted)) => {
                live.len() == wanted.len()
                    && iter::zip(live, wanted).all(|(live, wanted)| self.covers(live, wanted))
            }
            _ => live == wanted,
        }
    }
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}

/// The defaults of `HTTPRoute` in the Gateway API up to 1.4.
fn is_default(field: &str, value: &Value) -> bool {
    let path = json!({"type": "PathPrefix", "value": "/"});
    match field {
        "matches" => *value == json!([{"path": path}]),
        "path" => *value == path,
        "group" => value == "" || value == "gateway.networking.k8s.io",
        "kind" => value == "Service" || value == "Gateway",
        "type" => value == "PathPrefix" || value == "Exact" || value == "Cookie",
        "value" => value == "/",
        "weight" => value == 1,
        "statusCode" => value == 302,
        "lifetimeType" => value == "Session",
        "maxAge" => value == 5,
        _ => false,
    }
}
