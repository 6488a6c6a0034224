//! Chance that can be repeated.

use std::time::Duration;

/// `SplitMix64` (Steele, Lea and Flood, 2014): a few lines, the same numbers on every machine, and
/// good enough to draw what happens when.
#[derive(Clone, Debug)]
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Dice of their own for one part of a draw: what another part draws does not change them.
    pub(super) fn fork(&self, part: u64) -> Self {
        let mut fork = Self(self.0 ^ part.wrapping_mul(0xA24B_AED4_963E_E407));
        fork.roll();
        fork
    }

    /// From `low` to `high`, both included; `low` if they are the wrong way round.
    pub(super) fn between(&mut self, low: u64, high: u64) -> u64 {
        let choices = u128::from(high.saturating_sub(low)) + 1;
        let scaled = (u128::from(self.roll()) * choices) >> 64;
        low + u64::try_from(scaled).unwrap_or_default()
    }

    /// A time in whole tenths of a second.
    pub(super) fn time(&mut self, shortest: Duration, longest: Duration) -> Duration {
        let tenths = |time: Duration| u64::try_from(time.as_millis() / 100).unwrap_or(u64::MAX);
        Duration::from_millis(100 * self.between(tenths(shortest), tenths(longest)))
    }

    /// One of these, each with the chance that its weight says.
    pub(super) fn pick<T: Copy>(&mut self, of: &[(u64, T)]) -> Option<T> {
        let whole: u64 = of.iter().map(|(weight, _)| weight).sum();
        let mut left = self.between(1, whole.max(1));
        of.iter()
            .find(|(weight, _)| {
                let hit = left <= *weight;
                left = left.saturating_sub(*weight);
                hit
            })
            .map(|(_, what)| *what)
    }

    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_says_all() {
        let drawn = |seed: u64| {
            let mut dice = Dice::new(seed);
            (0..8).map(|_| dice.between(3, 9)).collect::<Vec<_>>()
        };
        assert_eq!(drawn(1), drawn(1));
        assert_ne!(drawn(1), drawn(2));
        assert!(drawn(1).iter().all(|n| (3..=9).contains(n)));
    }

    #[test]
    fn all_of_a_choice_is_met() {
        let mut dice = Dice::new(7);
        let mut met: Vec<_> = (0..100)
            .filter_map(|_| dice.pick(&[(1, 'a'), (5, 'b'), (0, 'c')]))
            .collect();
        met.sort_unstable();
        met.dedup();
        assert_eq!(met, ['a', 'b']);
    }
}
