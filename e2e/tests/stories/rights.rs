//! Whether Sluice needs all of its rights. That it lacks none, every other story shows.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use e2e::cluster::audit::{Event, Mark};
use e2e::stage::{Stage, USER};
use k8s_openapi::api::rbac::v1::{ClusterRole, PolicyRule, Role};
use serde_json::Value;

/// A right, as in `patch httproutes.gateway.networking.k8s.io`.
type Right = String;

/// Compares what the chart grants with what the stories asked for; only all of them together ask
/// for everything.
pub(crate) fn are_the_least(stage: &Stage) -> Result<()> {
    let granted = granted()?;
    used_all(stage, Mark::default(), USER, &granted)?;
    println!(
        "all {} rights were needed, and none was missing",
        granted.len()
    );
    Ok(())
}

/// Fails if somebody has rights that it did not ask for since `mark`.
pub(crate) fn used_all(
    stage: &Stage,
    mark: Mark,
    who: &str,
    granted: &BTreeSet<Right>,
) -> Result<()> {
    let mut used = BTreeSet::new();
    for event in stage.cluster.audit().since(mark)? {
        if event.by(who) {
            used.extend(rights_of(&event));
        }
    }
    let idle: Vec<_> = granted.difference(&used).collect();
    ensure!(
        idle.is_empty(),
        "rights of {who} that no story needed: {idle:?}"
    );
    Ok(())
}

fn granted() -> Result<BTreeSet<Right>> {
    let mut rights = BTreeSet::new();
    for object in e2e::stage::rights()? {
        let rules = match object.get("kind").and_then(Value::as_str) {
            Some("ClusterRole") => serde_json::from_value::<ClusterRole>(object)?.rules,
            Some("Role") => serde_json::from_value::<Role>(object)?.rules,
            _ => None,
        };
        rights.extend(rules.iter().flatten().flat_map(of_rule));
    }
    ensure!(!rights.is_empty(), "the chart grants nothing");
    Ok(rights)
}

/// What a rule grants.
pub(crate) fn of_rule(rule: &PolicyRule) -> Vec<Right> {
    let mut rights = Vec::new();
    for group in rule.api_groups.iter().flatten() {
        for resource in rule.resources.iter().flatten() {
            let right_to = |verb: &String| right(verb, resource, group);
            rights.extend(rule.verbs.iter().map(right_to));
        }
    }
    rights
}

/// The rights that a request needed. To create by server-side apply takes two.
fn rights_of(event: &Event) -> Vec<Right> {
    let Some(object) = &event.object_ref else {
        return Vec::new();
    };
    let resource = match object.subresource.as_str() {
        "" => object.resource.clone(),
        sub => format!("{}/{sub}", object.resource),
    };
    let created = event
        .response_status
        .is_some_and(|answer| answer.code == 201);
    let also = (event.verb == "patch" && created).then_some("create");
    let verbs = [event.verb.as_str()].into_iter().chain(also);
    verbs
        .map(|verb| right(verb, &resource, &object.api_group))
        .collect()
}

fn right(verb: &str, resource: &str, group: &str) -> Right {
    let dot = if group.is_empty() { "" } else { "." };
    format!("{verb} {resource}{dot}{group}")
}
