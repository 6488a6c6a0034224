//! Counts of events as real numbers. Evidence alone needs them: the rest of the crate counts in integers.

use chrono::TimeDelta;

/// A count of events as a real number. Above 2^53 the last digits are lost, which no ratio notices.
#[allow(clippy::cast_precision_loss)]
pub(super) fn count(events: u64) -> f64 {
    events as f64
}

/// A part of a whole; nothing of nothing is nothing.
pub(super) fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        0.0
    } else {
        count(part) / count(whole)
    }
}

/// Seconds as a duration, rounded up; `None` beyond a year.
pub(super) fn whole_seconds(seconds: f64) -> Option<TimeDelta> {
    let year = 366.0 * 86_400.0;
    #[allow(clippy::cast_possible_truncation, reason = "a year at most")]
    (seconds <= year).then(|| TimeDelta::seconds(seconds.ceil() as i64))
}
