//! What came of the rollouts, in numbers.

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;
use serde::Serialize;
use sluice_core::simulate::{End, figures};
use sluice_core::{Plan, Time};

use super::replay::{Run, Worse};
use crate::evidence::{History, Wanted};

/// The size of a regression, if it is of some kind.
type Extra = fn(&Worse) -> Option<f64>;

/// What part of the rollouts must have found a regression before it counts as found.
pub(super) const FOUND: f64 = 0.9;

/// All of it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report {
    /// Namespace and name.
    pub(super) service: String,
    pub(super) from: Time,
    pub(super) to: Time,
    pub(super) interval_seconds: i64,
    pub(super) readings: usize,
    /// Readings without data.
    pub(super) gaps: usize,
    pub(super) queries: usize,
    /// The names that requests were counted under.
    pub(super) counted_under: BTreeSet<String>,
    pub(super) requests: u64,
    pub(super) slos: Vec<Slo>,
    /// Those whose events are no requests, and cannot be split.
    pub(super) slos_left_out: Vec<String>,
    pub(super) starts: Starts,
    pub(super) innocent: Innocent,
    pub(super) regressions: Vec<Regression>,
}

/// An SLO over the whole history.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Slo {
    pub(super) name: String,
    pub(super) objective_ppm: Option<u32>,
    pub(super) good: u64,
    pub(super) total: u64,
}

/// How many rollouts were pretended.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Starts {
    pub(super) asked: usize,
    /// For want of data to begin with.
    pub(super) left_out: usize,
    pub(super) run: usize,
    /// So many of them, at most, have a part of the history of their own.
    pub(super) apart: usize,
    /// A rollout is followed for so long.
    pub(super) longest_seconds: i64,
}

/// What became of candidates that are like what served.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Innocent {
    /// False alarms.
    pub(super) failed: usize,
    /// Their share, at 95 %: lower and upper end.
    pub(super) interval: (f64, f64),
    /// The same, if only as many rollouts are counted as have a part of the history of their own.
    pub(super) interval_apart: (f64, f64),
    pub(super) promoted: usize,
    /// Seconds after the first requests until half, and 90 %, of all were promoted.
    pub(super) promoted_after: (Option<i64>, Option<i64>),
    /// Those that had not ended, by what they waited for.
    pub(super) held: BTreeMap<String, usize>,
    /// Those that were rejected though no SLO failed: evidence was missing for too long.
    pub(super) given_up: usize,
    /// Those in which a person was called for want of evidence.
    pub(super) called: usize,
}

/// One kind of regression.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Regression {
    /// `errors` or `slow`.
    pub(super) kind: &'static str,
    /// Seconds after the first requests.
    pub(super) within: Vec<i64>,
    pub(super) sizes: Vec<Size>,
    /// The smallest that is found within each of these times.
    pub(super) smallest: Vec<Option<f64>>,
}

/// A regression of one size.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Size {
    /// The share of good requests that turn bad.
    pub(super) extra: f64,
    /// The share of rollouts that failed within each of the times.
    pub(super) found: Vec<f64>,
    /// The share that was promoted.
    pub(super) promoted: f64,
}

impl Report {
    /// Without the regressions.
    pub(super) fn of(plan: &Plan, wanted: &Wanted, history: &History, runs: &[Run]) -> Self {
        let readings = &history.readings;
        let growth = || {
            readings
                .iter()
                .filter_map(|reading| reading.growth.as_ref())
        };
        let slos = plan.slos.iter().enumerate().map(|(index, slo)| Slo {
            name: slo.name.clone(),
            objective_ppm: slo.objective_ppm,
            good: growth().map(|counts| counts.slo(index).good).sum(),
            total: growth().map(|counts| counts.slo(index).total).sum(),
        });
        let at = |reading: Option<&crate::evidence::Reading>| reading.map(|reading| reading.at);
        Self {
            service: String::new(),
            from: at(readings.first()).unwrap_or(wanted.from),
            to: at(readings.last()).unwrap_or(wanted.to),
            interval_seconds: wanted.interval.num_seconds(),
            readings: readings.len(),
            gaps: readings.len() - growth().count(),
            queries: history.queries,
            counted_under: history.revisions.clone(),
            requests: growth().map(|counts| counts.requests).sum(),
            slos: slos.collect(),
            slos_left_out: Vec::new(),
            starts: Starts {
                run: runs.len(),
                apart: apart(runs),
                ..Starts::default()
            },
            innocent: innocent(runs),
            regressions: Vec::new(),
        }
    }

    /// Adds how soon regressions were found. Of times longer than a rollout is followed nothing can be said.
    pub(super) fn find(
        &mut self,
        worse: &[(Worse, Vec<Run>)],
        within: &[TimeDelta],
        longest: TimeDelta,
    ) {
        self.starts.longest_seconds = longest.num_seconds();
        let mut within: Vec<_> = within
            .iter()
            .copied()
            .filter(|time| *time <= longest)
            .collect();
        within.sort();
        if within.is_empty() {
            within.push(longest);
        }
        let kinds: [(&'static str, Extra); 2] = [
            ("errors", |worse| match worse {
                Worse::Errors(extra) => Some(*extra),
                _ => None,
            }),
            ("slow", |worse| match worse {
                Worse::Slow(extra) => Some(*extra),
                _ => None,
            }),
        ];
        for (kind, extra) in kinds {
            let of_kind = worse
                .iter()
                .filter_map(|(worse, runs)| Some((extra(worse)?, runs)));
            let sizes: Vec<_> = of_kind
                .map(|(extra, runs)| size(extra, runs, &within))
                .collect();
            if sizes.is_empty() {
                continue;
            }
            let smallest = (0..within.len()).map(|column| {
                // The smallest from which on all are found.
                let found =
                    |size: &&Size| size.found.get(column).is_some_and(|share| *share >= FOUND);
                let from = sizes.iter().rev().take_while(found).last();
                from.map(|size| size.extra)
            });
            self.regressions.push(Regression {
                kind,
                within: within.iter().map(TimeDelta::num_seconds).collect(),
                smallest: smallest.collect(),
                sizes,
            });
        }
    }
}

fn size(extra: f64, runs: &[Run], within: &[TimeDelta]) -> Size {
    let found = within.iter().map(|time| {
        let failed = runs.iter().filter(|run| run.end == Some(End::Failed));
        let in_time = failed.filter(|run| after(run).is_some_and(|after| after <= *time));
        figures::share(in_time.count(), runs.len())
    });
    let promoted = runs.iter().filter(|run| run.end == Some(End::Promoted));
    Size {
        extra,
        found: found.collect(),
        promoted: figures::share(promoted.count(), runs.len()),
    }
}

fn innocent(runs: &[Run]) -> Innocent {
    let ended = |end: End| runs.iter().filter(move |run| run.end == Some(end.clone()));
    let failed = ended(End::Failed).count();
    let share = figures::share(failed, runs.len());
    let mut times: Vec<_> = ended(End::Promoted)
        .filter_map(|run| Some(after(run)?.num_seconds()))
        .collect();
    times.sort_unstable();
    let within = |part| figures::within(&times, runs.len(), part);
    let mut held = BTreeMap::new();
    for run in runs.iter().filter(|run| run.end.is_none()) {
        let waiting = run
            .waiting
            .clone()
            .unwrap_or_else(|| "Progressing".to_owned());
        *held.entry(waiting).or_default() += 1;
    }
    Innocent {
        failed,
        interval: figures::interval(share, runs.len()),
        interval_apart: figures::interval(share, apart(runs)),
        promoted: ended(End::Promoted).count(),
        promoted_after: (within(0.5), within(0.9)),
        held,
        given_up: ended(End::GivenUp).count(),
        called: runs.iter().filter(|run| run.called).count(),
    }
}

/// How long the candidate had requests.
fn after(run: &Run) -> Option<TimeDelta> {
    Some(run.ended - run.exposed?)
}

/// How many of the rollouts share no part of the history, counted from the first one on.
fn apart(runs: &[Run]) -> usize {
    let mut sorted: Vec<_> = runs.iter().collect();
    sorted.sort_by_key(|run| run.ended);
    let (mut count, mut free) = (0, None);
    for run in sorted {
        if free.is_none_or(|free| run.started >= free) {
            count += 1;
            free = Some(run.ended);
        }
    }
    count
}
