//! What the user asked for, checked once and valid ever after.

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use crate::Weight;

/// The resolved policy of one rollout. It is pinned when the rollout starts.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Plan {
    /// What must hold before the candidate has its first traffic, beyond what every rollout waits for: its
    /// pods, and the mesh.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub entry: Vec<Requirement>,
    /// The steps, in order; after the last one the candidate takes all traffic. That one may be a holdback.
    pub steps: Vec<Step>,
    /// What is judged at every step.
    pub slos: Vec<Slo>,
    /// Requests of the candidate, over the whole rollout, below which nothing passes.
    pub min_requests: u64,
    /// How long a verdict may stay inconclusive after the bake, and what happens then.
    pub inconclusive_after: TimeDelta,
    /// What happens then.
    pub inconclusive_action: Action,
    /// How long a rollout may go without progress. Time in which only evidence is missing does not
    /// count: [`Plan::inconclusive_after`] rules that. Nor does time in which a person must mend
    /// something that no revision is to blame for.
    pub progress_deadline: TimeDelta,
    /// How many promoted revisions are kept at 0 replicas, to go back to without gates.
    pub rollback_window: usize,
    /// How long a backend that left the route keeps its pods, from when it was last seen to be asked.
    pub drain_delay: TimeDelta,
    /// How long the mesh gets to follow a change before it is relied upon.
    pub settle: TimeDelta,
    /// How much of the error budget one release may spend, if that is limited.
    pub error_budget: Option<ErrorBudget>,
}

/// A limit on what one release may cost. The budget of an SLO is what its objective allows to be bad, of all
/// requests in a period.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ErrorBudget {
    /// The time that the budget is for.
    pub period: TimeDelta,
    /// The share of it that one release may spend, in parts per million.
    pub per_release_ppm: u32,
}

/// One stage of a rollout: a shape of the traffic, and what must hold before the next stage.
///
/// Header matches and mirroring are further kinds of [`Traffic`]; hooks are a further kind of [`Requirement`].
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Step {
    /// Which traffic the candidate gets.
    pub traffic: Traffic,
    /// All of these must hold, judged since the traffic took this shape.
    pub requires: Vec<Requirement>,
    /// Every step was passed: this one only keeps a small share on the stable revision for a while, so that
    /// it stays the way back. Only a Fail, an order, or Git going back takes the traffic away again.
    pub holdback: bool,
}

/// Which traffic the candidate gets in a step.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Traffic {
    /// A share of all requests, taken at random.
    Weight(Weight),
}

/// What must hold before a rollout leaves a step.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Requirement {
    /// So much time has passed, covered by data, since the traffic took its shape.
    Bake(TimeDelta),
    /// Every SLO passes.
    Gates,
    /// A person approved that this candidate goes on from here.
    Approval,
}

/// A service level objective that the candidate is held to.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Slo {
    /// Its name in the policy.
    pub name: String,
    /// The least share of good events, in parts per million; without one the candidate is only
    /// compared with the stable revision.
    pub objective_ppm: Option<u32>,
    /// Which events are good.
    pub indicator: Indicator,
}

/// A service level indicator: a ratio of good events to all events.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Indicator {
    /// Good is an answer that is no server error.
    Availability,
    /// Good is an answer within the threshold.
    Latency {
        /// In milliseconds.
        threshold_ms: u64,
    },
    /// Good is what queries of the user's own count as good.
    Events,
    /// An event is a look at a value, which is good within a range. There is one in each window of the query:
    /// values that look back upon the same time are one piece of evidence.
    Value,
    /// Good is a connection that did not fail. It is counted by another source than requests, and where
    /// connections last there are far fewer of them.
    Connections,
    /// Good is a flow that the network did not drop, counted likewise.
    Flows,
}

impl Indicator {
    /// What its events are called.
    #[must_use]
    pub fn noun(self) -> &'static str {
        match self {
            Self::Availability | Self::Latency { .. } => "requests",
            Self::Events => "events",
            Self::Value => "values",
            Self::Connections => "connections",
            Self::Flows => "flows",
        }
    }

    /// Whether its events are no requests but what carries them.
    #[must_use]
    pub fn is_layer4(self) -> bool {
        matches!(self, Self::Connections | Self::Flows)
    }
}

/// What to do when a verdict stays inconclusive for too long.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub enum Action {
    /// Stay at this weight and raise an alarm: a person decides.
    #[default]
    Hold,
    /// Give all traffic back to the stable revision.
    Rollback,
}

impl Plan {
    /// The holdback, if there is one.
    #[must_use]
    pub fn holdback(&self) -> Option<&Step> {
        self.steps.last().filter(|step| step.holdback)
    }
}

impl Step {
    /// A step of the usual kind: a weight, a bake, and every SLO.
    #[must_use]
    pub fn weighted(weight: Weight, bake: TimeDelta) -> Self {
        Self {
            traffic: Traffic::Weight(weight),
            requires: vec![Requirement::Bake(bake), Requirement::Gates],
            holdback: false,
        }
    }

    /// The step behind the last one, in which the stable revision keeps `share` for so long.
    #[must_use]
    pub fn holding_back(share: Weight, bake: TimeDelta) -> Self {
        Self {
            holdback: true,
            ..Self::weighted(share.rest(), bake)
        }
    }

    /// The share of all requests that the candidate gets.
    #[must_use]
    pub fn weight(&self) -> Weight {
        match self.traffic {
            Traffic::Weight(weight) => weight,
        }
    }

    /// How long this step bakes: the longest of its bakes.
    #[must_use]
    pub fn bake(&self) -> TimeDelta {
        let bakes = self
            .requires
            .iter()
            .filter_map(|requirement| match requirement {
                Requirement::Bake(bake) => Some(*bake),
                Requirement::Gates | Requirement::Approval => None,
            });
        bakes.max().unwrap_or_default()
    }

    /// Whether this step asks for an approval.
    #[must_use]
    pub fn is_approved_by_hand(&self) -> bool {
        self.requires.contains(&Requirement::Approval)
    }

    /// Whether this step asks for the SLOs.
    #[must_use]
    pub fn is_gated(&self) -> bool {
        self.requires.contains(&Requirement::Gates)
    }
}
