//! Counters of every revision, and the reader that keeps samples of two of them.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use sluice_core::{
    Counts, Evidence, Leaving, RevisionName, Sample, Sight, Span, State, Tally, Time, World,
};

/// Requests a second, of all revisions together.
const RATE: f64 = 100.0;
/// Samples kept; beyond that every other one of the older half goes.
const KEPT: usize = 48;

/// A missing reading is waited for so long: longer than a drain.
pub(crate) const PATIENCE: TimeDelta = TimeDelta::seconds(70);
/// What is read may be so old.
const AGE: TimeDelta = TimeDelta::seconds(5);

/// What every revision has counted since it exists.
#[derive(Default)]
pub(crate) struct Meter {
    counters: BTreeMap<RevisionName, Counter>,
    /// The requests of revisions that drain, as of the last reading.
    left: BTreeMap<RevisionName, (Time, f64)>,
    /// The revisions that drain.
    leaving: Vec<RevisionName>,
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

    /// The reader turns to the rollout, and to the revisions that drain, that the controller remembers.
    pub(crate) fn follow(&mut self, state: &State, world: &mut World) {
        let drains = |name: &RevisionName| state.left.contains_key(name);
        self.left.retain(|name, _| drains(name));
        if let Some(leaving) = &mut world.leaving {
            leaving.sights.retain(|name, _| drains(name));
        }
        self.leaving = state.left.keys().cloned().collect();
        let evidence = &mut world.evidence;
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

    /// Tells which of the revisions that drain were asked since the last reading.
    pub(crate) fn look_back(&mut self, now: Time, world: &mut World) {
        let Some(leaving) = &mut world.leaving else {
            return;
        };
        for name in &self.leaving {
            let requests = self
                .counters
                .get(name)
                .map_or(0.0, |counter| counter.requests);
            let before = self.left.insert(name.clone(), (now, requests));
            let Some((from, had)) = before.filter(|(from, _)| *from < now) else {
                continue;
            };
            let from = from - AGE;
            let read = Span { from, to: now };
            let before = leaving.sights.get(name).and_then(|sight| sight.asked);
            let asked = if requests > had { Some(read) } else { before };
            leaving.sights.insert(name.clone(), Sight { read, asked });
        }
    }

    /// The reader begins anew.
    pub(crate) fn forget(&mut self, world: &mut World, now: Time) {
        self.left.clear();
        world.leaving = Some(Leaving {
            since: now,
            patience: PATIENCE,
            sights: BTreeMap::new(),
        });
        world.evidence.samples.clear();
        world.evidence.callers.clear();
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
