//! Whether the gates can decide at all, told before a rollout starts.
//!
//! Two things can make gates worthless: requests so few that nothing passes before a person is called, and
//! requests so few that users, not the gate, find the regression. Both follow from the traffic of the past and
//! the plan. What a broken candidate would take is found by the trial that will judge it, fed with what it
//! would meet on average: half of the candidate's events bad, none of the stable revision's.

use std::fmt;

use chrono::TimeDelta;

use super::real::{count, whole_seconds};
use super::verdict::trials;
use super::{PastTraffic, Takes, Tally};
use crate::{Plan, Step, Weight};

/// No trial is followed for longer.
const MOST_SCRAPES: u32 = 2_000;

/// What the gates of a plan can do with some traffic.
#[derive(Clone, Debug, PartialEq)]
pub struct Power {
    traffic: PastTraffic,
    min_requests: u64,
    /// How long the first step waits for evidence before a person is called.
    patience: TimeDelta,
    /// Of each gated step.
    steps: Vec<StepPower>,
}

/// What the gates can do at one weight, if a rollout had it from the start.
#[derive(Clone, Copy, Debug, PartialEq)]
struct StepPower {
    weight: Weight,
    /// Until the candidate has had `minRequests`; `None` for longer than anybody waits.
    enough: Option<TimeDelta>,
    /// Until a candidate that fails half of its requests has failed every SLO.
    found: Option<TimeDelta>,
}

impl Power {
    /// With requests like those of the past, counted once in `scrape`. `None` where no step is gated.
    #[must_use]
    pub fn of(plan: &Plan, traffic: PastTraffic, scrape: TimeDelta) -> Option<Self> {
        // In a holdback nobody is called, and the candidate has long been used.
        let judges = |step: &&Step| step.is_gated() && !step.holdback;
        let gated = || plan.steps.iter().filter(judges);
        let first = gated().next()?;
        let per_second = traffic.per_second();
        let of_step = |step: &Step| {
            let weight = step.weight();
            StepPower {
                weight,
                enough: enough(plan.min_requests, per_second * weight.fraction()),
                found: found(plan, per_second, weight.fraction(), scrape),
            }
        };
        Some(Self {
            traffic,
            min_requests: plan.min_requests,
            patience: first.bake() + plan.inconclusive_after,
            steps: gated().map(of_step).collect(),
        })
    }

    /// Whether a good candidate passes the first gated step, and a broken one fails it, before a person is
    /// called. Later steps have more requests.
    #[must_use]
    pub fn is_effective(&self) -> bool {
        self.steps.first().is_some_and(|step| self.suffices(step))
    }

    fn suffices(&self, step: &StepPower) -> bool {
        let in_time = |takes: Option<TimeDelta>| takes.is_some_and(|takes| takes <= self.patience);
        in_time(step.enough) && in_time(step.found)
    }
}

fn enough(requests: u64, per_second: f64) -> Option<TimeDelta> {
    let seconds = count(requests) / per_second;
    seconds.is_finite().then(|| whole_seconds(seconds))?
}

fn found(plan: &Plan, per_second: f64, share: f64, scrape: TimeDelta) -> Option<TimeDelta> {
    let mut trials = trials(plan);
    let per_scrape = per_second * scrape.as_seconds_f64();
    // Whole events, as they come: a request every other scrape is none in one and one in the next.
    let events = |scrapes: u32, share: f64| floor(per_scrape * share * f64::from(scrapes));
    for scrape_number in 1..=MOST_SCRAPES {
        let new = |share| {
            let before = events(scrape_number - 1, share);
            events(scrape_number, share).saturating_sub(before)
        };
        let (total, good) = (new(share), new(share / 2.0));
        let others = new(1.0 - share);
        let (candidate, stable) = (
            Tally { good, total },
            Tally {
                good: others,
                total: others,
            },
        );
        for trial in &mut trials {
            trial.scrape(candidate, stable);
        }
        if trials.iter().all(super::trial::Trial::is_proven) {
            let scrapes = i32::try_from(scrape_number).ok()?;
            return scrape.checked_mul(scrapes);
        }
    }
    None
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "saturates, and is never negative"
)]
fn floor(events: f64) -> u64 {
    events as u64
}

impl fmt::Display for Power {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Some(first), min) = (self.steps.first(), self.min_requests) else {
            return Ok(());
        };
        if self.traffic.per_day == 0 {
            return write!(f, "there were no requests, without which no gate decides");
        }
        let (rate, weight) = (self.traffic, first.weight);
        write!(
            f,
            "at {rate}, {weight} needs {} to reach minRequests ({min}), and {} to fail a candidate of whose \
             requests half are bad",
            Takes(first.enough),
            Takes(first.found),
        )?;
        if self.suffices(first) {
            return Ok(());
        }
        let patience = Takes(Some(self.patience));
        write!(f, "; a rollout waits {patience}, then a person is called")?;
        if let Some(step) = self.steps.iter().skip(1).find(|step| self.suffices(step)) {
            let (enough, found) = (Takes(step.enough), Takes(step.found));
            write!(f, ". At {} it takes {enough} and {found}", step.weight)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
