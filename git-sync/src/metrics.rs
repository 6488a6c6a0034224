//! What git-sync says of itself, for Prometheus.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64};
use std::time::Instant;

use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::pass::{Kind, News};

/// What a commit is for.
#[derive(Clone, Copy, Debug, EncodeLabelValue, Eq, Hash, PartialEq)]
enum Purpose {
    Recorded,
    Reverted,
    Proposed,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct CommitLabels {
    kind: Purpose,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct PassLabels {
    ok: String,
}

/// The metric families. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Arc<Registry>,
    commits: Family<CommitLabels, Counter>,
    passes: Family<PassLabels, Counter>,
    unwritten: Gauge<i64, AtomicI64>,
    lag: Gauge<f64, AtomicU64>,
    last_success: Gauge<f64, AtomicU64>,
    /// Since when something waits to be told.
    waiting: Arc<Mutex<Option<Instant>>>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("sluice_git_sync");
        let (commits, passes) = (Family::default(), Family::default());
        let unwritten = Gauge::default();
        let (lag, last_success) = (Gauge::default(), Gauge::default());
        registry.register(
            "commits",
            "Commits that were pushed, by what they are for",
            Family::clone(&commits),
        );
        registry.register(
            "passes",
            "Comparisons of the cluster with the branch",
            Family::clone(&passes),
        );
        registry.register(
            "unwritten",
            "Outcomes that the last pass left to a person: contested ones, and values that cannot be written",
            Gauge::clone(&unwritten),
        );
        registry.register(
            "lag_seconds",
            "How long the oldest change in the cluster waits to be told to Git; 0 when none does",
            Gauge::clone(&lag),
        );
        registry.register(
            "last_success_timestamp_seconds",
            "When a pass last succeeded, in seconds since 1970",
            Gauge::clone(&last_success),
        );
        Self {
            registry: Arc::new(registry),
            commits,
            passes,
            unwritten,
            lag,
            last_success,
            waiting: Arc::default(),
        }
    }
}

impl Metrics {
    /// Something in the cluster changed, and the next pass tells it.
    pub fn waits(&self) {
        self.waiting.lock().get_or_insert_with(Instant::now);
    }

    /// Counts a pass that ended well, with what it did.
    pub fn passed(&self, news: &[News], at: DateTime<Utc>) {
        *self.waiting.lock() = None;
        self.count(true);
        let at = at.timestamp_millis().unsigned_abs();
        self.last_success
            .set(std::time::Duration::from_millis(at).as_secs_f64());
        let mut unwritten = 0;
        for news in news {
            let kind = match news.kind {
                Kind::Recorded => Purpose::Recorded,
                Kind::Reverted => Purpose::Reverted,
                Kind::Proposed => Purpose::Proposed,
                Kind::Contested | Kind::Problem | Kind::Failing => {
                    unwritten += 1;
                    continue;
                }
            };
            self.commits.get_or_create(&CommitLabels { kind }).inc();
        }
        self.unwritten.set(unwritten);
    }

    /// Counts a pass that failed.
    pub fn failed(&self) {
        self.count(false);
    }

    fn count(&self, ok: bool) {
        let labels = PassLabels { ok: ok.to_string() };
        self.passes.get_or_create(&labels).inc();
    }

    /// The families as text.
    ///
    /// # Errors
    /// Never in practice: writing to a `String` does not fail.
    pub fn encode(&self) -> Result<String, std::fmt::Error> {
        let since = *self.waiting.lock();
        self.lag
            .set(since.map_or(0.0, |since| since.elapsed().as_secs_f64()));
        let mut page = String::new();
        text::encode(&mut page, &self.registry)?;
        Ok(page)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use super::*;

    fn value(metrics: &Metrics, series: &str) -> Option<f64> {
        let page = metrics.encode().unwrap();
        let line = page
            .lines()
            .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.map(|value| value.parse().unwrap())
    }

    fn news(kind: Kind) -> News {
        News {
            stance: 0,
            kind,
            text: String::new(),
        }
    }

    #[test]
    fn the_lag_begins_with_a_change_and_ends_with_a_pass() {
        let metrics = Metrics::default();
        let lag = || value(&metrics, "sluice_git_sync_lag_seconds").unwrap();
        assert!(lag() <= 0.0);
        metrics.waits();
        std::thread::sleep(std::time::Duration::from_millis(20));
        metrics.waits();
        metrics.failed();
        assert!(lag() >= 0.02, "a failed pass tells nothing");
        metrics.passed(&[], DateTime::UNIX_EPOCH);
        assert!(lag() <= 0.0);
    }

    #[test]
    fn a_pass_tells_what_it_did() {
        let metrics = Metrics::default();
        let all = [
            Kind::Recorded,
            Kind::Recorded,
            Kind::Contested,
            Kind::Problem,
        ];
        let at = DateTime::from_timestamp_millis(1_500).unwrap();
        metrics.passed(&all.map(news), at);
        metrics.failed();
        let value = |series: &str| value(&metrics, &format!("sluice_git_sync_{series}"));
        assert_eq!(value("commits_total{kind=\"Recorded\"}"), Some(2.0));
        assert_eq!(value("commits_total{kind=\"Proposed\"}"), None);
        assert_eq!(value("passes_total{ok=\"true\"}"), Some(1.0));
        assert_eq!(value("passes_total{ok=\"false\"}"), Some(1.0));
        assert_eq!(value("unwritten"), Some(2.0));
        assert_eq!(value("last_success_timestamp_seconds"), Some(1.5));
        metrics.passed(&[], at);
        assert_eq!(value("unwritten"), Some(0.0));
    }
}
