//! What a candidate costs of its service's error budget.
//!
//! This caps damage and proves nothing: a candidate that is a little worse than it should be may take hours to
//! be proven so, and spends meanwhile what others need. So it is charged for the bad events that the stable
//! revision would not have had in its place: of a scrape `b - n B/N`. What hits both revisions costs nothing.
//! Where the stable revision takes no part in the traffic, what the objective allows stands for it.
//!
//! The charges are added up with their signs, for chance goes both ways, and only bad ones would charge a
//! healthy candidate for every bad event that it has. But nothing is saved up: the sum is never below 0, else
//! an hour in which the stable revision was the worse one would pay for what comes after it.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Tally;
use super::real::{count, ratio};
use super::traffic::second_digit;
use super::trial::{FADES, FEWEST_BAD, TAKES_PART};
use crate::{Indicator, Plan, Slo};

const MILLION: f64 = 1e6;

/// How much of the error budget a candidate has spent, and how much it may.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Spending {
    /// In parts per million of the whole budget.
    pub spent_ppm: u64,
    /// Likewise.
    pub allowed_ppm: u32,
}

/// As in "1.2% of 5%".
impl fmt::Display for Spending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.spent(), self.allowed())
    }
}

impl Spending {
    /// As in "1.2%", of two digits. Rounded down: what is allowed is not spent before it is.
    #[must_use]
    pub fn spent(&self) -> String {
        percent(self.spent_ppm - self.spent_ppm % second_digit(self.spent_ppm))
    }

    /// The part of the whole budget.
    #[must_use]
    pub fn ratio(&self) -> f64 {
        count(self.spent_ppm) / MILLION
    }

    /// As in "5%".
    #[must_use]
    pub fn allowed(&self) -> String {
        percent(self.allowed_ppm.into())
    }
}

/// The shortest text.
fn percent(ppm: u64) -> String {
    let (whole, rest) = (ppm / 10_000, ppm % 10_000);
    if rest == 0 {
        return format!("{whole}%");
    }
    let decimals = format!("{rest:04}");
    format!("{whole}.{}%", decimals.trim_end_matches('0'))
}

/// How many bad events a release may cost in each SLO that has a budget, by the SLO's name, if the service is
/// to have so many requests in the budget's period.
#[must_use]
pub fn limits(plan: &Plan, expected: u64) -> Vec<(String, u64)> {
    let slos = plan.slos.iter();
    let limits = slos.filter_map(|slo| Some((slo, Bill::of(plan, slo, Some(expected))?)));
    limits
        .map(|(slo, bill)| (slo.name.clone(), bill.limit()))
        .collect()
}

/// What one candidate owes in one SLO.
#[derive(Clone, Debug)]
pub(super) struct Bill {
    /// The share of events that the objective allows to be bad.
    allowed: f64,
    /// Bad events that the whole budget has room for.
    budget: f64,
    per_release_ppm: u32,
    /// Bad events that are charged.
    cost: f64,
    /// Events of the candidate that there was nothing to compare with yet.
    open: Tally,
    /// Events of the candidate and of the stable revision in the last few scrapes.
    recent: (f64, f64),
    bad: u64,
    spent: bool,
}

impl Bill {
    /// Nothing is charged yet. `None` where there is no limit, or none can be told: past traffic is counted in
    /// requests, so other events have no budget.
    pub(super) fn of(plan: &Plan, slo: &Slo, expected: Option<u64>) -> Option<Self> {
        let limit = plan.error_budget?;
        match slo.indicator {
            Indicator::Availability | Indicator::Latency { .. } => {}
            Indicator::Events | Indicator::Value | Indicator::Connections | Indicator::Flows => {
                return None;
            }
        }
        let allowed = f64::from(1_000_000_u32.saturating_sub(slo.objective_ppm?)) / MILLION;
        Some(Self {
            allowed,
            budget: allowed * count(expected?),
            per_release_ppm: limit.per_release_ppm,
            cost: 0.0,
            open: Tally::default(),
            recent: (0.0, 0.0),
            bad: 0,
            spent: false,
        })
    }

    /// The events of one more scrape.
    pub(super) fn scrape(&mut self, candidate: Tally, stable: Tally) {
        let (before, others_before) = self.recent;
        self.recent = (
            count(candidate.total) + before * FADES,
            count(stable.total) + others_before * FADES,
        );
        self.open = self.open.and(candidate);
        self.bad = self.bad.saturating_add(candidate.bad());
        let like = if self.recent.1 < self.recent.0 * TAKES_PART {
            self.allowed
        } else if stable.total > 0 {
            ratio(stable.bad(), stable.total)
        } else {
            return;
        };
        let charge = count(self.open.bad()) - count(self.open.total) * like;
        self.cost = (self.cost + charge).max(0.0);
        self.open = Tally::default();
        self.spent |= self.bad >= FEWEST_BAD && self.cost >= self.most();
    }

    /// Whether it was as much as a release may cost after any scrape.
    pub(super) fn is_spent(&self) -> bool {
        self.spent
    }

    pub(super) fn spending(&self) -> Spending {
        Spending {
            spent_ppm: parts(self.cost, self.budget),
            allowed_ppm: self.per_release_ppm,
        }
    }

    /// Bad events that a release may cost.
    fn most(&self) -> f64 {
        self.budget * f64::from(self.per_release_ppm) / MILLION
    }

    /// The same in whole events, and no fewer than stop it at all.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "saturates, and is never negative"
    )]
    fn limit(&self) -> u64 {
        (self.most().ceil() as u64).max(FEWEST_BAD)
    }
}

/// A part of a whole in parts per million, rounded down; all of nothing is more than anybody may spend.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "saturates, and is never negative"
)]
fn parts(cost: f64, budget: f64) -> u64 {
    if cost == 0.0 {
        return 0;
    }
    (cost / budget * MILLION) as u64
}

#[cfg(test)]
mod tests;
