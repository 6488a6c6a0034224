//! Queries of the user's own.

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

/// Queries of the user's own: two that count events, or one that gives a value.
#[derive(
    Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, CustomResource, KubeSchema,
)]
#[kube(
    group = "sluice.dev",
    version = "v1alpha1",
    kind = "MetricTemplate",
    namespaced,
    derive = "PartialEq",
    doc = "A MetricTemplate holds PromQL of your own, which an SLO names: total with good or bad, \
           which count events, or value. Each must give one series, and each but value must only \
           grow. In the text, {{ revision }} is the revision that is asked about, whose Service and \
           Deployment have that name; it must be there. Others are {{ stable }}, {{ namespace }}, \
           {{ name }} (of the Canary), {{ target }}, {{ service }} and {{ interval }}. The queries \
           are sent to the server of the SLO's metrics, by its credentials. A Canary finds templates \
           of its own namespace, else of the one that Sluice runs in."
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new(
    "has(self.value) ? !has(self.good) && !has(self.bad) && !has(self.total) \
     : has(self.total) && has(self.good) != has(self.bad)")
    .message("a template needs total and one of good and bad, or value alone"))]
pub struct MetricTemplateSpec {
    /// Counts good events, of those in total.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub good: Option<String>,

    /// Counts bad events, of those in total. Where there may be none yet, end it with
    /// "or vector(0)": no series is not taken for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub bad: Option<String>,

    /// Counts all events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub total: Option<String>,

    /// Gives a value that should be within a range, which the SLO names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub value: Option<String>,
}
