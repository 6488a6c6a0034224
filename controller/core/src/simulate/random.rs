//! Random numbers: seeded, so that every run gives the same figures.

/// Above this variance a binomial is taken for normal.
const MANY: f64 = 2_500.0;

/// xoshiro256** by Blackman and Vigna, seeded by `SplitMix64`.
#[derive(Clone, Debug)]
pub struct Random([u64; 4]);

impl Random {
    /// The same numbers for the same seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut state = seed;
        Self([(); 4].map(|()| {
            state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut z = state;
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            z ^ (z >> 31)
        }))
    }

    fn next(&mut self) -> u64 {
        let [a, b, c, d] = &mut self.0;
        let result = b.wrapping_mul(5).rotate_left(7).wrapping_mul(9);
        let shifted = *b << 17;
        *c ^= *a;
        *d ^= *b;
        *b ^= *c;
        *a ^= *d;
        *c ^= shifted;
        *d = d.rotate_left(45);
        result
    }

    /// Between 0 and 1, neither included.
    #[allow(clippy::cast_precision_loss)]
    pub fn uniform(&mut self) -> f64 {
        ((self.next() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    fn normal(&mut self) -> f64 {
        let radius = (-2.0 * self.uniform().ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }

    /// Of `n` events each is one with probability `p`: leaps from one to the next. Where these are many, by the
    /// normal approximation.
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss
    )]
    pub fn binomial(&mut self, n: u64, p: f64) -> u64 {
        if n == 0 || p <= 0.0 {
            return 0;
        }
        if p > 0.5 {
            return n - self.binomial(n, 1.0 - p);
        }
        let (mean, variance) = (n as f64 * p, n as f64 * p * (1.0 - p));
        if variance > MANY {
            let about = mean + variance.sqrt() * self.normal();
            return (about.round().max(0.0) as u64).min(n);
        }
        let (log, mut at, mut count) = ((-p).ln_1p(), 0.0, 0);
        loop {
            at += (self.uniform().ln() / log).floor() + 1.0;
            if at > n as f64 {
                return count;
            }
            count += 1;
        }
    }

    /// How many events come if `mean` come on average; above 50 by the normal approximation.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    pub fn poisson(&mut self, mean: f64) -> u64 {
        if mean > 50.0 {
            return (mean + mean.sqrt() * self.normal()).round().max(0.0) as u64;
        }
        let (mut left, mut count) = (mean + self.uniform().ln(), 0);
        while left > 0.0 {
            count += 1;
            left += self.uniform().ln();
        }
        count
    }

    /// Marsaglia and Tsang 2000.
    fn gamma(&mut self, shape: f64) -> f64 {
        if shape < 1.0 {
            return self.gamma(shape + 1.0) * self.uniform().powf(1.0 / shape);
        }
        let d = shape - 1.0 / 3.0;
        loop {
            let x = self.normal();
            let v = (1.0 + x / (9.0 * d).sqrt()).powi(3);
            if v > 0.0 && self.uniform().ln() < 0.5 * x * x + d - d * v + d * v.ln() {
                return d * v;
            }
        }
    }

    /// A share that is `mean` on average; `together` is the correlation that it lends to events.
    pub fn beta(&mut self, mean: f64, together: f64) -> f64 {
        let size = 1.0 / together - 1.0;
        let (one, other) = (self.gamma(mean * size), self.gamma((1.0 - mean) * size));
        if one + other > 0.0 {
            one / (one + other)
        } else {
            0.0
        }
    }
}
