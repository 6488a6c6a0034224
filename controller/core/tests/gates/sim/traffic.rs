//! Requests of two revisions, and which of them are bad.

use sluice_core::Tally;
use sluice_core::random::Random;

/// Seconds between two scrapes.
pub(crate) const SCRAPE: f64 = 15.0;
/// The share of bad requests of a healthy revision. It is all that the objective of 99.9 % allows: nowhere is a
/// false alarm more likely.
pub(crate) const BASELINE: f64 = 0.001;
/// How much the requests of a scrape hang together in a burst: mostly none is bad, now and then many are.
const TOGETHER: f64 = 0.05;
/// In an incident so many requests fail, of both revisions...
const INCIDENT: f64 = 0.3;
/// ...for so many seconds.
const INCIDENT_SECONDS: f64 = 120.0;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Errors {
    /// Each request fails for itself.
    Independent,
    /// In each scrape and revision a share of its own, beta-distributed.
    Bursty,
    /// Independent, and for two minutes something that both revisions need is down.
    Incident,
}

/// What a release meets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scene {
    /// Requests a second, of both revisions.
    pub(crate) rate: u32,
    pub(crate) errors: Errors,
    /// The candidate has so many times the errors of the stable revision.
    pub(crate) factor: f64,
}

/// One rollout's traffic.
pub(crate) struct Traffic {
    scene: Scene,
    random: Random,
    /// When the first scrape is, from the first weight on.
    pub(crate) first: f64,
    incident: f64,
}

impl Traffic {
    pub(crate) fn new(scene: Scene, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let first = SCRAPE * (1.0 - random.uniform());
        let incident = 180.0 * random.uniform();
        Self {
            scene,
            random,
            first,
            incident,
        }
    }

    /// The events of the candidate and of the stable revision in the `seconds` up to `until`.
    pub(crate) fn scrape(&mut self, until: f64, seconds: f64, weight: f64) -> (Tally, Tally) {
        let all = f64::from(self.scene.rate) * seconds;
        let candidate = self.random.poisson(all * weight);
        let stable = self.random.poisson(all * (1.0 - weight));
        let incident = self.scene.errors == Errors::Incident
            && (self.incident..self.incident + INCIDENT_SECONDS).contains(&until);
        let down = if incident { INCIDENT } else { 0.0 };
        let worse = (BASELINE * self.scene.factor).min(1.0);
        (
            self.tally(candidate, worse.max(down)),
            self.tally(stable, BASELINE.max(down)),
        )
    }

    fn tally(&mut self, total: u64, share: f64) -> Tally {
        let share = match self.scene.errors {
            Errors::Bursty => self.random.beta(share, TOGETHER),
            Errors::Independent | Errors::Incident => share,
        };
        let bad = self.random.binomial(total, share);
        Tally {
            good: total - bad,
            total,
        }
    }
}
