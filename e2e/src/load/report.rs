//! A load's results, for stories to check and for people to read.

use std::{fmt, sync::Arc, time::Duration};

use super::{
    log::Log,
    outcome::{Ended, Totals, Window},
};

/// A running load at one moment. Shown on one line.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// Time since the start.
    pub elapsed: Duration,
    /// Everything since the start.
    pub totals: Totals,
    /// The last seconds.
    pub recent: Window,
}

impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        counts(f, &self.totals)?;
        write!(f, " | now {:.0}/s", self.recent.rate())?;
        window(f, &self.recent)
    }
}

/// A finished load. Shown on a few lines, failures in words.
#[derive(Debug)]
pub struct Report {
    /// Time from start to end.
    pub elapsed: Duration,
    /// Everything.
    pub totals: Totals,
    /// Everything, as one window.
    pub whole: Window,
    log: Arc<Log>,
}

impl Report {
    pub(super) fn new(log: Arc<Log>) -> Self {
        let elapsed = log.now();
        Self {
            elapsed,
            totals: log.totals(),
            whole: log.window(Duration::ZERO, elapsed),
            log,
        }
    }

    /// What was sent from `from` on and before `to`, on the load's clock.
    #[must_use]
    pub fn window(&self, from: Duration, to: Duration) -> Window {
        self.log.window(from, to)
    }

    /// Every request, in the order in which they ended.
    #[must_use]
    pub fn ended(&self) -> Vec<Ended> {
        self.log.ended()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        counts(f, &self.totals)?;
        write!(
            f,
            " in {:.1} s, {:.0}/s",
            self.elapsed.as_secs_f64(),
            self.whole.rate()
        )?;
        window(f, &self.whole)?;
        for (outcome, requests) in &self.totals.outcomes {
            if outcome.is_failure() {
                write!(f, "\n  {requests} × {outcome}")?;
            }
        }
        for failure in &self.totals.failures {
            let at = failure.at.as_secs_f64();
            write!(f, "\n  at {at:.3} s: {}", failure.outcome)?;
            if let Some(version) = &failure.version {
                write!(f, " from {version}")?;
            }
            if !failure.words.is_empty() {
                write!(f, ": {}", failure.words)?;
            }
        }
        Ok(())
    }
}

fn counts(f: &mut fmt::Formatter<'_>, totals: &Totals) -> fmt::Result {
    write!(
        f,
        "{} requests, {} failed",
        totals.all.requests, totals.all.failed
    )?;
    if totals.retried > 0 {
        write!(f, ", {} retried", totals.retried)?;
    }
    if totals.skipped > 0 {
        write!(f, ", {} not sent in time", totals.skipped)?;
    }
    Ok(())
}

fn window(f: &mut fmt::Formatter<'_>, window: &Window) -> fmt::Result {
    for (version, tally) in &window.versions {
        if let Some(interval) = window.share(version) {
            write!(f, " | {version} {:.1} %", interval.share * 100.0)?;
        }
        if tally.failed > 0 {
            write!(f, " ({} failed)", tally.failed)?;
        }
    }
    if let (Some(p50), Some(p99)) = (window.p50, window.p99) {
        let millis = |latency: Duration| latency.as_secs_f64() * 1000.0;
        write!(f, " | p50 {:.1} ms, p99 {:.1} ms", millis(p50), millis(p99))?;
    }
    Ok(())
}
