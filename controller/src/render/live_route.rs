//! What our live `HTTPRoute`s say.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use kube::api::DynamicObject;
use serde_json::Value;
use sluice_core::{RevisionName, Routing, Time, Weight};
use sluice_crds::{annotations, labels};

use super::time;

mod intact;
#[cfg(test)]
mod tests;

pub use intact::{intact, superfluous};

/// The live routes of one Canary, one for each port, taken together.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LiveRoutes {
    /// The share of each backend; one with nothing is left out. Where rules disagree it is each
    /// backend's largest share, so that nothing with traffic looks idle; the sum is then above the whole.
    pub weights: BTreeMap<RevisionName, Weight>,
    /// Whether all rules of all routes have the same weights.
    pub agree: bool,
    /// The stable revision as noted by our latest write.
    pub stable: Option<RevisionName>,
    /// The candidate, likewise.
    pub candidate: Option<RevisionName>,
    /// The step, likewise, counted from 0.
    pub step: Option<usize>,
    /// When we last changed any of them.
    pub written_at: Option<Time>,
    /// The field manager that last wrote rules or parents, if that was not us.
    pub foreign_writer: Option<String>,
}

impl LiveRoutes {
    /// The routing that would be written to have what is there.
    #[must_use]
    pub fn routing(&self) -> Routing {
        Routing {
            weights: self.weights.clone(),
            stable: self.stable.clone(),
            candidate: self.candidate.clone(),
            step: self.step,
            at: self.written_at.unwrap_or_default(),
        }
    }
}

/// Reads the live routes of one Canary; `None` when there is none.
#[must_use]
pub fn read_routes(live: &[&DynamicObject]) -> Option<LiveRoutes> {
    let latest = live.iter().copied().max_by_key(|route| changed_at(route))?;
    let splits: Vec<_> = live.iter().flat_map(|route| splits(route)).collect();
    let mut weights: BTreeMap<RevisionName, Weight> = BTreeMap::new();
    for (name, weight) in splits.iter().flatten() {
        let largest = weights.entry(name.clone()).or_default();
        *largest = (*largest).max(*weight);
    }
    let foreign = live
        .iter()
        .filter_map(|route| foreign_entry(route))
        .max_by_key(|entry| entry.time.clone());
    Some(LiveRoutes {
        agree: splits.iter().all(|split| *split == weights),
        weights,
        stable: annotation(latest, annotations::STABLE).map(RevisionName::from),
        candidate: annotation(latest, annotations::CANDIDATE).map(RevisionName::from),
        step: annotation(latest, annotations::STEP)
            .and_then(|step| step.parse::<usize>().ok()?.checked_sub(1)),
        written_at: changed_at(latest),
        foreign_writer: foreign.and_then(|entry| entry.manager.clone()),
    })
}

/// The time noted by our last write; else of the managed fields, else of creation.
fn changed_at(route: &DynamicObject) -> Option<Time> {
    let noted = annotation(route, annotations::DECIDED_AT);
    let noted = noted.and_then(|text| text.parse::<Time>().ok());
    let ours = entries(route).filter(|entry| is_ours(entry));
    let times = ours.filter_map(|entry| entry.time.as_ref().and_then(time));
    let created = || route.metadata.creation_timestamp.as_ref().and_then(time);
    noted.or_else(|| times.max()).or_else(created)
}

/// Whether the rules and parents of a route are ours and nobody else's.
fn is_ours_alone(route: &DynamicObject) -> bool {
    foreign_entry(route).is_none()
        && entries(route).any(|entry| is_ours(entry) && owns_routing(entry))
}

/// The latest entry of somebody else who owns rules or parents. Both lists are atomic: whoever wrote
/// any of it owns all of it, and loses it to our next write. Other fields of the spec do nothing on a
/// route whose parent is a Service.
fn foreign_entry(route: &DynamicObject) -> Option<&ManagedFieldsEntry> {
    entries(route)
        .filter(|entry| !is_ours(entry) && owns_routing(entry))
        .max_by_key(|entry| entry.time.clone())
}

/// Entries of the object itself; a status is written by many.
fn entries(route: &DynamicObject) -> impl Iterator<Item = &ManagedFieldsEntry> {
    let entries = route.metadata.managed_fields.iter().flatten();
    entries.filter(|entry| entry.subresource.as_deref().is_none_or(str::is_empty))
}

fn is_ours(entry: &ManagedFieldsEntry) -> bool {
    entry.manager.as_deref() == Some(labels::MANAGER)
}

fn owns_routing(entry: &ManagedFieldsEntry) -> bool {
    let owned = entry
        .fields_v1
        .as_ref()
        .and_then(|fields| fields.0.get("f:spec"));
    owned.is_some_and(|spec| spec.get("f:rules").is_some() || spec.get("f:parentRefs").is_some())
}

fn annotation<'a>(route: &'a DynamicObject, name: &str) -> Option<&'a str> {
    route
        .metadata
        .annotations
        .as_ref()?
        .get(name)
        .map(String::as_str)
}

/// The weights of every rule of a route.
fn splits(route: &DynamicObject) -> Vec<BTreeMap<RevisionName, Weight>> {
    let rules = route.data.pointer("/spec/rules").and_then(Value::as_array);
    rules.into_iter().flatten().map(split).collect()
}

fn split(rule: &Value) -> BTreeMap<RevisionName, Weight> {
    let backends = rule.get("backendRefs").and_then(Value::as_array);
    let mut parts: BTreeMap<RevisionName, u64> = BTreeMap::new();
    for backend in backends.into_iter().flatten() {
        if let Some(name) = backend.get("name").and_then(Value::as_str) {
            // The Gateway API's default is 1.
            let weight = backend.get("weight").and_then(Value::as_u64).unwrap_or(1);
            *parts.entry(name.into()).or_default() += weight.min(Weight::WHOLE.ppm().into());
        }
    }
    parts.retain(|_, part| *part > 0);
    to_whole(parts)
}

/// Parts per million that sum to the whole. Exact for what we render; for any other numbers the
/// largest backend takes what rounding leaves, and none that has something is rounded to nothing.
fn to_whole(parts: BTreeMap<RevisionName, u64>) -> BTreeMap<RevisionName, Weight> {
    let whole = u64::from(Weight::WHOLE.ppm());
    let total: u64 = parts.values().sum();
    let largest = parts
        .iter()
        .max_by_key(|(_, part)| **part)
        .map(|(name, _)| name.clone());
    let mut weights: BTreeMap<RevisionName, u64> = parts
        .into_iter()
        .map(|(name, part)| (name, (part * whole / total).max(1)))
        .collect();
    let others: u64 = weights
        .iter()
        .filter(|(name, _)| Some(*name) != largest.as_ref())
        .map(|(_, ppm)| ppm)
        .sum();
    if let Some(rest) = largest.and_then(|name| weights.get_mut(&name)) {
        *rest = whole.saturating_sub(others);
    }
    let weight = |ppm| Weight::from_ppm(u32::try_from(ppm).unwrap_or(u32::MAX));
    weights
        .into_iter()
        .map(|(name, ppm)| (name, weight(ppm)))
        .collect()
}
