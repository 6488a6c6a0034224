//! Service level objectives: what a candidate is judged by.

use kube::KubeSchema;
use kube::core::Rule;
use serde::{Deserialize, Serialize};

use crate::metrics::ConnectionSource;
use crate::quantity::{Duration, Percent, between_0_and_100, positive};

/// A service level objective: an indicator and, if there is one, the share of good events it
/// must reach.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new(
    "[has(self.availability), has(self.latency), has(self.events), has(self.value), \
      has(self.connections)].filter(one, one).size() == 1")
    .message("an SLO needs exactly one indicator: availability, latency, events, value or \
              connections; write two SLOs to have two"))]
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

    /// An event is what the queries of a `MetricTemplate` count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events: Option<Events>,

    /// An event is a look at the value of a `MetricTemplate`, one in each window; it is bad when the
    /// value is out of range.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<ValueRange>,

    /// An event is a connection of the revision's pods on layer 4; it is bad when it failed. Counted beside
    /// the requests, by a source of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connections: Option<Connections>,
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

/// The indicator of layer 4.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Connections {
    /// Who counts: ztunnel, connections to the pods, of which those are bad that were denied, refused
    /// or broke; or cilium-drops, flows to and from the pods, of which those are bad that Cilium dropped.
    pub source: ConnectionSource,
}

/// Events that queries of the user's own count.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Events {
    /// The name of a `MetricTemplate` with total and one of good and bad.
    #[schemars(length(min = 1, max = 253))]
    pub template: String,
}

/// A value that a query of the user's own gives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.min) || has(self.max)")
    .message("a value needs min, max or both"))]
#[x_kube(validation = Rule::new(
    "!has(self.min) || !has(self.max) || double(self.min) <= double(self.max)")
    .message("min must not be above max"))]
pub struct ValueRange {
    /// The name of a `MetricTemplate` with value.
    #[schemars(length(min = 1, max = 253))]
    pub template: String,

    /// The least value that is good, as in "0.5".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32))]
    #[x_kube(validation = decimal())]
    pub min: Option<String>,

    /// The greatest value that is good, as in "250".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32))]
    #[x_kube(validation = decimal())]
    pub max: Option<String>,

    /// How far back the query looks, as in its "[1m]". Values of the same time say the same thing
    /// twice, so one counts in each window.
    #[x_kube(validation = positive("window must be longer than 0, as in \"1m\""))]
    pub window: Duration,
}

/// A text that is a number.
fn decimal() -> Rule {
    Rule::new(r"self.matches('^-?[0-9]+(\\.[0-9]+)?$')")
        .message("must be a decimal number in quotes, as in \"0.5\"")
}
