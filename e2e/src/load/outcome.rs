//! How requests end, and how many of them ended how.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use super::stats::{self, Interval};

/// Failures that are kept in words, of each outcome; more of the same teach nothing.
const WORDS_KEPT: usize = 4;
/// Bytes of a failure's words.
const WORDS_LENGTH: usize = 200;

/// How one request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// Answered with this status code.
    Status(u16),
    /// No connection or no tunnel.
    Connect,
    /// The connection ended before the whole answer was there.
    Reset,
    /// No answer within the time limit.
    Timeout,
}

impl Outcome {
    /// Whether a user would see an error: anything but 2xx and 3xx.
    #[must_use]
    pub fn is_failure(self) -> bool {
        !matches!(self, Self::Status(200..=399))
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(code) => write!(f, "{code}"),
            Self::Connect => f.write_str("connect"),
            Self::Reset => f.write_str("reset"),
            Self::Timeout => f.write_str("timeout"),
        }
    }
}

/// A failed request, in words.
#[derive(Debug, Clone)]
pub struct Failure {
    /// When it ended, on the load's clock.
    pub at: Duration,
    /// How it ended.
    pub outcome: Outcome,
    /// The version that answered, if one did.
    pub version: Option<String>,
    /// The error, or the start of an answer that is not the demo app's.
    pub words: String,
}

/// One request that ended.
#[derive(Debug, Clone)]
pub struct Ended {
    /// When it was due, on the load's clock.
    pub sent: Duration,
    /// When it ended, likewise.
    pub at: Duration,
    /// How it ended.
    pub outcome: Outcome,
    /// The version that answered, if one did.
    pub version: Option<Arc<str>>,
}

impl Ended {
    /// From the time it was due to its end: what a user waited.
    #[must_use]
    pub fn latency(&self) -> Duration {
        self.at.saturating_sub(self.sent)
    }

    /// Whether `version` answered it.
    #[must_use]
    pub fn is_from(&self, version: &str) -> bool {
        self.version.as_deref() == Some(version)
    }
}

/// Requests and failures among them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Requests that ended.
    pub requests: u64,
    /// Those that failed.
    pub failed: u64,
}

impl Tally {
    pub(super) fn add(&mut self, outcome: Outcome) {
        self.requests += 1;
        self.failed += u64::from(outcome.is_failure());
    }
}

/// Everything since the start.
#[derive(Debug, Clone, Default)]
pub struct Totals {
    /// All requests.
    pub all: Tally,
    /// By the version that answered; answers of proxies and errors are not in it.
    pub versions: BTreeMap<String, Tally>,
    /// Requests by outcome.
    pub outcomes: BTreeMap<Outcome, u64>,
    /// Requests sent twice, see the module's rule. Not failures.
    pub retried: u64,
    /// Requests that were due but never sent, because all clients were busy: too few connections,
    /// or a machine too slow for the rate.
    pub skipped: u64,
    /// The first failures of each outcome.
    pub failures: Vec<Failure>,
}

/// What was sent within a span of time and is answered.
#[derive(Debug, Clone, Default)]
pub struct Window {
    /// Its length.
    pub span: Duration,
    /// All requests.
    pub all: Tally,
    /// By the version that answered.
    pub versions: BTreeMap<String, Tally>,
    /// By the pod that answered.
    pub pods: BTreeMap<String, Tally>,
    /// By the greeting in the answer: the pod's configuration, as a user sees it.
    pub greetings: BTreeMap<String, Tally>,
    /// Median latency.
    pub p50: Option<Duration>,
    /// Latency that 99 of 100 requests keep.
    pub p99: Option<Duration>,
}

impl Window {
    /// Requests per second.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    pub fn rate(&self) -> f64 {
        if self.span.is_zero() {
            0.0
        } else {
            self.all.requests as f64 / self.span.as_secs_f64()
        }
    }

    /// The share of answered requests that `version` answered, with its 99.9 % interval; `None`
    /// while no version answered any.
    #[must_use]
    pub fn share(&self, version: &str) -> Option<Interval> {
        let answered = self.versions.values().map(|tally| tally.requests).sum();
        let of_version = self.versions.get(version).map_or(0, |tally| tally.requests);
        stats::share(of_version, answered)
    }
}

/// What a client saw.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) outcome: Outcome,
    pub(super) version: Option<String>,
    pub(super) pod: Option<String>,
    pub(super) greeting: Option<String>,
    pub(super) why: Option<String>,
    pub(super) retried: bool,
}

impl Answer {
    pub(super) fn failed(outcome: Outcome, why: String) -> Self {
        Self {
            outcome,
            version: None,
            pod: None,
            greeting: None,
            why: Some(why),
            retried: false,
        }
    }
}

impl Totals {
    pub(super) fn add(&mut self, at: Duration, answer: &Answer) {
        self.all.add(answer.outcome);
        *self.outcomes.entry(answer.outcome).or_default() += 1;
        self.retried += u64::from(answer.retried);
        if let Some(version) = &answer.version {
            // Cloned only for a version's first answer.
            if !self.versions.contains_key(version) {
                self.versions.insert(version.clone(), Tally::default());
            }
            if let Some(tally) = self.versions.get_mut(version) {
                tally.add(answer.outcome);
            }
        }
        let alike = |failure: &&Failure| failure.outcome == answer.outcome;
        if answer.outcome.is_failure() && self.failures.iter().filter(alike).count() < WORDS_KEPT {
            let why = answer.why.as_deref().unwrap_or_default();
            self.failures.push(Failure {
                at,
                outcome: answer.outcome,
                version: answer.version.clone(),
                words: why.chars().take(WORDS_LENGTH).collect(),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_2xx_and_3xx_are_no_failures() {
        let failed = |status| Outcome::Status(status).is_failure();
        assert_eq!([200, 204, 302].map(failed), [false; 3]);
        assert_eq!([101, 404, 500, 503].map(failed), [true; 4]);
        assert!(Outcome::Timeout.is_failure());
    }
}
