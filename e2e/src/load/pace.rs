//! When requests are due.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

use super::Control;

/// Requests that could not start within this time after they were due are dropped and counted:
/// after a stall a real population of users does not send all at once what it could not send before.
const MAX_LAG: Duration = Duration::from_secs(1);
/// Faster than this is a mistake on a machine that the cluster shares.
const MAX_RATE: f64 = 20_000.0;

/// An even schedule, shared by all clients: whoever is free takes the next place in it.
#[derive(Debug)]
pub(super) struct Pace(Mutex<Schedule>);

#[derive(Debug)]
struct Schedule {
    rate: f64,
    next: Instant,
    skipped: u64,
}

impl Pace {
    pub(super) fn new(start: Instant) -> Self {
        Self(Mutex::new(Schedule {
            rate: 0.0,
            next: start,
            skipped: 0,
        }))
    }

    /// Waits for the next request to be due. Returns the time from which its latency counts, or
    /// `None` once the load is stopped.
    pub(super) async fn arrival(&self, told: &mut watch::Receiver<Control>) -> Option<Instant> {
        loop {
            let Control { rate, stopped } = *told.borrow_and_update();
            if stopped {
                return None;
            }
            let due = self.0.lock().draw(rate, Instant::now());
            let wait = async {
                match due {
                    Some(due) if due <= Instant::now() => due,
                    Some(due) => {
                        sleep_until(due).await;
                        // The timer's granularity (1 ms) is not the server's latency.
                        Instant::now()
                    }
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                due = wait => return Some(due),
                // A new rate makes a place in the old schedule void.
                changed = told.changed() => if changed.is_err() { return None },
            }
        }
    }

    /// Requests that were due but never sent, because every client was busy.
    pub(super) fn skipped(&self) -> u64 {
        self.0.lock().skipped
    }
}

impl Schedule {
    fn draw(&mut self, rate: f64, now: Instant) -> Option<Instant> {
        if rate.to_bits() != self.rate.to_bits() {
            self.rate = rate;
            self.next = now;
        }
        if rate <= 0.0 {
            return None;
        }
        let interval = Duration::from_secs_f64(1.0 / rate.min(MAX_RATE));
        while self.next + MAX_LAG < now {
            self.next += interval;
            self.skipped += 1;
        }
        let due = self.next;
        self.next += interval;
        Some(due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_even_and_a_new_rate_starts_at_once() {
        let start = Instant::now();
        let mut schedule = Schedule {
            rate: 0.0,
            next: start,
            skipped: 0,
        };
        let millis = |due: Option<Instant>| due.map(|due| (due - start).as_millis());
        assert_eq!(millis(schedule.draw(100.0, start)), Some(0));
        assert_eq!(millis(schedule.draw(100.0, start)), Some(10));
        assert_eq!(millis(schedule.draw(0.0, start)), None);
        let later = start + Duration::from_millis(500);
        assert_eq!(millis(schedule.draw(1000.0, later)), Some(500));
        assert_eq!(millis(schedule.draw(1000.0, later)), Some(501));
    }

    #[test]
    fn a_stall_is_counted_and_not_made_up_for() {
        let start = Instant::now();
        let mut schedule = Schedule {
            rate: 10.0,
            next: start,
            skipped: 0,
        };
        let due = schedule.draw(10.0, start + Duration::from_secs(3));
        assert_eq!(due, Some(start + Duration::from_secs(2)));
        assert_eq!(schedule.skipped, 20);
    }
}
