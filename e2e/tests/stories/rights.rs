//! Whether Sluice's rights are those that it needs: no more, and no less.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use e2e::cluster::audit::{Event, Mark};
use e2e::paths;
use e2e::stage::{Stage, USER};
use k8s_openapi::api::rbac::v1::{ClusterRole, PolicyRule, Role};
use serde::Deserialize as _;
use serde_json::Value;

/// A right, as in `patch httproutes.gateway.networking.k8s.io`.
type Right = String;

/// Compares what the manifests grant with what the stories asked for; only all of them together ask
/// for everything.
pub(crate) fn are_the_least(stage: &Stage) -> Result<()> {
    let granted = granted()?;
    let mut used = BTreeSet::new();
    for event in stage.cluster.audit().since(Mark::default())? {
        if !event.by(USER) {
            continue;
        }
        ensure!(
            !event.is_forbidden(),
            "Sluice lacks a right: {} {}",
            event.verb,
            event.request_uri
        );
        used.extend(right_of(&event));
    }
    let idle: Vec<_> = granted.difference(&used).collect();
    ensure!(idle.is_empty(), "rights that no story needed: {idle:?}");
    println!(
        "all {} rights were needed, and none was missing",
        granted.len()
    );
    Ok(())
}

fn granted() -> Result<BTreeSet<Right>> {
    let path = paths::workspace().join("deploy/rbac.yaml");
    let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let mut rights = BTreeSet::new();
    for document in serde_yaml_ng::Deserializer::from_str(&text) {
        let object = Value::deserialize(document)?;
        let rules = match object.get("kind").and_then(Value::as_str) {
            Some("ClusterRole") => serde_json::from_value::<ClusterRole>(object)?.rules,
            Some("Role") => serde_json::from_value::<Role>(object)?.rules,
            _ => None,
        };
        rights.extend(rules.iter().flatten().flat_map(of_rule));
    }
    ensure!(!rights.is_empty(), "{} grants nothing", path.display());
    Ok(rights)
}

fn of_rule(rule: &PolicyRule) -> Vec<Right> {
    let mut rights = Vec::new();
    for group in rule.api_groups.iter().flatten() {
        for resource in rule.resources.iter().flatten() {
            let rights_of = |verb: &String| right(verb, resource, group);
            rights.extend(rule.verbs.iter().map(rights_of));
        }
    }
    rights
}

fn right_of(event: &Event) -> Option<Right> {
    let object = event.object_ref.as_ref()?;
    let resource = match object.subresource.as_str() {
        "" => object.resource.clone(),
        sub => format!("{}/{sub}", object.resource),
    };
    Some(right(&event.verb, &resource, &object.api_group))
}

fn right(verb: &str, resource: &str, group: &str) -> Right {
    let dot = if group.is_empty() { "" } else { "." };
    format!("{verb} {resource}{dot}{group}")
}
