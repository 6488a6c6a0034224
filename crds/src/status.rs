//! The status of a Canary.

use chrono::{DateTime, Utc};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::KubeSchema;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::micro_time;
use crate::policy::PolicySpec;
use crate::quantity::Percent;
use crate::rollout::Rollout;

/// How a Canary stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct CanaryStatus {
    /// The generation of the spec that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// Where the Canary is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,

    /// The revision that serves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stable: Option<String>,

    /// The revision being judged, or the one last rejected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub candidate: Option<String>,

    /// The step under way, from 1. A holdback is the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<u32>,

    /// How many steps the plan has, a holdback among them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<u32>,

    /// Step and steps for the printed column, as in "2/3"; or holdback.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<String>,

    /// The share of requests that the candidate has in the route in force, as in "5%".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub weight: Option<Percent>,

    /// What holds: Ready, Reconciling, Stalled, Promoted and `GatesEffective`, with reasons and messages.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,

    /// How many pods the revisions have, for autoscalers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<i32>,

    /// The label selector of those pods, for autoscalers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,

    /// The policy in force, pinned when the last rollout began; later edits of it change nothing
    /// until the next one, but of its mesh once no candidate has requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "pinned")]
    pub plan: Option<PolicySpec>,

    /// Whether the route in `plan` is the Canary's own `spec.route`, and not its policy's.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub own_route: bool,

    /// Whether the mesh in `plan` is the Canary's own `spec.mesh`, and not its policy's.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub own_mesh: bool,

    /// The rollout under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<Rollout>,

    /// Revisions that left the route and still have pods, for open connections.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub draining: Vec<Draining>,

    /// The last rollouts, newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10))]
    pub history: Vec<HistoryEntry>,

    /// The requests that the Service had in the last week, or as much of it as was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traffic: Option<Traffic>,

    /// How the target was taken over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adoption: Option<Adoption>,
}

impl CanaryStatus {
    /// How many entries [`CanaryStatus::history`] holds at most.
    pub const MAX_HISTORY: usize = 10;
}

/// A plan was checked when it was written; checking it again, by the rules of a newer version,
/// could make a status that cannot be written.
fn pinned(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object", "x-kubernetes-preserve-unknown-fields": true})
}

/// Where the Canary is: Initializing, Waiting, Progressing, Holding, Promoting, Finalising,
/// Succeeded or Failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum Phase {
    /// The first revision is being made and takes over from the target.
    Initializing,
    /// A rollout cannot begin yet; the Ready condition says why.
    Waiting,
    /// A candidate goes through its steps.
    Progressing,
    /// A candidate keeps its weight, for want of evidence or of a person.
    Holding,
    /// The candidate is brought to full size and gets all requests.
    Promoting,
    /// A backend that left the route, after an adoption the target's own pods, keeps its pods for open connections; or
    /// the Canary is being deleted and hands traffic back.
    Finalising,
    /// The newest template serves.
    Succeeded,
    /// The newest template was rejected; the stable revision serves.
    Failed,
}

/// A revision that left the route.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Draining {
    /// The name of the revision.
    pub revision: String,

    /// When it left the route, or was seen to be asked later.
    #[serde(with = "micro_time")]
    #[schemars(with = "DateTime<Utc>")]
    pub since: DateTime<Utc>,
}

/// A rollout that ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct HistoryEntry {
    /// The revision it was about.
    pub revision: String,

    /// Promoted, `RolledBack`, Superseded or Aborted.
    pub outcome: Outcome,

    /// When it ended.
    #[serde(with = "micro_time")]
    #[schemars(with = "DateTime<Utc>")]
    pub at: DateTime<Utc>,

    /// Why, in one line.
    #[schemars(length(max = 1024))]
    pub reason: String,
}

/// How a rollout ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum Outcome {
    /// It serves, or did.
    Promoted,
    /// Its evidence failed, or a deadline passed.
    RolledBack,
    /// A newer template came.
    Superseded,
    /// A person ordered it.
    Aborted,
}

/// How many requests a Service had, of all revisions together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Traffic {
    /// In a day, on average, rounded to two digits.
    pub requests_per_day: u64,

    /// The seconds over which that was measured: a week's, if there is so much.
    pub measured_seconds: u64,
}

/// How the target was taken over.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Adoption {
    /// The replicas of the target when Sluice came.
    pub target_replicas: i32,

    /// Since when the target's own pods serve nobody by the route.
    #[serde(
        default,
        with = "micro_time::option",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "Option<DateTime<Utc>>")]
    pub left_at: Option<DateTime<Utc>>,

    /// True once the first revision serves and the target is at 0.
    pub scaled_down: bool,

    /// Who had written the target with its `replicas` until it was scaled to 0, and may do so again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_by: Option<String>,

    /// The last time that somebody else scaled the target up again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restored: Option<Restored>,
}

/// The target was scaled up by somebody else, and put back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Restored {
    /// What they had set.
    pub replicas: i32,

    /// When it was put back.
    #[serde(with = "micro_time")]
    #[schemars(with = "DateTime<Utc>")]
    pub at: DateTime<Utc>,

    /// Whether it was at 0 since. The same replicas again are then left, for an hour.
    pub seen: bool,
}
