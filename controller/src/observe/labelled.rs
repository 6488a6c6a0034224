//! Reading labels.

use std::collections::BTreeMap;

use sluice_core::RevisionName;
use sluice_crds::labels;

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
