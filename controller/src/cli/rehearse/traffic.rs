//! Requests, drawn at random, and what the metrics count of them.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use sluice_core::simulate::Random;
use sluice_core::{Counts, RevisionName, Tally, Weight};

/// How the events of an SLO come about.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source {
    /// One in so much time; none for one a request.
    pub(super) window: Option<TimeDelta>,
    /// The share of the candidate's events that are bad.
    pub(super) candidate: f64,
    /// That of any other revision's.
    pub(super) others: f64,
}

/// All requests so far.
#[derive(Debug)]
pub(super) struct Traffic {
    random: Random,
    per_second: f64,
    sources: Vec<Source>,
    counts: BTreeMap<RevisionName, Counts>,
    /// How long it has gone on.
    since: TimeDelta,
}

impl Traffic {
    pub(super) fn new(seed: u64, per_second: f64, sources: Vec<Source>) -> Self {
        Self {
            random: Random::new(seed),
            per_second,
            sources,
            counts: BTreeMap::new(),
            since: TimeDelta::zero(),
        }
    }

    /// The requests of some time, split by the weights that are in force.
    pub(super) fn go_on(
        &mut self,
        time: TimeDelta,
        weights: &BTreeMap<RevisionName, Weight>,
        candidate: &RevisionName,
    ) {
        let before = self.since;
        self.since += time;
        for (revision, weight) in weights {
            let mean = self.per_second * time.as_seconds_f64() * weight.fraction();
            let requests = self.random.poisson(mean);
            let counts = self.counts.entry(revision.clone()).or_default();
            counts.requests += requests;
            counts.slos.resize(self.sources.len(), Tally::default());
            for (tally, source) in counts.slos.iter_mut().zip(&self.sources) {
                let events = match source.window {
                    None => requests,
                    Some(window) => windows(self.since, window) - windows(before, window),
                };
                let share = if revision == candidate {
                    source.candidate
                } else {
                    source.others
                };
                let bad = self.random.binomial(events, share);
                tally.total += events;
                tally.good += events - bad;
            }
        }
    }

    /// What was counted of a revision so far.
    pub(super) fn counts(&self, revision: Option<&RevisionName>) -> Counts {
        let counts = revision.and_then(|name| self.counts.get(name)).cloned();
        counts.unwrap_or_else(|| Counts {
            slos: vec![Tally::default(); self.sources.len()],
            ..Counts::default()
        })
    }
}

/// Windows that are over.
fn windows(since: TimeDelta, window: TimeDelta) -> u64 {
    let over = since
        .num_milliseconds()
        .checked_div(window.num_milliseconds());
    over.and_then(|over| u64::try_from(over).ok())
        .unwrap_or_default()
}
