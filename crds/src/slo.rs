//! Service level objectives: what a candidate is judged by.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::quantity::{Duration, Percent, between_0_and_100, positive};

/// A service level objective: an indicator and, if there is one, the share of good events it
/// must reach.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.availability) != has(self.latency)")
    .message("an SLO needs exactly one indicator: availability or latency; \
              write two SLOs to have both"))]
pub struct Slo {
    /// A name for messages, events and evidence; one of a kind in the list.
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')")
        .message("name must be lower case letters, digits and '-', as in \"availability\""))]
    pub name: String,

    /// The share of events that must be good, as in "99.9%", with at most 4 decimals.
    /// Without it the candidate must only be no worse than the stable revision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = between_0_and_100(
        "objective must be above 0% and below 100%: no service is always good"
    ))]
    pub objective: Option<Percent>,

    /// An event is a request; it is bad when the server failed: HTTP 5xx, or the gRPC codes that
    /// blame the server. Write `availability: {}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub availability: Option<Availability>,

    /// An event is a request; it is bad when it took longer than the threshold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency: Option<Latency>,
}

/// The availability indicator; it has nothing to set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Availability {}

/// The latency indicator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Latency {
    /// A request slower than this is a bad event, as in "250ms". It must be a bound of the source's
    /// histogram buckets: of a value between two, the Canary's condition names the nearest.
    #[x_kube(validation = positive("threshold must be longer than 0, as in \"250ms\""))]
    pub threshold: Duration,
}
