//! Counters of every revision, and the reader that keeps samples of two of them.

use std::collections::BTreeMap;

use sluice_core::{Counts, Evidence, RevisionName, Sample, State, Tally, Time};

/// Requests a second, of all revisions together.
const RATE: f64 = 100.0;
/// Samples kept; beyond that every other one of the older half goes.
const KEPT: usize = 48;

/// What every revision has counted since it exists.
#[derive(Default)]
pub(crate) struct Meter {
    counters: BTreeMap<RevisionName, Counter>,
    stable: Option<RevisionName>,
}

#[derive(Clone, Copy, Default)]
struct Counter {
    requests: f64,
    bad: f64,
}

impl Meter {
    /// A revision answers `seconds` worth of the traffic.
    pub(crate) fn serve(&mut self, revision: &RevisionName, seconds: f64, errors: f64) {
        let requests = RATE * seconds;
        if let Some(counter) = self.counters.get_mut(revision) {
            counter.requests += requests;
            counter.bad += requests * errors;
        } else {
            let bad = requests * errors;
            self.counters
                .insert(revision.clone(), Counter { requests, bad });
        }
    }

    /// The reader turns to the rollout that the controller remembers.
    pub(crate) fn follow(&mut self, state: &State, evidence: &mut Evidence) {
        let candidate = state.rollout.as_ref().map(|rollout| &rollout.candidate);
        if evidence.candidate.as_ref() != candidate || self.stable != state.stable {
            evidence.candidate = candidate.cloned();
            evidence.samples.clear();
            evidence.callers.clear();
            self.stable.clone_from(&state.stable);
        }
    }

    pub(crate) fn sample(&self, now: Time, evidence: &mut Evidence) {
        let Some(candidate) = &evidence.candidate else {
            return;
        };
        if evidence.samples.last().is_some_and(|last| last.at == now) {
            return;
        }
        if evidence.samples.len() >= KEPT {
            let mut index = 0;
            evidence.samples.retain(|_| {
                index += 1;
                index % 2 == 1 || index > KEPT / 2
            });
        }
        evidence.samples.push(Sample {
            at: now,
            stable: self.counts(self.stable.as_ref()),
            candidate: self.counts(Some(candidate)),
        });
    }

    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    fn counts(&self, revision: Option<&RevisionName>) -> Counts {
        let counter = revision.and_then(|name| self.counters.get(name));
        let counter = counter.copied().unwrap_or_default();
        let (total, bad) = (counter.requests as u64, counter.bad as u64);
        let tally = Tally {
            good: total - bad,
            total,
        };
        Counts {
            unanswered: 0,
            requests: total,
            slos: vec![tally],
        }
    }
}
