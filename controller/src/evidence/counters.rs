//! The counters of one process for one set of labels, and the events that their growth means.

use std::collections::BTreeMap;

use sluice_core::Tally;

use super::Service;
use super::callers::Caller;
use super::source::{Counted, Labels, Outcome};

/// One reading of counters that always grow together.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Row {
    /// Whose requests.
    pub(super) service: Service,
    /// Which process counts: the values of [`super::source::Dialect::origin`].
    pub(super) origin: Vec<String>,
    /// What else tells it from other rows.
    pub(super) labels: Labels,
    /// The values.
    pub(super) counters: Counters,
}

/// The values, since the process started to count.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Counters {
    /// Requests of one outcome.
    Requests(Outcome, u64),
    /// Requests by duration: all, and for some thresholds in milliseconds those within it.
    Durations(u64, BTreeMap<u64, u64>),
    /// Connections or flows, and who opened them if that is known.
    Connections(Counted, Option<Caller>, u64),
}

impl Counters {
    /// The same, with answers of a proxy that reached no pod as what they are to a user: bad.
    pub(super) fn blamed(self) -> Self {
        match self {
            Self::Requests(Outcome::Unreached, events) => Self::Requests(Outcome::Bad, events),
            other => other,
        }
    }

    /// Requests or connections, if it counts those.
    pub(super) fn requests(&self) -> u64 {
        match self {
            Self::Requests(_, events) | Self::Connections(_, _, events) => *events,
            Self::Durations(..) => 0,
        }
    }

    /// What is known after an older reading comes after a newer one: counters only grow.
    pub(super) fn at_least(self, before: &Self) -> Self {
        match (self, before) {
            (Self::Requests(outcome, now), Self::Requests(_, before)) => {
                Self::Requests(outcome, now.max(*before))
            }
            (Self::Connections(counted, caller, now), Self::Connections(_, _, before)) => {
                Self::Connections(counted, caller, now.max(*before))
            }
            (Self::Durations(now, mut within), Self::Durations(before, within_before)) => {
                for (ms, now) in &mut within {
                    let before = within_before.get(ms).copied().unwrap_or_default();
                    *now = before.max(*now);
                }
                Self::Durations(now.max(*before), within)
            }
            (now, _) => now,
        }
    }

    /// The growth since an earlier reading. A threshold that was not read then has none yet.
    pub(super) fn since(&self, before: &Self) -> Self {
        match (self, before) {
            (Self::Requests(outcome, now), Self::Requests(_, before)) => {
                Self::Requests(*outcome, now.saturating_sub(*before))
            }
            (Self::Connections(counted, caller, now), Self::Connections(_, _, before)) => {
                Self::Connections(*counted, caller.clone(), now.saturating_sub(*before))
            }
            (Self::Durations(now, within), Self::Durations(before, within_before)) => {
                let growth = within.iter().filter_map(|(ms, now)| {
                    let before = within_before.get(ms)?;
                    Some((*ms, now.saturating_sub(*before)))
                });
                Self::Durations(now.saturating_sub(*before), growth.collect())
            }
            _ => self.clone(),
        }
    }
}

/// Events of one Service, over all processes and restarts.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Events {
    pub(super) good: u64,
    pub(super) bad: u64,
    pub(super) unanswered: u64,
    /// Answered by a proxy that reached no pod while nobody is to blame for that.
    pub(super) unreached: u64,
    /// By threshold in milliseconds. Events without a bucket at a threshold are in no tally of it:
    /// neither fast nor slow.
    pub(super) within: BTreeMap<u64, Tally>,
    /// Connections by who opened them.
    pub(super) callers: BTreeMap<Caller, u64>,
    /// Connections or flows of the readings that are closed, by how they went.
    pub(super) connections: Tally,
    /// Those of the present reading.
    reading: Connections,
}

/// Connections or flows of one reading.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Connections {
    begun: u64,
    good: u64,
    bad: u64,
}

impl Events {
    /// Adds the growth of some counters.
    pub(super) fn add(&mut self, growth: &Counters) {
        let add = |sum: &mut u64, more: u64| *sum = sum.saturating_add(more);
        match growth {
            Counters::Requests(Outcome::Good, more) => add(&mut self.good, *more),
            Counters::Requests(Outcome::Bad, more) => add(&mut self.bad, *more),
            Counters::Requests(Outcome::Unanswered, more) => add(&mut self.unanswered, *more),
            Counters::Requests(Outcome::Unreached, more) => add(&mut self.unreached, *more),
            Counters::Connections(counted, caller, more) => {
                if let Some(caller) = caller {
                    add(self.callers.entry(caller.clone()).or_default(), *more);
                }
                match counted {
                    Counted::Begun => add(&mut self.reading.begun, *more),
                    Counted::Good => add(&mut self.reading.good, *more),
                    Counted::Bad => add(&mut self.reading.bad, *more),
                }
            }
            Counters::Durations(all, within) => {
                for (ms, fast) in within {
                    let tally = self.within.entry(*ms).or_default();
                    add(&mut tally.good, *fast);
                    add(&mut tally.total, (*all).max(*fast));
                }
            }
        }
    }

    /// Closes a reading. What began in it was good unless it failed in it. What fails in a later one was
    /// good then, and is bad now: one more event, for a share of the connections that began could be more than all.
    pub(super) fn close(&mut self) {
        let Connections { begun, good, bad } = std::mem::take(&mut self.reading);
        let good = good.saturating_add(begun.saturating_sub(bad));
        let Tally { good: sum, total } = &mut self.connections;
        *sum = sum.saturating_add(good);
        *total = total.saturating_add(good).saturating_add(bad);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn durations(all: u64, within: &[(u64, u64)]) -> Counters {
        Counters::Durations(all, within.iter().copied().collect())
    }

    #[test]
    fn growth_of_a_histogram_is_fast_and_slow_events() {
        let growth = durations(30, &[(100, 20), (250, 25)]).since(&durations(10, &[(250, 10)]));
        assert_eq!(growth, durations(20, &[(250, 15)]));
        let mut events = Events::default();
        events.add(&growth);
        let tally = Tally {
            good: 15,
            total: 20,
        };
        assert_eq!(events.within, BTreeMap::from([(250, tally)]));
    }

    #[test]
    fn a_connection_that_breaks_later_is_one_more_event() {
        let mut events = Events::default();
        let mut read = |begun, bad| {
            events.add(&Counters::Connections(Counted::Begun, None, begun));
            events.add(&Counters::Connections(Counted::Bad, None, bad));
            events.close();
            (events.connections.good, events.connections.total)
        };
        assert_eq!(read(10, 0), (10, 10));
        assert_eq!(read(10, 4), (16, 20));
        // Four of the first ten, while nobody connects.
        assert_eq!(read(0, 4), (16, 24));
    }

    #[test]
    fn an_older_reading_changes_nothing() {
        let before = durations(10, &[(100, 5), (250, 8)]);
        let older = durations(9, &[(250, 7), (500, 9)]);
        assert_eq!(older.since(&before), durations(0, &[(250, 0)]));
        assert_eq!(
            older.at_least(&before),
            durations(10, &[(250, 8), (500, 9)])
        );
    }
}
