//! What was done and when, for those who judge: written by the actors.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::rules::GRACE_API;
use super::schedule::{Deed, Outage};
use super::version::Version;

/// What Sluice needs to start, at most, and to notice that the API server is away, or back.
const STARTING: Duration = Duration::from_secs(2);
const NOTICING: Duration = Duration::from_secs(4);
/// How soon after the API server's return the soak's watches know what was written before.
const LATE_NEWS: Duration = Duration::from_secs(3);
/// Sluice promises twice that after a long outage.
const LEAST_WAIT: Duration = Duration::from_secs(45);

/// The soak's clock and its log.
#[derive(Debug)]
pub(super) struct Journal {
    start: Instant,
    written: Mutex<Written>,
}

/// What was done so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Written {
    pub(super) outages: Vec<Span<Outage>>,
    pub(super) deeds: Vec<Done>,
    /// What could not be done, and why: a route to edit where there is none, and the like.
    pub(super) skipped: Vec<String>,
    /// What did not happen for so long that something is broken.
    pub(super) stuck: Vec<String>,
    /// What is Git's last version of each app.
    pub(super) pushed: BTreeMap<usize, Version>,
    /// Revisions that a person ordered to be promoted, or aborted.
    pub(super) forced: BTreeSet<String>,
    pub(super) aborted: BTreeSet<String>,
    /// When an app had no Canary, or one that was not yet adopted again.
    pub(super) absent: Vec<Span<usize>>,
}

/// Something that lasted; without an end it lasts on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span<T> {
    pub(super) what: T,
    pub(super) from: Duration,
    pub(super) to: Option<Duration>,
}

/// A deed that was done.
#[derive(Clone, Copy, Debug)]
pub(super) struct Done {
    pub(super) canary: usize,
    pub(super) deed: Deed,
    pub(super) at: Duration,
}

impl Journal {
    pub(super) fn new() -> Self {
        Self {
            start: Instant::now(),
            written: Mutex::default(),
        }
    }

    /// The time since the chaos began.
    pub(super) fn now(&self) -> Duration {
        self.start.elapsed()
    }

    /// A moment of the soak's clock.
    pub(super) fn moment(&self, at: Duration) -> Instant {
        self.start + at
    }

    pub(super) fn write(&self, change: impl FnOnce(&mut Written, Duration)) {
        let now = self.now();
        change(&mut self.written.lock(), now);
    }

    pub(super) fn read(&self) -> Written {
        self.written.lock().clone()
    }
}

impl Written {
    /// Ends the newest span of `what`.
    pub(super) fn end<T: PartialEq>(spans: &mut [Span<T>], what: &T, now: Duration) {
        let open = |span: &&mut Span<T>| span.what == *what && span.to.is_none();
        if let Some(span) = spans.iter_mut().rev().find(open) {
            span.to = Some(now);
        }
    }

    /// When something that all need did not work, and for `grace` afterwards.
    pub(super) fn outages(&self, grace: Duration) -> Vec<(Duration, Duration)> {
        let span = |span: &Span<Outage>| {
            let grace = match span.what {
                Outage::Api => grace.max(GRACE_API),
                Outage::Kill | Outage::Freeze | Outage::Metrics => grace,
            };
            (span.from, end(span.to, grace))
        };
        self.outages.iter().map(span).collect()
    }

    /// The beginning of the outage of the API server that the mesh may not have overcome at `at`.
    pub(super) fn mesh_behind_since(&self, at: Duration) -> Option<Duration> {
        let outages = self.outages.iter().filter(|span| span.what == Outage::Api);
        let behind = |span: &&Span<Outage>| span.from <= at && at < end(span.to, GRACE_API);
        outages.filter(behind).map(|span| span.from).min()
    }

    /// When the API server came back, if Sluice must still wait for the mesh at `at`. What it could not notice
    /// while it was down or frozen does not count.
    pub(super) fn mesh_surely_behind(&self, at: Duration) -> Option<Duration> {
        let lost = self
            .outages
            .iter()
            .filter(|span| matches!(span.what, Outage::Kill | Outage::Freeze))
            .map(|span| (span.from, end(span.to, STARTING)))
            .collect::<Vec<_>>();
        let outages = self.outages.iter().filter(|span| span.what == Outage::Api);
        let mut ended = outages.filter_map(|span| Some((span.from, span.to?)));
        let (_, back) = ended.find(|(from, to)| {
            let noticed = undisturbed(*from, *to, &lost).saturating_sub(NOTICING);
            let waits = LEAST_WAIT.min(2 * noticed);
            (*to + LATE_NEWS..*to + waits).contains(&at)
        })?;
        Some(back)
    }

    /// When a Canary was suspended or there was none, and for `grace` afterwards.
    pub(super) fn suspensions(&self, canary: usize, grace: Duration) -> Vec<(Duration, Duration)> {
        let absent = self.absent.iter().filter(|span| span.what == canary);
        let mut spans: Vec<_> = absent
            .map(|span| (span.from, end(span.to, grace)))
            .collect();
        let mut suspended = None;
        for done in self.deeds.iter().filter(|done| done.canary == canary) {
            match done.deed {
                Deed::Suspend => suspended = suspended.or(Some(done.at)),
                Deed::Resume => {
                    spans.extend(suspended.take().map(|from| (from, done.at + grace)));
                }
                _ => {}
            }
        }
        spans.extend(suspended.map(|from| (from, Duration::MAX)));
        spans
    }

    /// The size that somebody gave an app's Deployment twice in a row, if it was the same.
    pub(super) fn scaled_again(&self, canary: usize) -> Option<i32> {
        let mut sizes = self.deeds.iter().rev().filter_map(|done| match done.deed {
            Deed::ScaleTarget(pods) if done.canary == canary => Some(pods),
            _ => None,
        });
        let (last, before) = (sizes.next()?, sizes.next()?);
        i32::try_from(last).ok().filter(|_| last == before)
    }

    /// When anything other than Sluice kept an app's rollouts from going on as usual, and for `grace`
    /// afterwards.
    pub(super) fn disturbed(&self, canary: usize, grace: Duration) -> Vec<(Duration, Duration)> {
        let mut spans = self.outages(grace);
        spans.extend(self.suspensions(canary, grace));
        let deeds = self.deeds.iter().filter(|done| done.canary == canary);
        let other = deeds.filter(|done| !matches!(done.deed, Deed::Push(_)));
        spans.extend(other.map(|done| (done.at, done.at + grace)));
        spans
    }

    pub(super) fn count(&self, outage: Outage) -> usize {
        self.outages
            .iter()
            .filter(|span| span.what == outage)
            .count()
    }
}

fn end(to: Option<Duration>, grace: Duration) -> Duration {
    to.map_or(Duration::MAX, |to| to + grace)
}

/// The part of `from..to` in which no span lies.
pub(super) fn undisturbed(
    from: Duration,
    to: Duration,
    spans: &[(Duration, Duration)],
) -> Duration {
    let mut spans: Vec<_> = spans.iter().filter(|(a, b)| *b > from && *a < to).collect();
    spans.sort_unstable();
    let mut free = Duration::ZERO;
    let mut at = from;
    for (begin, end) in spans {
        free += begin.saturating_sub(at);
        at = at.max(*end);
    }
    free + to.saturating_sub(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_counted_once() {
        let s = Duration::from_secs;
        assert_eq!(undisturbed(s(10), s(20), &[]), s(10));
        let spans = [
            (s(14), s(16)),
            (s(0), s(11)),
            (s(15), s(17)),
            (s(19), s(40)),
        ];
        assert_eq!(undisturbed(s(10), s(20), &spans), s(3 + 2));
        assert_eq!(undisturbed(s(10), s(20), &[(s(0), Duration::MAX)]), s(0));
    }
}
