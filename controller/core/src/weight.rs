//! The share of the traffic that a backend gets.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A share of the traffic in parts per million: `Weight::WHOLE` is all of it.
///
/// `HTTPRoute` takes integer weights up to 1,000,000, so a part per million is the finest share that a
/// route can carry.
#[derive(
    Clone, Copy, Debug, Default, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize,
)]
pub struct Weight(u32);

impl Weight {
    /// No traffic.
    pub const ZERO: Self = Self(0);
    /// All traffic.
    pub const WHOLE: Self = Self(1_000_000);

    /// A weight of so many parts per million; more than the whole is the whole.
    #[must_use]
    pub const fn from_ppm(ppm: u32) -> Self {
        if ppm > Self::WHOLE.0 {
            Self::WHOLE
        } else {
            Self(ppm)
        }
    }

    /// A weight of so many percent; more than 100 is the whole.
    #[must_use]
    pub const fn from_percent(percent: u32) -> Self {
        Self::from_ppm(percent.saturating_mul(10_000))
    }

    /// Parts per million.
    #[must_use]
    pub const fn ppm(self) -> u32 {
        self.0
    }

    /// What is left of the whole.
    #[must_use]
    pub const fn rest(self) -> Self {
        Self(Self::WHOLE.0 - self.0)
    }

    /// Whether this is no traffic at all.
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// The share as a fraction between 0 and 1.
    #[must_use]
    pub fn fraction(self) -> f64 {
        f64::from(self.0) / f64::from(Self::WHOLE.0)
    }

    /// How many of `full` pods serve this share, rounded up and at least one.
    #[must_use]
    pub fn pods(self, full: u32) -> u32 {
        let pods = (u64::from(full) * u64::from(self.0)).div_ceil(u64::from(Self::WHOLE.0));
        u32::try_from(pods).unwrap_or(full).max(1)
    }
}

impl fmt::Display for Weight {
    /// `5%`, `0.01%`: percent with as many decimals as it needs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (percent, rest) = (self.0 / 10_000, self.0 % 10_000);
        if rest == 0 {
            return write!(f, "{percent}%");
        }
        let decimals = format!("{rest:04}");
        write!(f, "{percent}.{}%", decimals.trim_end_matches('0'))
    }
}

#[cfg(test)]
mod tests {
    use super::Weight;

    #[test]
    fn prints_the_shortest_percentage() {
        assert_eq!(Weight::from_percent(5).to_string(), "5%");
        assert_eq!(Weight::from_ppm(100).to_string(), "0.01%");
        assert_eq!(Weight::from_ppm(125_000).to_string(), "12.5%");
        assert_eq!(Weight::WHOLE.to_string(), "100%");
    }

    #[test]
    fn sizes_by_rounding_up_and_never_to_nothing() {
        assert_eq!(Weight::from_percent(5).pods(4), 1);
        assert_eq!(Weight::from_percent(50).pods(5), 3);
        assert_eq!(Weight::WHOLE.pods(4), 4);
        assert_eq!(Weight::from_percent(1).pods(0), 1);
    }
}
