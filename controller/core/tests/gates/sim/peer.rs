//! A rollout judged as other tools do it: every 10 seconds the candidate's share of bad requests over the last
//! minute is held against a threshold, and the second failure ends the rollout. It looks at Prometheus' samples,
//! which are 15 seconds apart, and not at the stable revision.
//!
//! Flagger counts a check without data as a failure, too (`ErrNoValuesFound`). That is left to a figure of its
//! own: here such a check is passed over, in its favour.

use super::traffic::{SCRAPE, Scene, Traffic};
use super::{STEP_SECONDS, STEPS};

/// Seconds between two checks.
const CHECK: f64 = 10.0;
/// The window of a query, in seconds.
const WINDOW: f64 = 60.0;
/// Failures that end a rollout.
const FAILURES: usize = 2;

/// Every check of one rollout: when, and the share of bad requests; `None` without data.
pub(crate) struct Checks(Vec<(f64, Option<f64>)>);

pub(crate) fn run(scene: Scene, seed: u64) -> Checks {
    let mut traffic = Traffic::new(scene, seed);
    let end = STEP_SECONDS * STEPS.len() as f64;
    // What was counted so far at each scrape.
    let mut samples = vec![(0.0, 0, 0)];
    let mut now = 0.0;
    while now < end {
        let to = if now == 0.0 {
            traffic.first
        } else {
            now + SCRAPE
        };
        let step = ((now / STEP_SECONDS) as usize).min(STEPS.len() - 1);
        let (candidate, _) = traffic.scrape(to, to - now, STEPS[step]);
        let &(_, total, bad) = samples.last().unwrap();
        samples.push((to, total + candidate.total, bad + candidate.bad()));
        now = to;
    }
    let count = (end / CHECK) as usize;
    let checks = (1..=count).map(|check| {
        let now = CHECK * check as f64;
        let last = samples.iter().rfind(|(at, ..)| *at <= now).unwrap();
        let first = samples.iter().rfind(|(at, ..)| *at <= now - WINDOW);
        let first = first.unwrap_or(&samples[0]);
        let (total, bad) = (last.1 - first.1, last.2 - first.2);
        (now, (total > 0).then(|| bad as f64 / total as f64))
    });
    Checks(checks.collect())
}

impl Checks {
    /// When the rollout fails, if a share above `allowed` is a failure.
    pub(crate) fn failed_at(&self, allowed: f64) -> Option<f64> {
        let mut failures = self
            .0
            .iter()
            .filter(|(_, share)| share.is_some_and(|share| share > allowed));
        failures.nth(FAILURES - 1).map(|(at, _)| *at)
    }

    /// Whether it fails if checks without data count.
    pub(crate) fn fails_strictly(&self, allowed: f64) -> bool {
        let failures = self
            .0
            .iter()
            .filter(|(_, share)| share.is_none_or(|share| share > allowed));
        failures.count() >= FAILURES
    }

    /// The largest threshold that fails it.
    pub(crate) fn limit(&self) -> f64 {
        let mut shares: Vec<f64> = self.0.iter().filter_map(|(_, share)| *share).collect();
        shares.sort_by(|a, b| b.total_cmp(a));
        shares.get(FAILURES - 1).copied().unwrap_or(0.0)
    }
}
