//! Copies, for each revision, of what users say about calls to their Service.
//!
//! The waypoint's clusters are those of the *revision's* Service once traffic is routed to it, so a
//! `DestinationRule` or `BackendTLSPolicy` that names the users' Service would do nothing any more.
//! Each is copied with the revision's Service in its place, under our own labels.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kube::ResourceExt as _;
use kube::api::DynamicObject;
use serde_json::{Value, json};
use sluice_core::RevisionName;
use sluice_crds::annotations;

use super::kind::Optional;
use super::mentions::{Place, is_host};
use super::{hash, name, own_labels};

/// An object of one of the kinds that are copied.
pub type Setting = (Optional, Arc<DynamicObject>);

/// Whether an object says how a Service is called, and only that one: a pattern of hosts holds for
/// revisions as it is. One for chosen clients is for their sidecars, and not for the waypoint.
#[must_use]
pub fn is_about(kind: Optional, object: &DynamicObject, service: &Place) -> bool {
    let Some(namespace) = object.namespace() else {
        return false;
    };
    if object.metadata.deletion_timestamp.is_some() || namespace != service.namespace {
        return false;
    }
    let field = |path| object.data.pointer(path);
    match kind {
        Optional::DestinationRule => {
            field("/spec/workloadSelector").is_none()
                && field("/spec/host")
                    .and_then(Value::as_str)
                    .is_some_and(|host| is_host(host, &namespace, service))
        }
        Optional::BackendTlsPolicy => targets(object).any(|target| names(target, &service.name)),
        Optional::GrpcRoute | Optional::Gateway | Optional::VirtualService => false,
    }
}

/// The copies that a revision is to have, to be applied.
#[must_use]
pub fn copies(
    canary: &str,
    revision: &RevisionName,
    service: &Place,
    theirs: &[Setting],
) -> Vec<(Optional, Value)> {
    let mut theirs: Vec<&Setting> = theirs.iter().collect();
    // Where several are about one host, Istio and the Gateway API let the oldest one win.
    theirs.sort_by_key(|(_, object)| {
        (
            object.metadata.creation_timestamp.clone(),
            object.name_any(),
        )
    });
    let object = |kind: Optional, name: String, spec: Value| {
        let noted = hash::short(&[&hash::canonical(&spec)]);
        let copy = json!({
            "apiVersion": kind.resource().api_version,
            "kind": kind.kind(),
            "metadata": {
                "name": name,
                "namespace": service.namespace,
                "labels": own_labels(canary, Some(revision)),
                "annotations": {annotations::COPIED: noted},
            },
            "spec": spec,
        });
        (kind, copy)
    };
    let rule = destination_rule(revision, &theirs);
    let rule = rule.map(|spec| object(Optional::DestinationRule, revision.to_string(), spec));
    let policies = backend_tls_policies(revision, service, &theirs);
    let policies = policies.into_iter().map(|(original, spec)| {
        let name = name::copy_name(revision.as_str(), &original, "");
        object(Optional::BackendTlsPolicy, name, spec)
    });
    rule.into_iter().chain(policies).collect()
}

/// One rule for the one host, out of all of theirs: Istio takes the policy of the oldest that has one.
/// Subsets are left out: they are groups of pods that only a `VirtualService` can name, a revision's
/// pods are all alike, and each subset would be a cluster more in every waypoint.
fn destination_rule(revision: &RevisionName, theirs: &[&Setting]) -> Option<Value> {
    let specs = theirs
        .iter()
        .filter(|(kind, _)| *kind == Optional::DestinationRule)
        .filter_map(|(_, object)| object.data.get("spec"));
    let mut spec = specs
        .filter(|spec| spec.get("trafficPolicy").is_some())
        .find_map(Value::as_object)?
        .clone();
    spec.remove("subsets");
    spec.insert("host".to_owned(), revision.as_str().into());
    Some(spec.into())
}

/// One policy for each of theirs, about the ports that no older one is about.
fn backend_tls_policies(
    revision: &RevisionName,
    service: &Place,
    theirs: &[&Setting],
) -> Vec<(String, Value)> {
    let mut taken: BTreeSet<Option<String>> = BTreeSet::new();
    let mut policies = Vec::new();
    for (_, object) in theirs
        .iter()
        .filter(|(kind, _)| *kind == Optional::BackendTlsPolicy)
    {
        let own: Vec<Value> = targets(object)
            .filter(|target| names(target, &service.name))
            .filter(|target| taken.insert(section(target)))
            .map(|target| renamed(target, revision))
            .collect();
        let spec = object.data.get("spec").and_then(Value::as_object);
        if let (false, Some(spec)) = (own.is_empty(), spec) {
            let mut spec = spec.clone();
            spec.insert("targetRefs".to_owned(), own.into());
            policies.push((object.name_any(), spec.into()));
        }
    }
    policies
}

fn targets(policy: &DynamicObject) -> impl Iterator<Item = &Value> {
    let targets = policy.data.pointer("/spec/targetRefs");
    targets.and_then(Value::as_array).into_iter().flatten()
}

fn names(target: &Value, service: &str) -> bool {
    let text = |field: &str| {
        target
            .get(field)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    text("group").is_empty() && text("kind") == "Service" && text("name") == service
}

/// The name of the port that a target is about; `None` for all of them.
fn section(target: &Value) -> Option<String> {
    Some(target.get("sectionName")?.as_str()?.to_owned())
}

fn renamed(target: &Value, revision: &RevisionName) -> Value {
    let mut target = target.clone();
    if let Some(fields) = target.as_object_mut() {
        fields.insert("name".to_owned(), revision.as_str().into());
    }
    target
}

/// Whether a live copy is as wanted. Fields that somebody else added stay, since server-side apply
/// leaves them alone; the note tells of one that was wanted once and is not any more.
#[must_use]
pub fn is_current(live: &DynamicObject, wanted: &Value) -> bool {
    let covers = |path: &str| match (live.data.pointer(path), wanted.pointer(path)) {
        (Some(live), Some(wanted)) => covers(live, wanted),
        (_, wanted) => wanted.is_none(),
    };
    let same = |own: &BTreeMap<String, String>, path: &str| {
        let wanted = wanted.pointer(path).and_then(Value::as_object);
        wanted
            .into_iter()
            .flatten()
            .all(|(name, value)| own.get(name).map(String::as_str) == value.as_str())
    };
    live.metadata.deletion_timestamp.is_none()
        && covers("/spec")
        && same(live.labels(), "/metadata/labels")
        && same(live.annotations(), "/metadata/annotations")
}

fn covers(live: &Value, wanted: &Value) -> bool {
    match (live, wanted) {
        (Value::Object(live), Value::Object(wanted)) => wanted
            .iter()
            .all(|(field, wanted)| live.get(field).is_some_and(|live| covers(live, wanted))),
        _ => live == wanted,
    }
}

/// The live copy that a wanted one is.
#[must_use]
pub fn same_object(live: &Setting, wanted: &(Optional, Value)) -> bool {
    let name = wanted.1.pointer("/metadata/name").and_then(Value::as_str);
    live.0 == wanted.0 && Some(live.1.name_any().as_str()) == name
}

/// Whether a revision lacks a copy, or has one that is wrong or too much. `live` is what it has.
#[must_use]
pub fn is_outdated(live: &[Setting], wanted: &[(Optional, Value)]) -> bool {
    let right = |live: &Setting| {
        let own = wanted.iter().find(|wanted| same_object(live, wanted));
        own.is_some_and(|(_, wanted)| is_current(&live.1, wanted))
    };
    live.len() != wanted.len() || !live.iter().all(right)
}

#[cfg(test)]
mod tests;
