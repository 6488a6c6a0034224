//! A `PromQL` indicator of the user's own.

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

/// A pair of `PromQL` queries that count good events and all events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[kube(
    group = "sluice.dev",
    version = "v1alpha1",
    kind = "MetricTemplate",
    namespaced,
    derive = "PartialEq",
    doc = "A MetricTemplate holds a PromQL indicator of your own, as good events out of all events. \
           It is not yet used by gates: no SLO can name one."
)]
#[serde(rename_all = "camelCase")]
pub struct MetricTemplateSpec {
    /// A `PromQL` expression that counts good events, growing from scrape to scrape.
    #[schemars(length(min = 1, max = 4096))]
    pub good: String,

    /// A `PromQL` expression that counts all events, of which `good` is a part.
    #[schemars(length(min = 1, max = 4096))]
    pub total: String,
}
