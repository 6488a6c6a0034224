//! The events between two scrapes.

use super::real::count;
use crate::Time;
use crate::evidence::{Counts, Evidence, Sample};

/// The events of both revisions over the same scrapes.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Window {
    /// Of the stable revision.
    pub stable: Counts,
    /// Of the candidate.
    pub candidate: Counts,
    /// When the last scrape was; `None` when there was none.
    pub until: Option<Time>,
}

impl Evidence {
    /// Every event since `since`, and perhaps some of the scrape interval before it. For failing: a
    /// bad event must not be lost between two scrapes.
    #[must_use]
    pub fn at_least_since(&self, since: Time) -> Window {
        let since = since - self.lag;
        let before = self.samples.iter().rev().find(|sample| sample.at <= since);
        self.from(before.or_else(|| self.samples.first()))
    }

    /// The same events scrape by scrape. Where samples were thinned out, several scrapes are one: as a bet it
    /// is as bounded as any other.
    pub(super) fn scrapes_at_least_since(&self, since: Time) -> Vec<Window> {
        let since = since - self.lag;
        let base = self.samples.iter().rposition(|sample| sample.at <= since);
        self.scrapes(base.unwrap_or(0))
    }

    /// The events of [`Evidence::only_since`], scrape by scrape.
    pub(super) fn scrapes_only_since(&self, since: Time) -> Vec<Window> {
        let base = self.samples.iter().position(|sample| sample.at >= since);
        self.scrapes(base.unwrap_or(self.samples.len()))
    }

    fn scrapes(&self, base: usize) -> Vec<Window> {
        let samples = self.samples.get(base..).unwrap_or_default();
        let pairs = samples.windows(2).filter_map(|pair| match pair {
            [base, last] => Some(last.after(base)),
            _ => None,
        });
        pairs.collect()
    }

    /// Only events after `since`. For passing: an event from before must not count.
    #[must_use]
    pub fn only_since(&self, since: Time) -> Window {
        self.from(self.samples.iter().find(|sample| sample.at >= since))
    }

    /// The last few scrapes, none of them before `since`.
    #[must_use]
    pub fn latest_since(&self, since: Time, scrapes: usize) -> Window {
        let start = self.samples.len().saturating_sub(scrapes.saturating_add(1));
        let recent = self.samples.get(start..).unwrap_or_default();
        self.from(recent.iter().find(|sample| sample.at >= since))
    }

    /// Requests of the candidate in a second, after `since`; `None` as long as there was none.
    pub(super) fn pace_since(&self, since: Time) -> Option<f64> {
        let base = self.samples.iter().find(|sample| sample.at >= since)?;
        let last = self.samples.last()?;
        let seconds = (last.at - base.at).as_seconds_f64();
        let requests = last.after(base).candidate.requests;
        (requests > 0 && seconds > 0.0).then(|| count(requests) / seconds)
    }

    /// Whether the source fell silent.
    #[must_use]
    pub fn is_stale(&self, now: Time) -> bool {
        self.samples
            .last()
            .is_none_or(|last| now - last.at > self.stale_after)
    }

    /// Whether the source was asked at all. For a moment after a start it was not: silence proves nothing.
    #[must_use]
    pub fn was_read(&self) -> bool {
        !self.samples.is_empty() || self.problem.is_some()
    }

    fn from(&self, base: Option<&Sample>) -> Window {
        let (Some(base), Some(last)) = (base, self.samples.last()) else {
            return Window::default();
        };
        last.after(base)
    }
}

impl Sample {
    /// The events since an earlier sample.
    fn after(&self, base: &Self) -> Window {
        Window {
            stable: self.stable.since(&base.stable),
            candidate: self.candidate.since(&base.candidate),
            until: Some(self.at),
        }
    }
}
