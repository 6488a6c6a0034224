//! Turns counters that restart, come and go into totals that only grow.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::Service;
use super::counters::{Counters, Events, Row};
use super::source::Labels;

/// A process whose requests fell to less than one part in so many has restarted.
const RESTART_FALL: u64 = 2;

/// The totals of every Service that is being read. One ledger per server and source.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    accounts: BTreeMap<Service, Account>,
}

/// The totals of one Service since it was first read, and what is needed to go on counting.
#[derive(Debug, Default)]
pub(super) struct Account {
    /// The events so far.
    events: Events,
    /// The last values of every process, also of those that are silent at present: one failed
    /// scrape hides all its series, and they come back where they were.
    last: HashMap<Vec<String>, HashMap<Labels, Counters>>,
    /// Whether it was read before.
    begun: bool,
    /// Readings that had series of it.
    present: u32,
    /// Readings in a row that had none, after one that had.
    absent: u32,
}

impl Ledger {
    /// Books one whole reading; accounts that it did not ask for are closed.
    pub(super) fn take(&mut self, services: &BTreeSet<Service>, rows: Vec<Row>) {
        self.accounts
            .retain(|service, _| services.contains(service));
        let mut of = BTreeMap::<Service, Vec<Row>>::new();
        for row in rows {
            of.entry(row.service.clone()).or_default().push(row);
        }
        for service in services {
            let account = self.accounts.entry(service.clone()).or_default();
            account.take(of.remove(service).unwrap_or_default());
        }
    }

    /// The account of a Service; `None` before its first reading.
    pub(super) fn account(&self, service: &Service) -> Option<&Account> {
        self.accounts.get(service)
    }
}

impl Account {
    /// The events so far.
    pub(super) fn events(&self) -> &Events {
        &self.events
    }

    /// Readings that had series of it.
    pub(super) fn present(&self) -> u32 {
        self.present
    }

    /// Readings in a row that had none, after one that had.
    pub(super) fn absent(&self) -> u32 {
        self.absent
    }

    fn take(&mut self, rows: Vec<Row>) {
        if !rows.is_empty() {
            self.present = self.present.saturating_add(1);
            self.absent = 0;
        } else if self.present > 0 {
            self.absent = self.absent.saturating_add(1);
        }
        self.forget_restarted(&rows);
        for row in rows {
            let process = self.last.entry(row.origin).or_default();
            let (growth, known) = match process.get(&row.labels) {
                Some(before) => (row.counters.since(before), row.counters.at_least(before)),
                // What was counted before we came is not ours.
                None if !self.begun => (row.counters.since(&row.counters), row.counters),
                // New since the last reading: so are all its events.
                None => (row.counters.clone(), row.counters),
            };
            self.events.add(&growth);
            process.insert(row.labels, known);
        }
        self.begun = true;
    }

    /// Forgets the values of processes that have restarted.
    ///
    /// They are recognised by the requests of all their series: some of these may have outgrown
    /// their old value already, others are still to appear. A small fall is no restart but an older
    /// reading, from another server behind the same address: two that scrape the same targets
    /// disagree by up to one interval. To take that for a restart would count all of the past again.
    fn forget_restarted(&mut self, rows: &[Row]) {
        let mut now = HashMap::<&[String], u64>::new();
        for row in rows {
            let requests = now.entry(&row.origin).or_default();
            *requests = requests.saturating_add(row.counters.requests());
        }
        for (origin, now) in now {
            if let Some(process) = self.last.get_mut(origin) {
                let before = process.values().map(Counters::requests);
                let before = before.fold(0, u64::saturating_add);
                if now < before / RESTART_FALL {
                    process.clear();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use super::*;
    use crate::evidence::source::Outcome;
    use sluice_core::Tally;

    fn service(name: &str) -> Service {
        Service {
            namespace: "shop".to_owned(),
            name: name.to_owned(),
        }
    }

    fn row(waypoint: &str, code: &str, counters: Counters) -> Row {
        Row {
            service: service("web"),
            origin: vec![waypoint.to_owned()],
            labels: Labels::from([("response_code".to_owned(), code.to_owned())]),
            counters,
        }
    }

    fn ok(waypoint: &str, requests: u64) -> Row {
        row(waypoint, "200", Counters::Requests(Outcome::Good, requests))
    }

    fn failed(waypoint: &str, requests: u64) -> Row {
        row(waypoint, "500", Counters::Requests(Outcome::Bad, requests))
    }

    /// (good, bad) after each reading.
    fn book(readings: impl IntoIterator<Item = Vec<Row>>) -> Vec<(u64, u64)> {
        let mut ledger = Ledger::default();
        let services = BTreeSet::from([service("web")]);
        let mut take = |rows| {
            ledger.take(&services, rows);
            let events = ledger.account(&service("web")).unwrap().events();
            (events.good, events.bad)
        };
        readings.into_iter().map(&mut take).collect()
    }

    #[test]
    fn counting_starts_with_the_first_reading() {
        let totals = book([
            vec![ok("a", 1000), failed("a", 7)],
            vec![ok("a", 1010), failed("a", 7)],
        ]);
        assert_eq!(totals, [(0, 0), (10, 0)]);
    }

    #[test]
    fn a_series_that_appears_later_counts_from_zero() {
        let totals = book([vec![], vec![ok("a", 5)], vec![ok("a", 6), failed("a", 50)]]);
        assert_eq!(totals, [(0, 0), (5, 0), (6, 50)]);
    }

    #[test]
    fn a_restart_counts_from_zero() {
        let totals = book([vec![ok("a", 1000)], vec![ok("a", 40)], vec![ok("a", 45)]]);
        assert_eq!(totals, [(0, 0), (40, 0), (45, 0)]);
    }

    #[test]
    fn a_restart_concerns_every_counter_of_the_process() {
        let totals = book([
            vec![ok("a", 1000), failed("a", 3)],
            // Three new errors, which look like the three old ones.
            vec![ok("a", 40), failed("a", 3)],
            vec![ok("a", 41), failed("a", 3)],
        ]);
        assert_eq!(totals, [(0, 0), (40, 3), (41, 3)]);
    }

    #[test]
    fn a_restart_shows_even_in_what_is_missing() {
        let totals = book([
            vec![ok("a", 1000), failed("a", 3)],
            vec![failed("a", 2)],
            vec![failed("a", 3), ok("a", 1)],
        ]);
        assert_eq!(totals, [(0, 0), (0, 2), (1, 3)]);
    }

    #[test]
    fn an_older_reading_is_no_restart() {
        let totals = book([
            vec![ok("a", 1000), failed("a", 3)],
            vec![ok("a", 1040), failed("a", 4)],
            vec![ok("a", 1030), failed("a", 3)],
            vec![ok("a", 1060), failed("a", 4)],
        ]);
        assert_eq!(totals, [(0, 0), (40, 1), (40, 1), (60, 1)]);
    }

    #[test]
    fn a_counter_that_returns_late_after_a_restart_is_no_second_restart() {
        let totals = book([
            vec![ok("a", 1000), failed("a", 3)],
            vec![ok("a", 40)],
            vec![ok("a", 50), failed("a", 2)],
        ]);
        assert_eq!(totals, [(0, 0), (40, 0), (50, 2)]);
    }

    #[test]
    fn a_restart_of_one_replica_leaves_the_others() {
        let totals = book([
            vec![ok("a", 100), ok("b", 100)],
            vec![ok("a", 110), ok("b", 5)],
            vec![ok("a", 120), ok("b", 6), ok("c", 9)],
        ]);
        assert_eq!(totals, [(0, 0), (15, 0), (35, 0)]);
    }

    #[test]
    fn a_series_that_comes_back_goes_on() {
        let totals = book([
            vec![ok("a", 100), ok("b", 10)],
            vec![ok("b", 12)],
            vec![],
            vec![ok("a", 130), ok("b", 13)],
        ]);
        assert_eq!(totals, [(0, 0), (2, 0), (2, 0), (33, 0)]);
    }

    #[test]
    fn absence_is_counted_only_after_presence() {
        let mut ledger = Ledger::default();
        let services = BTreeSet::from([service("web")]);
        let mut seen = Vec::new();
        for rows in [vec![], vec![ok("a", 1)], vec![], vec![], vec![ok("a", 1)]] {
            ledger.take(&services, rows);
            let account = ledger.account(&service("web")).unwrap();
            seen.push((account.present(), account.absent()));
        }
        assert_eq!(seen, [(0, 0), (1, 0), (1, 1), (1, 2), (2, 0)]);
    }

    #[test]
    fn a_service_that_is_asked_for_again_starts_anew() {
        let mut ledger = Ledger::default();
        let services = BTreeSet::from([service("web")]);
        ledger.take(&services, vec![]);
        ledger.take(&services, vec![ok("a", 100)]);
        ledger.take(&BTreeSet::new(), vec![ok("a", 110)]);
        assert!(ledger.account(&service("web")).is_none());
        ledger.take(&services, vec![ok("a", 120)]);
        let account = ledger.account(&service("web")).unwrap();
        assert_eq!(account.events().good, 0);
    }

    #[test]
    fn thresholds_start_when_they_are_first_read() {
        let mut ledger = Ledger::default();
        let services = BTreeSet::from([service("web")]);
        let timed = |all, within: &[(u64, u64)]| {
            let within = within.iter().copied().collect();
            vec![row("a", "200", Counters::Durations(all, within))]
        };
        ledger.take(&services, timed(100, &[(250, 90)]));
        ledger.take(&services, timed(200, &[(250, 180), (500, 199)]));
        ledger.take(&services, timed(210, &[(250, 188), (500, 208)]));
        let within = &ledger.account(&service("web")).unwrap().events().within;
        let tally = |good, total| Tally { good, total };
        assert_eq!(within.get(&250), Some(&tally(98, 110)));
        assert_eq!(within.get(&500), Some(&tally(9, 10)));
    }
}
