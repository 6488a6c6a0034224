//! What the watches saw, oldest first.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use sluice_crds::HistoryEntry;

/// What was seen.
#[derive(Clone, Debug, Default)]
pub(in crate::soak) struct Seen {
    /// By Canary, one entry for each change of the weights.
    pub(in crate::soak) routes: BTreeMap<String, Vec<Routed>>,
    /// The image tag of every revision that there ever was.
    pub(in crate::soak) tags: BTreeMap<String, String>,
    /// Revisions whose snapshot was removed, and when: nothing is known of them any more.
    pub(in crate::soak) forgotten: Vec<(String, Duration)>,
    /// By revision: how many of its pods were ready, from when on.
    pub(in crate::soak) ready: BTreeMap<String, Vec<(Duration, usize)>>,
    /// Rollouts that ended, as the status told.
    pub(in crate::soak) history: BTreeMap<String, Vec<HistoryEntry>>,
    ready_pods: BTreeMap<String, BTreeSet<String>>,
}

/// What a route says from a moment on.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::soak) struct Routed {
    pub(in crate::soak) at: Duration,
    pub(in crate::soak) canary: String,
    pub(in crate::soak) split: Split,
    /// Somebody else than Sluice wrote it so.
    pub(in crate::soak) by_hand: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub(in crate::soak) enum Split {
    /// The weights of the first rule, as they are written.
    Weights(BTreeMap<String, u64>),
    /// There is no route.
    Gone,
}

impl Split {
    /// The share of a revision, in percent; without a route, nobody knows.
    pub(in crate::soak) fn share(&self, revision: &str) -> Option<f64> {
        let Self::Weights(weights) = self else {
            return None;
        };
        let whole: u64 = weights.values().sum();
        let weight = weights.get(revision).copied().unwrap_or_default();
        Some(ratio(weight, whole) * 100.0)
    }
}

/// Far below 2^52, where numbers lose their last digit.
#[expect(clippy::cast_precision_loss, reason = "counts and weights are small")]
pub(in crate::soak) fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        0.0
    } else {
        part as f64 / whole as f64
    }
}

impl Seen {
    pub(super) fn routed(&mut self, routed: Routed) {
        let of_canary = self.routes.entry(routed.canary.clone()).or_default();
        let same = |last: &Routed| last.split == routed.split && last.by_hand == routed.by_hand;
        if !of_canary.last().is_some_and(same) {
            of_canary.push(routed);
        }
    }

    pub(super) fn readiness(&mut self, revision: &str, pod: &str, ready: bool, at: Duration) {
        let pods = self.ready_pods.entry(revision.to_owned()).or_default();
        let changed = if ready {
            pods.insert(pod.to_owned())
        } else {
            pods.remove(pod)
        };
        if changed {
            let count = pods.len();
            self.ready
                .entry(revision.to_owned())
                .or_default()
                .push((at, count));
        }
    }

    pub(super) fn ended(&mut self, canary: &str, entry: HistoryEntry) {
        let entries = self.history.entry(canary.to_owned()).or_default();
        let known = |other: &HistoryEntry| {
            (&other.revision, other.outcome, other.at) == (&entry.revision, entry.outcome, entry.at)
        };
        if !entries.iter().any(known) {
            entries.push(entry);
        }
    }

    /// Whether a revision had a ready pod at any time within `margin` of `at`: watches of different
    /// kinds are not in step.
    pub(in crate::soak) fn had_pods(&self, revision: &str, at: Duration, margin: Duration) -> bool {
        let Some(changes) = self.ready.get(revision) else {
            return false;
        };
        let (from, to) = (at.saturating_sub(margin), at + margin);
        let before = changes.iter().rev().find(|(when, _)| *when <= from);
        let within = changes
            .iter()
            .filter(|(when, _)| (from..=to).contains(when));
        before
            .into_iter()
            .chain(within)
            .any(|(_, ready)| *ready > 0)
    }

    /// Whether the snapshot of a revision was removed after `since` and before `until`.
    pub(in crate::soak) fn was_forgotten(
        &self,
        revision: &str,
        since: Duration,
        until: Duration,
    ) -> bool {
        let mut forgotten = self.forgotten.iter();
        forgotten.any(|(name, at)| name == revision && (since..until).contains(at))
    }
}
