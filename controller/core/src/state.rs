//! What is remembered between two decisions, and kept in the Canary's status.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Plan, RevisionName, Time, Weight};

/// What a Canary remembers. The default remembers nothing, and is rebuilt from the world.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct State {
    /// The revision that serves when no rollout is under way.
    pub stable: Option<RevisionName>,
    /// The rollout under way.
    pub rollout: Option<Rollout>,
    /// The backends that left the route and keep their pods for a while, and since when nobody asks them, as far as is
    /// known.
    pub draining: BTreeMap<RevisionName, Time>,
    /// How each of them left. Not kept in the status: losing it costs some patience with whoever asks them still.
    #[serde(default)]
    pub left: BTreeMap<RevisionName, Left>,
    /// Since when the target's own pods serve nobody by our route. `None` until the first revision
    /// took over.
    pub target_left_at: Option<Time>,
    /// `spec.replicas` of the target when it was adopted: the size where the Canary names none.
    pub adopted_replicas: Option<u32>,
    /// The target was seen at 0 since the first revision took over.
    pub released: bool,
    /// Who had written the target with its `spec.replicas` until it was scaled to 0, and may do so again: nobody
    /// can tell whether its manifest says it.
    pub held_by: Option<String>,
    /// The last time that somebody else scaled the target up again.
    pub restored: Option<Restored>,
    /// Who writes our route as well, if somebody did lately. Not kept in the status: losing it costs a
    /// few writes.
    pub contest: Option<Contest>,
}

/// How a backend left the route.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Left {
    /// When the route was written without it.
    pub written_at: Time,
    /// When the mesh was first seen to have accepted that.
    pub accepted_at: Time,
}

/// Somebody else writes our route, and we put it back.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Contest {
    /// The field manager that did so last, if it is known.
    pub writer: Option<String>,
    /// When the route was put back last.
    pub restored_at: Time,
    /// Until then what was put back counts; each time adds a while.
    pub counts_until: Time,
}

/// The target was scaled up by somebody else, and is put back to 0.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Restored {
    /// What they had set.
    pub replicas: u32,
    /// When it was put back.
    pub at: Time,
    /// It was seen at 0 since: whoever sets the same again does so on purpose.
    pub seen: bool,
}

/// A candidate on its way.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Rollout {
    /// The revision that is judged.
    pub candidate: RevisionName,
    /// The plan in force since the rollout started.
    pub plan: Plan,
    /// Whether the gates apply. They do not for the first revision, for one that was promoted within
    /// the rollback window, and when a person said so.
    pub gated: bool,
    /// Where it is.
    pub stage: Stage,
    /// The candidate's weight that we put, or are about to put, in force.
    pub weight: Weight,
    /// When it started.
    pub started_at: Time,
    /// When the candidate first got traffic.
    pub first_weight_at: Option<Time>,
    /// When the present weight was decided, or put back. Not kept in the status: losing it costs one
    /// settle time.
    pub weight_at: Time,
    /// Since when the present weight is proven to be in force.
    pub proven_at: Option<Time>,
    /// When it last came closer to its end.
    pub progressed_at: Time,
    /// Since when the present step has passed and only the next one's pods are missing; while somebody
    /// else is waited for, now. Not kept in the status either.
    pub passed_at: Option<Time>,
    /// The requests that the service is expected to have in the period of its error budget. Worked out
    /// once, so that the budget is the same to the end; `None` where there is no such limit, or the past
    /// traffic is not known yet.
    pub expected_requests: Option<u64>,
    /// The approval of the present step, once it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consent: Option<Consent>,
    /// Since when the candidate is ready. Not kept in the status: losing it costs one settle time.
    pub ready_since: Option<Time>,
}

impl Rollout {
    /// A rollout that is about to start.
    #[must_use]
    pub fn new(candidate: RevisionName, plan: Plan, gated: bool, now: Time) -> Self {
        Self {
            candidate,
            plan,
            gated,
            stage: Stage::Prepare,
            weight: Weight::ZERO,
            started_at: now,
            first_weight_at: None,
            weight_at: now,
            proven_at: None,
            progressed_at: now,
            passed_at: None,
            expected_requests: None,
            consent: None,
            ready_since: None,
        }
    }

    /// Whether the candidate passed every step, and all but the share of a holdback is its.
    #[must_use]
    pub fn is_holding_back(&self) -> bool {
        let holdback = self.plan.holdback();
        self.weight < Weight::WHOLE && holdback.is_some_and(|step| self.weight >= step.weight())
    }

    /// Its traffic was taken away: it has to earn all of it again.
    pub(crate) fn restart(&mut self, now: Time) {
        self.stage = Stage::Prepare;
        self.weight = Weight::ZERO;
        self.weight_at = now;
        self.proven_at = None;
        self.passed_at = None;
        self.consent = None;
        self.progressed_at = now;
    }
}

/// What became of the approval that a step asks for. It says what was told, and which time is not the
/// candidate's; whether a step is approved the Canary's spec alone tells.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Consent {
    /// It is waited for.
    Awaited {
        /// Since when.
        since: Time,
    },
    /// It was given.
    Given {
        /// When it was seen.
        at: Time,
    },
}

/// Where a rollout is.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Stage {
    /// The candidate gets its pods; it has no traffic.
    Prepare,
    /// The candidate has the weight of a step, counted from 0.
    Step(usize),
    /// The candidate passed: it gets its full size, then all traffic.
    Promote,
}

/// Where a Canary is, in one word.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub enum Phase {
    /// The first revision is on its way to take over from the target.
    Initializing,
    /// A candidate gets its pods, or something must be mended first.
    Waiting,
    /// A candidate has traffic and is judged.
    Progressing,
    /// The verdict is inconclusive, an approval is waited for, or clients go around the waypoint: the weight
    /// stays.
    Holding,
    /// The candidate passed and takes all traffic.
    Promoting,
    /// The backend that left keeps its pods for a while; or the Canary is being deleted.
    Finalising,
    /// The template in Git serves.
    Succeeded,
    /// The template in Git was rejected; the stable revision serves.
    Failed,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}
