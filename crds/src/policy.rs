//! How rollouts are run: the sections that policies hold and a Canary may override.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::holdback::{Holdback, above_the_last_step};
use crate::mesh::Mesh;
use crate::metrics::{Metrics, Source};
use crate::quantity::{Days, Duration, Percent, between_0_and_100, positive};
use crate::route::RouteTemplate;
use crate::slo::Slo;
use crate::step::{MOST_STEPS, Step, one_approval_a_weight, rising_weights, some_weight};

/// The sections of a policy. A Canary takes each from itself, else from its policy, else from
/// the built-in values; a section is taken whole and never merged with another.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = above_the_last_step())]
pub struct PolicySpec {
    /// Where measurements are read. Without it no step can pass: the rollout holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metrics: Option<Metrics>,

    /// Whose mesh splits the requests. Another word takes effect at once; while a candidate has requests, when its
    /// rollout has ended. What a policy said holds on when the policy is gone. Without it: istio-ambient.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mesh: Option<Mesh>,

    /// Whose measurements count requests. Without it: istio-waypoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,

    /// The steps of a rollout, with rising weights, and approvals between them. Without it: 5%, 25% and 50%,
    /// 2m each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MOST_STEPS))]
    #[x_kube(
        merge_strategy = ListMerge::Atomic,
        validation = rising_weights(),
        validation = some_weight(),
        validation = one_approval_a_weight()
    )]
    pub steps: Option<Vec<Step>>,

    /// A last step behind the others: the candidate gets all requests but a small share, which stays
    /// with the stable revision for a while. Without it: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holdback: Option<Holdback>,

    /// What the candidate is judged by. Without it: it must have no more failed requests than the
    /// stable revision, in proportion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub slos: Option<Vec<Slo>>,

    /// The fewest requests that the candidate must have served, over the whole rollout, before it
    /// can be promoted. Without it: 200.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub min_requests: Option<u32>,

    /// What happens when the evidence neither passes nor fails. Without it: Hold after 10m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inconclusive: Option<Inconclusive>,

    /// How much of the error budget one release may spend. A candidate whose bad requests, less what the
    /// stable revision would have had in its place, spend as much is rolled back, proven or not. It holds for
    /// each SLO of availability or latency with an objective. Without it: no such limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_budget: Option<ErrorBudget>,

    /// How long a rollout may go without progress before it is rolled back. Time in which something
    /// must be mended that no revision is to blame for, such as a missing waypoint or another route
    /// on the Service, does not count, nor does the wait for an approval. Without it: 1h.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = positive("progressDeadline must be longer than 0, as in \"1h\""))]
    pub progress_deadline: Option<Duration>,

    /// How many promoted revisions are kept at 0 replicas besides the serving one. Going back to
    /// one of them needs no gates. Without it: 3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 20))]
    pub rollback_window: Option<u32>,

    /// How long a revision keeps its pods after it left the route and the waypoint was last seen to
    /// ask it. Not below the time the waypoint gives open connections. Without it: 60s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain_delay: Option<Duration>,

    /// How long to wait, once the mesh has accepted the route, before requests are counted.
    /// Without it: 10s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settle: Option<Duration>,

    /// What the generated `HTTPRoute` holds besides its backends. Without it: one rule for all
    /// requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<RouteTemplate>,
}

impl PolicySpec {
    /// What holds where neither a Canary nor a policy says anything.
    ///
    /// `metrics`, `holdback`, `slos`, `errorBudget` and `route` stay empty: no address can be guessed, a holdback is
    /// asked for, no SLO is a gate relative to the stable revision, no budget is no limit, and no route is one rule
    /// for all requests.
    #[must_use]
    pub fn built_in() -> Self {
        let step = |percent: u32| Step {
            weight: Some(Percent::from_ppm(percent * 10_000)),
            bake: Some(Duration::new("2m")),
            approval: None,
        };
        Self {
            metrics: None,
            mesh: Some(Mesh::IstioAmbient),
            source: Some(Source::IstioWaypoint),
            steps: Some(vec![step(5), step(25), step(50)]),
            holdback: None,
            slos: None,
            min_requests: Some(200),
            inconclusive: Some(Inconclusive {
                after: Duration::new("10m"),
                action: InconclusiveAction::Hold,
            }),
            error_budget: None,
            progress_deadline: Some(Duration::new("1h")),
            rollback_window: Some(3),
            drain_delay: Some(Duration::new("60s")),
            settle: Some(Duration::new("10s")),
            route: None,
        }
    }

    /// Takes each section that is missing here, whole, from `fallback`.
    #[must_use]
    pub fn or(self, fallback: Self) -> Self {
        Self {
            metrics: self.metrics.or(fallback.metrics),
            mesh: self.mesh.or(fallback.mesh),
            source: self.source.or(fallback.source),
            steps: self.steps.or(fallback.steps),
            holdback: self.holdback.or(fallback.holdback),
            slos: self.slos.or(fallback.slos),
            min_requests: self.min_requests.or(fallback.min_requests),
            inconclusive: self.inconclusive.or(fallback.inconclusive),
            error_budget: self.error_budget.or(fallback.error_budget),
            progress_deadline: self.progress_deadline.or(fallback.progress_deadline),
            rollback_window: self.rollback_window.or(fallback.rollback_window),
            drain_delay: self.drain_delay.or(fallback.drain_delay),
            settle: self.settle.or(fallback.settle),
            route: self.route.or(fallback.route),
        }
    }
}

/// What happens when the evidence neither passes nor fails.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Inconclusive {
    /// How long to wait for evidence after a step's bake, as in "10m".
    #[x_kube(validation = positive("after must be longer than 0, as in \"10m\""))]
    pub after: Duration,

    /// Hold: keep the weight, raise an alert and wait for a person or for evidence.
    /// Rollback: give all weight back to the stable revision.
    pub action: InconclusiveAction,
}

/// How much of the error budget one release may spend. The budget of an SLO is what its objective allows to be
/// bad, of all requests in the period: at 99.9% one in a thousand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ErrorBudget {
    /// The time that the budget is for, in days, as in "30d". How many requests there are in it is told from
    /// those of the last week.
    pub period: Days,

    /// The share of the budget that one release may spend, as in "5%".
    #[x_kube(validation = between_0_and_100(
        "perRelease must be above 0% and below 100%: leave errorBudget out to have no limit"
    ))]
    pub per_release: Percent,
}

/// What to do without evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum InconclusiveAction {
    /// Keep the weight, and say so.
    Hold,
    /// Give all weight back to the stable revision.
    Rollback,
}

/// How the Canaries of one namespace are rolled out.
#[derive(
    Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, CustomResource, KubeSchema,
)]
#[kube(
    group = "sluice.dev",
    version = "v1alpha1",
    kind = "CanaryPolicy",
    namespaced,
    derive = "PartialEq",
    doc = "A CanaryPolicy says how the Canaries of its namespace are rolled out. One named default \
           holds for every Canary that names no policy."
)]
#[serde(rename_all = "camelCase")]
pub struct CanaryPolicySpec {
    /// The sections shared with a Canary.
    #[serde(flatten)]
    pub policy: PolicySpec,

    /// How many Canaries of this policy may be in a rollout at once; the others wait.
    /// Without it: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000))]
    pub max_concurrent: Option<u32>,
}

/// How Canaries of every namespace are rolled out.
#[derive(
    Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, CustomResource, KubeSchema,
)]
#[kube(
    group = "sluice.dev",
    version = "v1alpha1",
    kind = "ClusterCanaryPolicy",
    derive = "PartialEq",
    doc = "A ClusterCanaryPolicy says how Canaries of any namespace are rolled out. One named \
           default holds for every Canary that names no policy and whose namespace has no \
           CanaryPolicy named default."
)]
#[serde(rename_all = "camelCase")]
pub struct ClusterCanaryPolicySpec {
    /// The sections shared with a Canary.
    #[serde(flatten)]
    pub policy: PolicySpec,

    /// How many Canaries of this policy may be in a rollout at once; the others wait.
    /// Without it: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000))]
    pub max_concurrent: Option<u32>,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use super::*;

    const POLICY: &str = "
metrics: {address: http://prometheus.monitoring:9090}
source: istio-waypoint
steps:
- {weight: 1%, bake: 1m}
- {weight: 10%, bake: 2m}
slos:
- {name: availability, objective: 99.9%, availability: {}}
- {name: latency, objective: 99%, latency: {threshold: 250ms}}
minRequests: 500
maxConcurrent: 20
";

    #[test]
    fn a_policy_reads_and_writes_the_same() {
        let policy: ClusterCanaryPolicySpec = serde_yaml_ng::from_str(POLICY).unwrap();
        assert_eq!(policy.max_concurrent, Some(20));
        assert_eq!(policy.policy.slos.as_deref().unwrap().len(), 2);
        let again = serde_json::to_value(&policy).unwrap();
        let written: serde_json::Value = serde_yaml_ng::from_str(POLICY).unwrap();
        assert_eq!(again, written);
    }

    #[test]
    fn sections_are_taken_whole() {
        let policy: PolicySpec = serde_yaml_ng::from_str(POLICY).unwrap();
        let own: PolicySpec =
            serde_yaml_ng::from_str("steps: [{weight: 50%, bake: 5m}]\nminRequests: 7").unwrap();
        let plan = own.clone().or(policy.clone()).or(PolicySpec::built_in());
        assert_eq!(plan.steps, own.steps);
        assert_eq!(plan.min_requests, Some(7));
        assert_eq!(plan.slos, policy.slos);
        assert_eq!(plan.drain_delay, Some(Duration::new("60s")));
    }

    #[test]
    fn built_in_values_parse() {
        let built_in = PolicySpec::built_in();
        for step in built_in.steps.unwrap() {
            assert!(step.weight.unwrap().ppm().is_ok() && step.bake.unwrap().delta().is_ok());
        }
        let durations = [
            built_in.progress_deadline,
            built_in.drain_delay,
            built_in.settle,
            built_in.inconclusive.map(|inconclusive| inconclusive.after),
        ];
        for duration in durations {
            assert!(duration.unwrap().delta().is_ok());
        }
    }
}
