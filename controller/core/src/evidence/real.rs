//! Counts of events as real numbers. Evidence alone needs them: the rest of the crate counts in integers.

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
