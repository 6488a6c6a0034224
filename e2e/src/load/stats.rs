//! Statistics of shares and latencies.

use std::fmt;

/// Two-sided 99.9 % quantile of the normal distribution.
const Z_999: f64 = 3.290_526_731_491_931;

/// A measured share with its 99.9 % interval. All three lie between 0 and 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// The measured share.
    pub share: f64,
    /// Upper end.
    pub high: f64,
}

impl Interval {
    /// Whether the measurement does not contradict a true share of `expected`.
    #[must_use]
    pub fn contains(&self, expected: f64) -> bool {
        (self.low..=self.high).contains(&expected)
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [low, share, high] = [self.low, self.share, self.high].map(|part| part * 100.0);
        write!(f, "{share:.2} % ({low:.2}–{high:.2} %)")
    }
}

/// The share `hits / trials` with the 99.9 % Wilson score interval; `None` without trials.
///
/// Wilson's, not the exact (Clopper–Pearson) one: its mean coverage is the nominal one, where the
/// exact interval is too wide and would hide a small wrong share (Wilson 1927, JASA 22:209; Brown,
/// Cai and `DasGupta` 2001, Statistical Science 16:101). Trials must be independent: an Envoy draws
/// a backend for each request anew, so they are, even on one connection.
#[must_use]
pub fn share(hits: u64, trials: u64) -> Option<Interval> {
    wilson(hits, trials, Z_999)
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn wilson(hits: u64, trials: u64, z: f64) -> Option<Interval> {
    if trials == 0 || hits > trials {
        return None;
    }
    let n = trials as f64;
    let share = hits as f64 / n;
    let scale = 1.0 + z * z / n;
    let centre = (share + z * z / (2.0 * n)) / scale;
    let half = z * (share * (1.0 - share) / n + z * z / (4.0 * n * n)).sqrt() / scale;
    Some(Interval {
        low: (centre - half).max(0.0),
        share,
        high: (centre + half).min(1.0),
    })
}

/// The nearest-rank percentile of sorted values; `None` of none.
pub(super) fn percentile(sorted: &[u32], percent: usize) -> Option<u32> {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use super::*;

    const Z_95: f64 = 1.959_963_984_540_054;

    /// Newcombe 1998, Statistics in Medicine 17:857, table I, method 3 (score).
    #[test]
    fn it_agrees_with_published_intervals() {
        for (hits, trials, low, high) in [
            (81, 263, 0.2553, 0.3662),
            (15, 148, 0.0624, 0.1605),
            (0, 20, 0.0, 0.1611),
            (1, 29, 0.0061, 0.1718),
        ] {
            let interval = wilson(hits, trials, Z_95).unwrap();
            assert!(
                (interval.low - low).abs() < 5e-5,
                "{hits}/{trials}: {interval}"
            );
            assert!(
                (interval.high - high).abs() < 5e-5,
                "{hits}/{trials}: {interval}"
            );
        }
    }

    /// The probability that the interval holds the true share, summed over every outcome.
    #[test]
    fn it_covers_the_true_share_999_times_of_1000() {
        for (trials, truth) in [(400, 0.1), (1000, 0.05), (2000, 0.5), (5000, 0.01)] {
            let covered: f64 = (0..=trials)
                .filter(|hits| share(*hits, trials).unwrap().contains(truth))
                .map(|hits| binomial(hits, trials, truth))
                .sum();
            assert!(
                (0.997..=0.9999).contains(&covered),
                "{trials} at {truth}: {covered}"
            );
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "small counts")]
    fn binomial(hits: u64, trials: u64, p: f64) -> f64 {
        let log_choose: f64 = (1..=hits)
            .map(|k| ((trials - hits + k) as f64).ln() - (k as f64).ln())
            .sum();
        (log_choose + hits as f64 * p.ln() + (trials - hits) as f64 * (1.0 - p).ln()).exp()
    }

    #[test]
    fn nothing_measured_is_no_share() {
        assert_eq!(share(0, 0), None);
        assert_eq!(share(2, 1), None);
    }

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let values: Vec<u32> = (1..=200).collect();
        assert_eq!(percentile(&values, 50), Some(100));
        assert_eq!(percentile(&values, 99), Some(198));
        assert_eq!(percentile(&[7], 99), Some(7));
        assert_eq!(percentile(&[], 50), None);
    }
}
