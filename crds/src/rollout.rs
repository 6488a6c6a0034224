//! A rollout under way, as status records it.

use chrono::{DateTime, Utc};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::micro_time;

/// The rollout of one candidate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Rollout {
    /// The revision being judged.
    pub candidate: String,

    /// When the rollout began.
    #[serde(with = "micro_time")]
    #[schemars(with = "DateTime<Utc>")]
    pub started_at: DateTime<Utc>,

    /// When the candidate was first given weight; a failure is looked for from here on.
    #[serde(
        default,
        with = "micro_time::option",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "Option<DateTime<Utc>>")]
    pub first_weight_at: Option<DateTime<Utc>>,

    /// Since when the step's weight is proven to be in force; its bake counts from here.
    #[serde(
        default,
        with = "micro_time::option",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "Option<DateTime<Utc>>")]
    pub step_since: Option<DateTime<Utc>>,

    /// When the rollout last moved on; the progress deadline counts from here.
    #[serde(with = "micro_time")]
    #[schemars(with = "DateTime<Utc>")]
    pub progressed_at: DateTime<Utc>,

    /// Whether the gates apply. They do not for the first revision, when going back to one that was
    /// promoted within the rollback window, and after an order to promote.
    #[serde(default)]
    pub gated: bool,

    /// True once every step has passed: the candidate gets its full size and all requests.
    #[serde(default)]
    pub promoting: bool,

    /// The requests that the error budget is for: as many as the past lets expect in its period. Worked out
    /// once, when the rollout began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_requests: Option<u64>,

    /// Since when evidence is waited for at the present step: the end of its bake.
    #[serde(
        default,
        with = "micro_time::option",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "Option<DateTime<Utc>>")]
    pub inconclusive_since: Option<DateTime<Utc>>,

    /// Since when the present step waits for an approval.
    #[serde(
        default,
        with = "micro_time::option",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "Option<DateTime<Utc>>")]
    pub approval_awaited_since: Option<DateTime<Utc>>,

    /// When the present step was approved.
    #[serde(
        default,
        with = "micro_time::option",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "Option<DateTime<Utc>>")]
    pub approved_at: Option<DateTime<Utc>>,

    /// What was measured when the gates were last read, one entry for each SLO.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub evidence: Vec<Evidence>,

    /// When that was. Evidence is no reason to write the status: it comes along with what is.
    #[serde(
        default,
        with = "micro_time::option",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "Option<DateTime<Utc>>")]
    pub evidence_at: Option<DateTime<Utc>>,
}

/// What one SLO measured: event counts of both revisions over the same time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Evidence {
    /// The name of the SLO.
    pub slo: String,

    /// Good events of the candidate.
    pub good: u64,

    /// All events of the candidate.
    pub total: u64,

    /// Good events of the stable revision.
    pub stable_good: u64,

    /// All events of the stable revision.
    pub stable_total: u64,

    /// The evidence that the candidate misses its objective: what a gambler has who began with 1.
    #[serde(default)]
    pub against_objective: u64,

    /// The evidence that it is worse than the stable revision, likewise.
    #[serde(default)]
    pub against_stable: u64,

    /// The evidence that is proof, of both.
    #[serde(default)]
    pub proof: u64,

    /// How much of the error budget the candidate has spent, of how much it may, as in "1.2% of 5%".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_budget: Option<String>,

    /// Pass, Fail or Inconclusive.
    pub verdict: Verdict,

    /// Why, in one line; nothing for a Pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub why: Option<String>,

    /// How many events are missing to a Pass, where that can be counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing_events: Option<u64>,

    /// How many seconds these took at the rate seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing_seconds: Option<u64>,
}

/// What a gate says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum Verdict {
    /// Good enough to move on.
    Pass,
    /// Bad enough to roll back.
    Fail,
    /// Too little or no data; never counts as one of the others.
    Inconclusive,
}
