//! What the route may say: whole, step by step, and to nobody without pods.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Case, Violation};
use crate::soak::journal::Written;
use crate::soak::rules::{BAKE, MIN_REQUESTS, STEPS};
use crate::soak::schedule::{Outage, name};
use crate::soak::version::{is_bad, name_of};
use crate::soak::watchers::{Routed, Seen, Split};

/// Watches of different kinds are not in step by so much.
const MARGIN: Duration = Duration::from_secs(2);
/// What is seen of a write comes later than the write by up to this.
const LATE: Duration = Duration::from_secs(1);
/// After an outage of the API server all that is seen may be late by more.
const AFTER_OUTAGE: Duration = Duration::from_secs(20);

/// Follows the writes of Sluice to one route.
struct Follower<'a> {
    case: &'a Case<'a>,
    canary: usize,
    /// Shares in percent as Sluice wrote them last.
    shares: BTreeMap<String, f64>,
    /// Since when each revision has its share, without an edit by hand.
    since: BTreeMap<String, Duration>,
    /// Since when each revision has any share. Who deletes the route takes it away for a moment, and nothing that was
    /// counted.
    first: BTreeMap<String, Duration>,
    /// Somebody deleted the route, and its candidate may come back.
    deleted: bool,
    /// Revisions that had everything, and since when.
    promoted: BTreeMap<String, Duration>,
    violations: Vec<Violation>,
}

pub(super) fn judge(case: &Case<'_>, canary: usize) -> Vec<Violation> {
    let mut follower = Follower {
        case,
        canary,
        shares: BTreeMap::new(),
        since: BTreeMap::new(),
        first: BTreeMap::new(),
        deleted: false,
        promoted: BTreeMap::new(),
        violations: Vec::new(),
    };
    for routed in case.seen.routes.get(&name(canary)).into_iter().flatten() {
        follower.follow(routed);
    }
    follower.violations
}

impl Follower<'_> {
    fn follow(&mut self, routed: &Routed) {
        match &routed.split {
            Split::Gone if is_absent(self.case.written, self.canary, routed.at) => {
                // Handed back to Git's own pods: the next one is the first again.
                self.shares.clear();
                self.since.clear();
                self.first.clear();
                self.promoted.clear();
            }
            Split::Weights(weights) if !routed.by_hand => {
                self.whole(weights, routed.at);
                let shares: BTreeMap<String, f64> = weights
                    .keys()
                    .filter_map(|revision| Some((revision.clone(), routed.split.share(revision)?)))
                    .collect();
                for (revision, share) in &shares {
                    self.grows(revision, *share, routed.at);
                }
                self.note(shares, routed.at);
            }
            // Somebody else's doing.
            Split::Gone => self.deleted = true,
            Split::Weights(_) => {}
        }
    }

    fn whole(&mut self, weights: &BTreeMap<String, u64>, at: Duration) {
        let whole: u64 = weights.values().sum();
        if ![100, 1_000, 10_000, 100_000, 1_000_000].contains(&whole) {
            self.breach(at, format!("the weights sum to {whole}: {weights:?}"));
        }
        if weights.len() > 2 {
            self.breach(at, format!("more than two backends: {weights:?}"));
        }
    }

    fn grows(&mut self, revision: &str, share: f64, at: Duration) {
        let before = self.shares.get(revision).copied().unwrap_or_default();
        if share <= before + 0.001 {
            return;
        }
        let seen = self.case.seen;
        if !seen.had_pods(revision, at, MARGIN) {
            self.breach(
                at,
                format!("{revision} has no ready pod and gets {share} %"),
            );
        }
        let tag = seen
            .tags
            .get(revision)
            .map(String::as_str)
            .unwrap_or_default();
        let forced = self.case.written.forced.contains(revision);
        if share > 99.99 && is_bad(tag) && !forced {
            self.breach(at, format!("{revision}, which is {tag}, gets everything"));
        }
        if forced || self.shares.is_empty() || self.may_return(revision, at) {
            return;
        }
        if let Some(back) = self.case.written.mesh_surely_behind(at) {
            let after = at.saturating_sub(back);
            self.breach(
                at,
                format!("{revision} gets {share} %, {after:.1?} after the API server is back"),
            );
        }
        let mut steps = STEPS.into_iter().map(f64::from).chain([100.0]);
        let next = steps.find(|step| *step > before + 0.001).unwrap_or(100.0);
        if share > next + 0.001 {
            self.breach(
                at,
                format!("{revision} goes from {before} % to {share} %, past {next} %"),
            );
        }
        if before > 0.0 {
            self.earned(revision, tag, share, at);
        }
    }

    /// It was promoted before, and its snapshot still says so.
    fn may_return(&self, revision: &str, at: Duration) -> bool {
        let promoted = self.promoted.get(revision);
        promoted.is_some_and(|since| !self.case.seen.was_forgotten(revision, *since, at))
    }

    /// The step was baked, and users really asked the candidate often enough.
    fn earned(&mut self, revision: &str, tag: &str, share: f64, at: Duration) {
        let since = self.since.get(revision).copied().unwrap_or(at);
        let baked = at.saturating_sub(since);
        let after_outage = self.case.written.outages.iter().any(|span| {
            let end = span.to.unwrap_or(Duration::MAX);
            span.what == Outage::Api && span.from < at && since < end.saturating_add(AFTER_OUTAGE)
        });
        if baked + LATE < BAKE && !after_outage {
            self.breach(
                at,
                format!("{revision} gets {share} % after {baked:.1?}, {BAKE:?} are due"),
            );
        }
        let stable = self.shares.keys().filter(|other| *other != revision);
        let tag_of = |other: &String| self.case.seen.tags.get(other).map(String::as_str);
        if stable.filter_map(tag_of).any(|other| other == tag) {
            // Only the configuration differs: answers do not tell which of the two it was.
            return;
        }
        let first = self.first.get(revision).copied().unwrap_or_default();
        let answers = self.case.answers.get(self.canary);
        let asked = answers.map_or(0, |answers| answers.of(name_of(tag), first, at));
        if asked < MIN_REQUESTS {
            self.breach(
                at,
                format!("{revision} gets {share} % after {asked} requests"),
            );
        }
    }

    fn note(&mut self, shares: BTreeMap<String, f64>, at: Duration) {
        self.since.clear();
        for (revision, share) in &shares {
            self.since.insert(revision.clone(), at);
            self.first.entry(revision.clone()).or_insert(at);
            if *share > 99.99 {
                self.promoted.insert(revision.clone(), at);
            }
        }
        self.deleted &= shares.len() == 1;
        if !self.deleted {
            self.first
                .retain(|revision, _| shares.contains_key(revision));
        }
        self.shares = shares;
    }

    fn breach(&mut self, at: Duration, what: String) {
        self.violations.push(Violation {
            at,
            who: name(self.canary),
            what,
        });
    }
}

fn is_absent(written: &Written, canary: usize, at: Duration) -> bool {
    let mut spans = written.absent.iter().filter(|span| span.what == canary);
    spans.any(|span| span.from <= at && span.to.is_none_or(|to| at <= to))
}

/// How long a change of a route by hand stood.
#[derive(Clone, Copy, Debug)]
pub(in crate::soak) struct PutBack {
    pub(in crate::soak) canary: usize,
    pub(in crate::soak) from: Duration,
    /// `None` if it still stands.
    pub(in crate::soak) to: Option<Duration>,
}

/// Every change by hand of an app's route.
pub(in crate::soak) fn put_backs(seen: &Seen, written: &Written, canary: usize) -> Vec<PutBack> {
    let mut found: Vec<PutBack> = Vec::new();
    let mut open: Option<Duration> = None;
    for routed in seen.routes.get(&name(canary)).into_iter().flatten() {
        let absent = is_absent(written, canary, routed.at);
        let changed = routed.by_hand || (routed.split == Split::Gone && !absent);
        match (changed, open) {
            (true, None) if !absent => open = Some(routed.at),
            (false, Some(from)) => {
                let to = Some(routed.at);
                found.push(PutBack { canary, from, to });
                open = None;
            }
            _ => {}
        }
    }
    found.extend(open.map(|from| PutBack {
        canary,
        from,
        to: None,
    }));
    found
}
