//! The shapes of the objects that we write, and how we read our own back.
//!
//! Everything here is a pure function of objects: no I/O, no clock. Pod templates stay
//! [`serde_json::Value`]s from end to end, since a typed copy would lose the fields of an API server
//! newer than our types.

pub mod acceptance;
pub mod config;
pub mod copies;
pub mod difference;
mod hash;
pub mod identity;
pub mod kind;
pub mod live_route;
pub mod mentions;
pub mod mesh;
pub mod name;
mod place;
pub mod references;
pub mod route;
pub mod service;
pub mod snapshot;
pub mod workload;

use std::collections::BTreeMap;

use sluice_core::{RevisionName, Time};
use sluice_crds::labels;

pub use place::in_place_of;

/// The labels of every object of ours. Nothing else is put there: a label of Argo CD's, Flux's or
/// Helm's, copied from the user's object, would make those tools prune what serves.
fn own_labels(canary: &str, revision: Option<&RevisionName>) -> BTreeMap<String, String> {
    let mut own = BTreeMap::from([
        (labels::CANARY.to_owned(), canary.to_owned()),
        (labels::MANAGED_BY.to_owned(), labels::MANAGER.to_owned()),
    ]);
    if let Some(revision) = revision {
        own.insert(labels::REVISION.to_owned(), revision.to_string());
    }
    own
}

/// A time of the API server's, as the decision counts it.
#[must_use]
pub fn time(time: &k8s_openapi::apimachinery::pkg::apis::meta::v1::Time) -> Option<Time> {
    let nanos = u32::try_from(time.0.subsec_nanosecond()).ok()?;
    Time::from_timestamp(time.0.as_second(), nanos)
}
