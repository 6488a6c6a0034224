//! How soon a watch that failed is tried again.

use std::time::Duration;

use kube::runtime::utils::Backoff;
use kube::runtime::watcher::DefaultBackoff;

/// A rollback may wait for the first news after an outage of the API server. A pause of 30 s, as other
/// controllers make, is too long for it; a dozen watches that each ask every 2 s are no burden.
const LONGEST: Duration = Duration::from_secs(2);

/// The usual back-off of a watch, with shorter pauses.
#[derive(Default)]
pub(super) struct Pauses(DefaultBackoff);

impl Iterator for Pauses {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        Some(self.0.next()?.min(LONGEST))
    }
}

impl Backoff for Pauses {
    fn reset(&mut self) {
        self.0.reset();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_pause_is_long() {
        let mut pauses: Vec<_> = Pauses::default().take(50).collect();
        assert_eq!(pauses.pop(), Some(LONGEST));
        assert!(pauses.first().is_some_and(|first| *first < LONGEST));
        assert!(pauses.iter().all(|pause| *pause <= LONGEST));
    }
}
