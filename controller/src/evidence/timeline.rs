//! The samples of one rollout, bounded.

use sluice_core::Sample;

/// The most samples that are kept of one rollout.
const MOST: usize = 256;

/// Samples in order of time.
#[derive(Debug, Default)]
pub(crate) struct Timeline {
    samples: Vec<Sample>,
}

impl Timeline {
    /// Adds the newest sample. When there are too many, every second one of the older half goes:
    /// totals stay right and only the times between them get coarser. The first one always stays,
    /// it is what the whole rollout is counted from.
    pub(crate) fn push(&mut self, sample: Sample) {
        // Only when the clock was set back. The new totals hold all that the later samples held.
        self.samples.retain(|earlier| earlier.at < sample.at);
        if self.samples.len() >= MOST {
            let older = self.samples.len() / 2;
            let mut index = 0;
            self.samples.retain(|_| {
                let keep = index >= older || index % 2 == 0;
                index += 1;
                keep
            });
        }
        self.samples.push(sample);
    }

    /// The samples, oldest first.
    pub(crate) fn samples(&self) -> &[Sample] {
        &self.samples
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use super::*;
    use chrono::{DateTime, TimeDelta};
    use sluice_core::Counts;

    fn sample(second: i64) -> Sample {
        let requests = u64::try_from(second).unwrap();
        let counts = Counts {
            requests,
            unanswered: 0,
            slos: vec![],
        };
        Sample {
            at: DateTime::UNIX_EPOCH + TimeDelta::seconds(second),
            stable: counts.clone(),
            candidate: counts,
        }
    }

    #[test]
    fn a_long_rollout_keeps_its_ends() {
        let mut timeline = Timeline::default();
        for second in 0..10_000 {
            timeline.push(sample(second));
            assert!(timeline.samples().len() <= MOST);
        }
        let samples = timeline.samples();
        assert_eq!(samples.first(), Some(&sample(0)));
        let recent: Vec<_> = (9_900..10_000).map(sample).collect();
        assert!(samples.ends_with(&recent));
        assert!(samples.is_sorted_by(|a, b| a.at < b.at));
    }

    #[test]
    fn time_never_runs_backwards() {
        let mut timeline = Timeline::default();
        for second in [1, 2, 8, 9, 5, 6] {
            timeline.push(sample(second));
        }
        assert_eq!(timeline.samples(), [1, 2, 5, 6].map(sample));
    }
}
