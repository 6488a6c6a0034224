//! When to read next. Reading just before a scrape, one sees data that is nearly an interval old, and goes on doing so;
//! just after it, one sees what is new at once. No I/O and no clock.

use std::time::Duration;

/// From the timestamp of a scrape until its samples can be read, the scrape is made and stored. This part of an
/// interval is allowed for that at first, within these limits.
const FIRST_MARGIN: u32 = 20;
const LEAST_MARGIN: Duration = Duration::from_millis(50);
const MOST_FIRST_MARGIN: Duration = Duration::from_millis(500);
/// The beat is moved only if data comes so much of an interval earlier by that, on average: jitter moves nothing.
const WORTHWHILE: f64 = 1.0 / 16.0;

/// The beat in which one group is read.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Beat {
    /// How long after a scrape its samples are there to be read, as far as is known.
    margin: Option<Duration>,
}

impl Beat {
    /// How long after the begin of this reading to begin the next, if its newest samples were so old: an age for each
    /// target.
    ///
    /// Between a half and three halves of an interval; an interval once the beat is found, so that there is one reading
    /// for each scrape.
    pub(super) fn pause(&mut self, interval: Duration, ages: &[Duration]) -> Duration {
        let first = (interval / FIRST_MARGIN).clamp(LEAST_MARGIN, MOST_FIRST_MARGIN);
        let margin = self.margin.unwrap_or(first);
        // What was not scraped for longer is gone, or has a slower beat of its own.
        let ages = || ages.iter().copied().filter(|age| *age < 2 * interval);
        let unseen = |age: Duration| {
            age.checked_sub(interval)
                .is_some_and(|late| late < 2 * margin)
        };
        let margin = if ages().any(unseen) {
            (2 * margin).min(interval / 2)
        } else {
            margin
        };
        self.margin = Some(margin);
        best(interval.as_secs_f64(), margin.as_secs_f64(), ages())
            .map_or(interval, Duration::from_secs_f64)
    }
}

/// The pause, in seconds, after which data is youngest on average; `None` if it is hardly any younger than after one
/// more interval.
fn best(interval: f64, margin: f64, ages: impl Iterator<Item = Duration>) -> Option<f64> {
    // How long from now until new samples of each target can be read.
    let due = ages.map(|age| (margin - age.as_secs_f64()).rem_euclid(interval));
    let mut due: Vec<f64> = due.filter(|due| due.is_finite()).collect();
    due.sort_by(f64::total_cmp);
    let all: f64 = due.iter().sum();
    #[allow(clippy::cast_precision_loss, reason = "some thousand targets")]
    let count = |targets: usize| targets as f64;
    let targets = count(due.len());
    // Samples of targets that are due later than this one have waited since the scrape before.
    let waited = |(earlier, due_then): (usize, &f64)| {
        let later = targets - count(earlier) - 1.0;
        (targets * due_then - all + interval * later, *due_then)
    };
    let (least, pause) = due
        .iter()
        .enumerate()
        .map(waited)
        .min_by(|(one, _), (other, _)| one.total_cmp(other))?;
    let unmoved: f64 = due.iter().map(|due| (-due).rem_euclid(interval)).sum();
    let moved = unmoved - least >= targets * interval * WORTHWHILE;
    moved.then_some(if pause < interval / 2.0 {
        pause + interval
    } else {
        pause
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scrapes at these offsets, whose samples can be read so long after; how old the newest samples were at each of
    /// many readings, and how long after the one before each was.
    fn read(interval: f64, offsets: &[f64], lag: f64, begin: f64) -> Vec<(Vec<f64>, f64)> {
        let mut beat = Beat::default();
        let (mut now, mut pause) = (begin, 0.0);
        let mut readings = Vec::new();
        for _ in 0..40 {
            let ages: Vec<f64> = offsets
                .iter()
                .map(|offset| lag + (now - lag - offset).rem_euclid(interval))
                .collect();
            let whole: Vec<_> = ages.iter().copied().map(Duration::from_secs_f64).collect();
            readings.push((ages, pause));
            pause = beat
                .pause(Duration::from_secs_f64(interval), &whole)
                .as_secs_f64();
            // A timer is always a little late.
            pause += 0.001;
            now += pause;
        }
        readings
    }

    fn mean(ages: &[f64]) -> f64 {
        let count = u32::try_from(ages.len()).unwrap_or(u32::MAX);
        ages.iter().sum::<f64>() / f64::from(count)
    }

    #[test]
    fn one_target_is_read_just_after_its_scrape_from_the_second_reading_on() {
        for step in 0..100 {
            let begin = 100.0 + f64::from(step) / 100.0;
            let readings = read(1.0, &[0.3], 0.02, begin);
            for (ages, pause) in readings.iter().skip(1) {
                assert!(ages.iter().all(|age| *age < 0.15), "{begin}: {ages:?}");
                assert!((0.5..=1.51).contains(pause), "{begin}: {pause}");
            }
            let total: f64 = readings.iter().map(|(_, pause)| pause).sum();
            assert!(
                (total - 39.0).abs() < 1.0,
                "{begin}: {total} s for 39 scrapes"
            );
        }
    }

    #[test]
    fn a_server_that_takes_long_to_show_a_scrape_is_waited_for() {
        for lag in [0.06, 0.1, 0.3, 0.45] {
            let readings = read(1.0, &[0.3], lag, 100.9);
            for (ages, _) in readings.iter().skip(5) {
                assert!(
                    ages.iter().all(|age| *age < 2.1 * lag + 0.1),
                    "{lag}: {ages:?}"
                );
            }
        }
        // Of remote write in production, say.
        let readings = read(15.0, &[7.0], 4.0, 100.0);
        for (ages, _) in readings.iter().skip(6) {
            assert!(ages.iter().all(|age| *age < 8.5), "{ages:?}");
        }
    }

    #[test]
    fn of_many_targets_most_are_read_just_after_their_scrapes() {
        let offsets = [0.10, 0.12, 0.15, 0.16, 0.70];
        let readings = read(1.0, &offsets, 0.02, 100.13);
        let first = readings.first().map(|(ages, _)| mean(ages));
        assert!(first.is_some_and(|mean| mean > 0.3), "{first:?}");
        for (ages, _) in readings.iter().skip(1) {
            assert!(mean(ages) < 0.3, "{ages:?}");
        }
    }

    #[test]
    fn nothing_known_changes_nothing() {
        let second = Duration::from_secs(1);
        let hour = Duration::from_hours(1);
        assert_eq!(Beat::default().pause(second, &[]), second);
        assert_eq!(Beat::default().pause(second, &[hour]), second);
        assert_eq!(
            Beat::default().pause(Duration::ZERO, &[second]),
            Duration::ZERO
        );
    }
}
