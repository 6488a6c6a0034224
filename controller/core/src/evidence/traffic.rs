//! The requests that a Service had in the past, of all its revisions together.

use std::fmt;

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use super::Takes;
use super::real::count;

/// The longest past that is looked at.
pub const LONGEST: TimeDelta = TimeDelta::days(7);
const SECONDS_A_DAY: f64 = 86_400.0;
/// More requests than anybody has, and few enough for every integer of an API.
const MOST: f64 = 9e15;
/// A newer figure that differs by less than one part of so many says the same.
const NEAR: u64 = 10;

/// How many requests a Service had.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct PastTraffic {
    /// In a day, on average. Of two digits: nobody decides by the third, and each change is told.
    pub per_day: u64,
    /// The time over which that was measured: [`LONGEST`], or as much of it as there is.
    pub over: TimeDelta,
}

impl PastTraffic {
    /// So many requests a second on average, measured over this time.
    #[must_use]
    pub fn measured(per_second: f64, over: TimeDelta) -> Self {
        Self {
            per_day: two_digits(nearest(per_second * SECONDS_A_DAY)),
            over: over.clamp(TimeDelta::zero(), LONGEST),
        }
    }

    /// Requests a second.
    #[must_use]
    pub fn per_second(self) -> f64 {
        count(self.per_day) / SECONDS_A_DAY
    }

    /// How many there will be in this time, if it goes on like that.
    #[must_use]
    pub fn expected(self, period: TimeDelta) -> u64 {
        nearest(self.per_second() * period.as_seconds_f64())
    }

    /// What is to be told once there is a newer measurement: this still, where that says about the same or saw
    /// far less.
    #[must_use]
    pub fn followed_by(self, newer: Self) -> Self {
        let near = newer.per_day.abs_diff(self.per_day).saturating_mul(NEAR) <= self.per_day;
        let longer = newer.over >= self.over * 2 || (newer.over == LONGEST && self.over < LONGEST);
        // A day is enough to be told, or a server that keeps less than another one did would never be heard.
        let far_shorter = newer.over * 2 < self.over && newer.over < TimeDelta::days(1);
        if far_shorter || (near && !longer) {
            self
        } else {
            newer
        }
    }
}

/// Rounded to two digits.
fn two_digits(number: u64) -> u64 {
    let unit = second_digit(number);
    let up = number % unit >= unit.div_ceil(2) && unit > 1;
    (number / unit + u64::from(up)).saturating_mul(unit)
}

/// What the second digit of a number counts; 1 where there is none.
pub(super) fn second_digit(number: u64) -> u64 {
    let mut unit = 1_u64;
    while number / unit >= 100 {
        unit = unit.saturating_mul(10);
    }
    unit
}

/// The nearest whole number that fits an API; 0 for what is none.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it is a number from 0 to 9e15, or none"
)]
fn nearest(number: f64) -> u64 {
    number.clamp(0.0, MOST).round() as u64
}

/// The rate, and over which time it was measured where that is less than it could be.
impl fmt::Display for PastTraffic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.per_second() {
            rate if rate >= 10.0 => write!(f, "{rate:.0} requests/s")?,
            rate if rate >= 1.0 => write!(f, "{rate:.1} requests/s")?,
            rate if rate * 60.0 >= 1.0 => write!(f, "{:.1} requests/min", rate * 60.0)?,
            rate => write!(f, "{:.1} requests/h", rate * 3600.0)?,
        }
        if self.over < LONGEST {
            write!(f, " (measured over {})", Takes(Some(self.over)))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: TimeDelta = TimeDelta::hours(1);

    #[test]
    fn a_figure_has_two_digits() {
        let digits = |number| two_digits(number);
        assert_eq!(digits(0), 0);
        assert_eq!(digits(9), 9);
        assert_eq!(digits(99), 99);
        assert_eq!(digits(104), 100);
        assert_eq!(digits(105), 110);
        assert_eq!(digits(259_200), 260_000);
        assert_eq!(digits(999), 1_000);
        assert!(digits(u64::MAX) > u64::MAX / 2);
    }

    #[test]
    fn a_figure_says_over_which_time_it_was_measured() {
        let text = |per_second, over| PastTraffic::measured(per_second, over).to_string();
        assert_eq!(text(100.0, TimeDelta::days(30)), "100 requests/s");
        assert_eq!(text(3.0, HOUR), "3.0 requests/s (measured over 1 h)");
        assert_eq!(text(0.05, LONGEST), "3.0 requests/min");
        assert_eq!(
            text(f64::NAN, TimeDelta::seconds(-1)),
            "0.0 requests/h (measured over 0 s)"
        );
    }

    #[test]
    fn a_newer_figure_is_told_where_it_says_something_else() {
        let old = PastTraffic::measured(3.0, HOUR * 3);
        let newer = |per_second, over| old.followed_by(PastTraffic::measured(per_second, over));
        assert_eq!(newer(3.2, HOUR * 3), old, "about the same");
        assert_eq!(newer(2.8, HOUR * 4), old);
        assert_ne!(newer(4.0, HOUR * 3), old);
        assert_ne!(newer(3.0, HOUR * 6), old, "seen for twice as long");
        assert_eq!(newer(300.0, HOUR), old, "seen for a moment");
        let almost = PastTraffic::measured(3.0, HOUR * 160);
        let whole = PastTraffic::measured(3.0, LONGEST);
        assert_eq!(almost.followed_by(whole), whole);
    }

    #[test]
    fn what_is_expected_is_as_much_as_there_was() {
        let traffic = PastTraffic::measured(100.0, HOUR);
        assert_eq!(traffic.expected(TimeDelta::days(30)), 30 * 8_600_000);
        assert_eq!(
            PastTraffic::measured(1e300, HOUR).per_day,
            9_000_000_000_000_000
        );
        assert_eq!(PastTraffic::measured(0.0, HOUR).expected(TimeDelta::MAX), 0);
    }
}
