//! What the metrics say of a candidate, and what follows from it.
//!
//! Indicators are ratios of good events to all events, read from counters. [`window`] takes the events
//! between two scrapes out of them, [`verdict`] judges the candidate by them: [`trial`] and [`wealth`] prove a
//! regression, `doubt` withholds a pass. [`share`] tells whether the traffic is split as the route says,
//! [`budget`] what the candidate costs, and [`power`], before a rollout, whether the gates will have enough to go by.

pub mod budget;
mod doubt;
mod exhibit;
pub mod explain;
pub mod power;
mod real;
pub mod share;
mod takes;
mod timeline;
pub mod traffic;
pub mod trial;
pub mod verdict;
pub mod wealth;
pub mod why;
pub mod window;

use std::collections::BTreeMap;

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

pub use budget::Spending;
pub use exhibit::{Exhibit, Grounds, Opinion};
pub use takes::Takes;
pub use timeline::Timeline;
pub use traffic::PastTraffic;
pub use trial::Against;
pub use verdict::{Finding, Silence, Since, Verdict, judge};
pub use why::{Lack, Why};
pub use window::Window;

use crate::{RevisionName, Time, Weight};

/// From this share of the requests on the stable revision is always compared with. With half of it, it is not:
/// then an SLO without an objective never passes, and the objective alone decides on others.
pub const COMPARED_FROM: Weight = Weight::from_percent(10);

/// Counters of a rollout over time. Each sample is cumulative since the reader started to count.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Evidence {
    /// Whose counters these are.
    pub candidate: Option<RevisionName>,
    /// In order of time. The oldest may have been thinned out.
    pub samples: Vec<Sample>,
    /// A sample holds every event up to its time, and perhaps some of so much time after it: the scrape
    /// that it was read from is that much younger at most.
    pub lag: TimeDelta,
    /// Without a sample for so long, nothing passes.
    pub stale_after: TimeDelta,
    /// Why there are no samples, verbatim from the source.
    pub problem: Option<String>,
    /// Why an SLO was not counted at the last sample though others were, by the SLO's name: its own query,
    /// or the source of its connections, gave no number that can be used.
    pub gaps: BTreeMap<String, String>,
    /// Who connected to the candidate's pods himself, past the waypoint and its weights, since the
    /// rollout is watched.
    pub callers: Vec<Caller>,
    /// A person accepted that some requests go around the weights. They are counted like all others.
    #[serde(default)]
    pub around_waived: bool,
}

/// A workload that connects to pods past the waypoint.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Caller {
    /// Its name, for a person.
    pub name: String,
    /// When a new connection of it was last seen.
    pub last_at: Time,
}

/// The counters at one scrape.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Sample {
    /// When the source was read.
    pub at: Time,
    /// Of the stable revision.
    pub stable: Counts,
    /// Of the candidate.
    pub candidate: Counts,
}

/// The counters of one revision.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Counts {
    /// All requests that the route sent to it.
    pub requests: u64,
    /// Those that ended without an answer: the client gave up, or the backend did.
    pub unanswered: u64,
    /// One tally for every SLO of the plan, in its order.
    pub slos: Vec<Tally>,
}

/// Good events out of all events.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Tally {
    /// Good events.
    pub good: u64,
    /// All events.
    pub total: u64,
}

impl Tally {
    /// Events that were not good.
    #[must_use]
    pub fn bad(self) -> u64 {
        self.total.saturating_sub(self.good)
    }

    /// The share of good events in parts per million; `None` when there were no events.
    #[must_use]
    pub fn good_ppm(self) -> Option<u32> {
        let ppm = u128::from(self.good.min(self.total)) * 1_000_000;
        u32::try_from(ppm.checked_div(u128::from(self.total))?).ok()
    }

    fn and(self, other: Self) -> Self {
        Self {
            good: self.good.saturating_add(other.good),
            total: self.total.saturating_add(other.total),
        }
    }

    /// The events since an earlier reading.
    #[must_use]
    pub fn since(self, base: Self) -> Self {
        Self {
            good: self.good.saturating_sub(base.good),
            total: self.total.saturating_sub(base.total),
        }
    }
}

impl Counts {
    /// These and more.
    pub(crate) fn and(&self, more: &Self) -> Self {
        let slos = self.slos.iter().enumerate();
        Self {
            requests: self.requests.saturating_add(more.requests),
            unanswered: self.unanswered.saturating_add(more.unanswered),
            slos: slos.map(|(i, slo)| slo.and(more.slo(i))).collect(),
        }
    }

    /// The events since an earlier reading.
    #[must_use]
    pub fn since(&self, base: &Self) -> Self {
        let base_of = |index: usize| base.slos.get(index).copied().unwrap_or_default();
        let slos = self
            .slos
            .iter()
            .enumerate()
            .map(|(i, tally)| tally.since(base_of(i)));
        Self {
            requests: self.requests.saturating_sub(base.requests),
            unanswered: self.unanswered.saturating_sub(base.unanswered),
            slos: slos.collect(),
        }
    }

    /// Answered requests out of all.
    #[must_use]
    pub fn answers(&self) -> Tally {
        Tally {
            good: self.requests.saturating_sub(self.unanswered),
            total: self.requests,
        }
    }

    /// The tally of one SLO; zero where the source had none.
    #[must_use]
    pub fn slo(&self, index: usize) -> Tally {
        self.slos.get(index).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
