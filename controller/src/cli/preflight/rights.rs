//! What the controller must be allowed to do: what its manifest grants, read from that manifest.

use k8s_openapi::api::authorization::v1::ResourceAttributes;
use k8s_openapi::api::rbac::v1::{ClusterRole, PolicyRule, Role};
use serde::Deserialize as _;

/// The manifest that is applied at an installation.
const MANIFEST: &str = include_str!("../../../../deploy/sluice.yaml");

/// To do something with a kind of object.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Right {
    pub(super) verb: String,
    pub(super) group: String,
    pub(super) resource: String,
    /// Of one object alone.
    pub(super) name: Option<String>,
    /// In Sluice's own namespace alone; else in all.
    pub(super) at_home: bool,
}

impl Right {
    /// As the API server is asked about it.
    pub(super) fn attributes(&self, home: &str) -> ResourceAttributes {
        let (resource, subresource) = match self.resource.split_once('/') {
            Some((resource, sub)) => (resource, Some(sub.to_owned())),
            None => (self.resource.as_str(), None),
        };
        ResourceAttributes {
            group: Some(self.group.clone()),
            resource: Some(resource.to_owned()),
            subresource,
            verb: Some(self.verb.clone()),
            name: self.name.clone(),
            namespace: self.at_home.then(|| home.to_owned()),
            ..ResourceAttributes::default()
        }
    }
}

/// As in `patch canaries/status.sluice.dev`.
impl std::fmt::Display for Right {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let dot = if self.group.is_empty() { "" } else { "." };
        write!(f, "{} {}{dot}{}", self.verb, self.resource, self.group)
    }
}

/// All that the manifest grants.
///
/// # Errors
/// When it is no manifest.
pub(super) fn granted() -> Result<Vec<Right>, serde_yaml_ng::Error> {
    let mut rights = Vec::new();
    for document in serde_yaml_ng::Deserializer::from_str(MANIFEST) {
        let object = serde_yaml_ng::Value::deserialize(document)?;
        let kind = object.get("kind").and_then(serde_yaml_ng::Value::as_str);
        let (rules, at_home) = match kind {
            Some("ClusterRole") => (
                serde_yaml_ng::from_value::<ClusterRole>(object)?.rules,
                false,
            ),
            Some("Role") => (serde_yaml_ng::from_value::<Role>(object)?.rules, true),
            _ => continue,
        };
        let rules = rules.iter().flatten();
        rights.extend(rules.flat_map(|rule| of_rule(rule, at_home)));
    }
    Ok(rights)
}

fn of_rule(rule: &PolicyRule, at_home: bool) -> Vec<Right> {
    let name = rule
        .resource_names
        .as_ref()
        .and_then(|names| names.first().cloned());
    let groups = rule.api_groups.iter().flatten();
    let resources = groups.flat_map(|group| {
        let resources = rule.resources.iter().flatten();
        resources.map(move |resource| (group, resource))
    });
    let rights = resources.flat_map(|(group, resource)| {
        rule.verbs.iter().map(|verb| Right {
            verb: verb.clone(),
            group: group.clone(),
            resource: resource.clone(),
            name: name.clone(),
            at_home,
        })
    });
    rights.collect()
}
