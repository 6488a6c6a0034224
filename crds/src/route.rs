//! The template of the `HTTPRoute` that Sluice generates.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::{Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// What the generated `HTTPRoute` holds besides its backends: matches, filters, timeouts, retries.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = declare_hostnames)]
#[x_kube(validation = Rule::new("!has(self.hostnames)")
    .message("hostnames must be left out: the route's parent is the Service, and a mesh ignores \
              hostnames there; match on headers instead"))]
pub struct RouteTemplate {
    /// The rules of the route, in order. Every rule gets the stable revision and the candidate as
    /// its backends, with the same weights.
    #[schemars(length(min = 1, max = 16))]
    pub rules: Vec<RouteRule>,
}

/// One rule of an `HTTPRoute` without its backends; every other field of the Gateway API is kept as
/// written, also those newer than Sluice.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = declare_backend_refs)]
#[x_kube(validation = Rule::new("!has(self.backendRefs)")
    .message("backendRefs must be left out: Sluice writes the revisions and their weights there"))]
pub struct RouteRule {
    /// The name of the rule, as in `HTTPRoute`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub name: Option<String>,

    /// Which requests the rule is for, as in `HTTPRoute`. Without it: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "up_to_64_objects")]
    pub matches: Vec<Value>,

    /// What is done to a request or its response, as in `HTTPRoute`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "up_to_16_objects")]
    pub filters: Vec<Value>,

    /// Timeouts of a request and of its backend, as in `HTTPRoute`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "any_object")]
    pub timeouts: Option<Value>,

    /// When a request is tried again, as in `HTTPRoute`. Retried errors are not seen by the gates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "any_object")]
    pub retry: Option<Value>,

    /// What keeps a client on one backend, as in `HTTPRoute`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "any_object")]
    pub session_persistence: Option<Value>,

    /// Fields of a newer Gateway API, kept as written.
    #[serde(flatten)]
    pub other: BTreeMap<String, Value>,
}

/// An object of the Gateway API's, which its own schema checks when the route is written.
fn any_object(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object", "x-kubernetes-preserve-unknown-fields": true})
}

fn objects(generator: &mut SchemaGenerator, most: u32) -> Schema {
    json_schema!({"type": "array", "maxItems": most, "items": any_object(generator)})
}

/// `HTTPRoute` takes 64 matches in a rule.
fn up_to_64_objects(generator: &mut SchemaGenerator) -> Schema {
    objects(generator, 64)
}

/// `HTTPRoute` takes 16 filters in a rule.
fn up_to_16_objects(generator: &mut SchemaGenerator) -> Schema {
    objects(generator, 16)
}

/// CEL sees only declared fields; declared, the field can be refused with a reason.
fn declare(schema: &mut Schema, field: &str, property: Value) {
    let properties = schema
        .ensure_object()
        .entry("properties")
        .or_insert_with(|| json!({}));
    if let Value::Object(properties) = properties {
        properties.insert(field.to_owned(), property);
    }
}

fn declare_backend_refs(schema: &mut Schema) {
    let property = json!({
        "description": "Not allowed: Sluice writes the revisions and their weights here.",
        "type": "array",
        "maxItems": 16,
        "items": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
    });
    declare(schema, "backendRefs", property);
}

fn declare_hostnames(schema: &mut Schema) {
    let property = json!({
        "description": "Not allowed: the route's parent is a Service, where a mesh ignores them.",
        "type": "array",
        "maxItems": 16,
        "items": {"type": "string", "maxLength": 253},
    });
    declare(schema, "hostnames", property);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use super::*;

    #[test]
    fn no_field_of_a_rule_is_lost() {
        let written = json!({"rules": [{
            "name": "api",
            "matches": [{"path": {"type": "PathPrefix", "value": "/api"}}],
            "filters": [{"type": "URLRewrite", "urlRewrite": {"hostname": "x"}}],
            "timeouts": {"request": "10s"},
            "retry": {"attempts": 2, "codes": [503]},
            "sessionPersistence": {"type": "Cookie"},
            "aFieldOfTheFuture": {"deep": [1, {"er": null}]},
        }]});
        let route: RouteTemplate = serde_json::from_value(written.clone()).unwrap();
        assert_eq!(serde_json::to_value(&route).unwrap(), written);
    }
}
