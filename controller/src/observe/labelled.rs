//! Reading labels and places.

use std::collections::BTreeMap;

use kube::Resource;
use sluice_core::RevisionName;
use sluice_crds::labels;

/// Whether an object is in that namespace. Asked of every cached object at every look: it copies nothing.
#[must_use]
pub fn is_in<K: Resource>(object: &K, namespace: &str) -> bool {
    object.meta().namespace.as_deref() == Some(namespace)
}

/// The value of a label.
#[must_use]
pub fn label<'a>(labels: &'a BTreeMap<String, String>, name: &str) -> Option<&'a str> {
    labels.get(name).map(String::as_str)
}

/// The revision that an object of ours belongs to.
#[must_use]
pub fn revision_of(labels: &BTreeMap<String, String>) -> Option<RevisionName> {
    label(labels, labels::REVISION).map(RevisionName::from)
}
