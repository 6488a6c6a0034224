//! The events between two scrapes.

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
        Window {
            stable: last.stable.since(&base.stable),
            candidate: last.candidate.since(&base.candidate),
            until: Some(last.at),
        }
    }
}
