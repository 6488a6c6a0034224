//! The API types of Sluice, `sluice.dev/v1alpha1`, and the manifests generated from them.
//!
//! Doc comments on fields are what `kubectl explain` shows. Rules that a person can break are in
//! the schema, as CEL, so that `kubectl apply` says what is wrong and how to mend it.

#![allow(
    unreachable_pub,
    reason = "the KubeSchema derive repeats each public struct inside a function"
)]

pub mod annotations;
pub mod approval;
pub mod canary;
pub mod condition;
pub mod holdback;
pub mod labels;
pub mod manifest;
mod mesh;
pub mod metric_template;
mod metrics;
pub mod micro_time;
pub mod policy;
pub mod quantity;
pub mod rollout;
pub mod route;
pub mod slo;
pub mod status;
pub mod step;

pub use approval::{Approval, Approved};
pub use canary::{
    Canary, CanarySpec, ConfigSpec, PolicyKind, PolicyRef, PromotedImage, PromotedSpec,
    ServiceSpec, TargetKind, TargetRef, Waiver,
};
pub use condition::{ConditionType, Reason};
pub use holdback::Holdback;
pub use mesh::Mesh;
pub use metric_template::{MetricTemplate, MetricTemplateSpec};
pub use metrics::{
    BasicAuth, BearerToken, ConnectionSource, Credentials, Header, Metrics, OtlpNames, Source,
};
pub use policy::{
    CanaryPolicy, CanaryPolicySpec, ClusterCanaryPolicy, ClusterCanaryPolicySpec, ErrorBudget,
    Inconclusive, InconclusiveAction, PolicySpec,
};
pub use quantity::{Days, DaysError, Duration, DurationError, Percent, PercentError};
pub use rollout::{Evidence, Rollout, Verdict};
pub use route::{RouteRule, RouteTemplate};
pub use slo::{Availability, Connections, Events, Latency, Slo, ValueRange};
pub use status::{
    Adoption, CanaryStatus, Draining, HistoryEntry, Outcome, Phase, Restored, Traffic,
};
pub use step::Step;

/// The API group of every kind here.
pub const GROUP: &str = "sluice.dev";

/// The one version of the group.
pub const VERSION: &str = "v1alpha1";
