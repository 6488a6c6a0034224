//! What came of many rollouts.

use std::thread;

/// 97.5 % of a normal distribution is below.
const Z: f64 = 1.96;

/// The confidence interval at 95 % of a share that was seen in so many trials (Wilson 1927).
#[must_use]
pub fn interval(share: f64, trials: usize) -> (f64, f64) {
    let n = whole(trials);
    if trials == 0 {
        return (0.0, 1.0);
    }
    let middle = share + Z * Z / (2.0 * n);
    let half = Z * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt();
    let all = 1.0 + Z * Z / n;
    (
        ((middle - half) / all).max(0.0),
        ((middle + half) / all).min(1.0),
    )
}

/// The part of a whole; nothing of nothing is nothing.
#[must_use]
pub fn share(part: usize, all: usize) -> f64 {
    if all == 0 {
        0.0
    } else {
        whole(part) / whole(all)
    }
}

/// The value, of rising ones, that a part of all had reached; `None` if fewer ever did.
#[must_use]
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a place in a list"
)]
pub fn within<T: Copy>(rising: &[T], all: usize, part: f64) -> Option<T> {
    let last = ((part * whole(all)).ceil() as usize).max(1) - 1;
    rising.get(last).copied()
}

/// Runs every number below `count`, on all processors, and returns the results in their order.
///
/// # Panics
/// When `run` does.
pub fn parallel<T: Send>(count: usize, run: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let part = count.div_ceil(threads);
    thread::scope(|scope| {
        let parts: Vec<_> = (0..threads)
            .map(|thread| {
                let run = &run;
                let numbers = (thread * part).min(count)..((thread + 1) * part).min(count);
                scope.spawn(move || numbers.map(run).collect::<Vec<T>>())
            })
            .collect();
        let mut all = Vec::with_capacity(count);
        for part in parts {
            match part.join() {
                Ok(results) => all.extend(results),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        all
    })
}

#[allow(clippy::cast_precision_loss)]
fn whole(number: usize) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_seen_is_not_nothing_possible() {
        let (low, high) = interval(0.0, 200);
        assert!(
            low.abs() < f64::EPSILON && (0.018..0.020).contains(&high),
            "{high}"
        );
        let (low, high) = interval(0.5, 100);
        assert!(
            (0.40..0.41).contains(&low) && (0.59..0.60).contains(&high),
            "{low} {high}"
        );
        assert_eq!(interval(0.0, 0), (0.0, 1.0));
    }

    #[test]
    fn a_part_of_all_got_so_far() {
        assert_eq!(within(&[1, 2, 3], 4, 0.5), Some(2));
        assert_eq!(within(&[1, 2, 3], 4, 0.9), None);
        assert_eq!(within::<u8>(&[], 0, 0.5), None);
    }

    #[test]
    fn results_come_in_order() {
        assert_eq!(parallel(7, |n| n * n), [0, 1, 4, 9, 16, 25, 36]);
        assert!(parallel(0, |n| n).is_empty());
    }
}
