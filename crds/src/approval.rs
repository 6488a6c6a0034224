//! Approvals: where a rollout waits for a person, and what a person has approved.

use kube::KubeSchema;
use kube::core::Rule;
use serde::{Deserialize, Serialize};

use crate::quantity::{PERCENT_SHAPE, Percent};

/// A rollout waits here until the Canary's `spec.approved` names its candidate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
pub struct Approval {}

/// A revision that may go on where a rollout waits for approval.
///
/// An image approves every revision that has it, while the revision that serves does not: of two that differ in
/// something else alone, name the one that is meant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.image) != has(self.revision)")
    .message("an approval names an image or a revision, and not both"))]
pub struct Approved {
    /// The image of the candidate, written as its template has it, with tag or digest, as in
    /// "ghcr.io/shop/web:v2". One that the revision that serves has as well approves nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    #[x_kube(validation = Rule::new("self.matches('^[^ #]+[:@][^ #/]+$')")
        .message("image must be written as the template has it, with a tag or a digest, as in \
                  ghcr.io/shop/web:v2: without one it would approve whatever comes later"))]
    pub image: Option<String>,

    /// The name of the candidate, as `kubectl get slc` prints it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub revision: Option<String>,

    /// The weight at which it may go on, as in "10%"; "0%" is before the first step. Without it: wherever
    /// it waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = below_100())]
    pub at: Option<Percent>,
}

/// A text that is no percentage passes: the type's own rule has already named it.
fn below_100() -> Rule {
    Rule::new(format!(
        "!self.matches('{PERCENT_SHAPE}') || double(self.replace('%', '')) < 100.0"
    ))
    .message("at must be below 100%: it is the weight of the step that waits for approval")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use super::*;

    #[test]
    fn yaml_survives_a_round_trip() {
        let yaml = "image: ghcr.io/shop/web:v2\nat: 10%\n";
        let approved: Approved = serde_yaml_ng::from_str(yaml).unwrap();
        assert_eq!(approved.at, Some(Percent::new("10%")));
        assert_eq!(serde_yaml_ng::to_string(&approved).unwrap(), yaml);
    }
}
