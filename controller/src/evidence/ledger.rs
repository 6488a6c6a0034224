//! Turns counters that restart, come and go into totals that only grow.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::Service;
use super::counters::{Counters, Events, Row};
use super::problem::Problem;
use super::source::Labels;

/// A process whose requests fell to less than one part in so many has restarted.
const RESTART_FALL: u64 = 2;

/// Which process counts: see [`Row::origin`].
type Origin = Vec<String>;

/// One whole reading.
#[derive(Debug, Default)]
pub(super) struct Entries {
    /// The counters.
    pub(super) rows: Vec<Row>,
    /// Services of which the reading says what no counter can: nothing is booked for them.
    pub(super) spoiled: BTreeMap<Service, Problem>,
    /// Services all of whose counters are younger than their accounts: of these a process counts from 0, however
    /// late it is first seen. Its own pods are so young, and so is what proxies that live longer say of them.
    pub(super) young: BTreeSet<Service>,
}

impl From<Vec<Row>> for Entries {
    fn from(rows: Vec<Row>) -> Self {
        Self {
            rows,
            ..Self::default()
        }
    }
}

/// The totals of every Service that is being read. One ledger per server and source.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    accounts: BTreeMap<Service, Account>,
    /// The number of the last reading.
    reading: u64,
    /// In which reading each process was last seen, with whatever Service.
    processes: HashMap<Origin, u64>,
}

/// The totals of one Service since it was first read, and what is needed to go on counting.
#[derive(Debug, Default)]
pub(super) struct Account {
    /// The events so far.
    events: Events,
    /// The last values of every process, also of those that are silent at present: one failed
    /// scrape hides all its series, and they come back where they were.
    last: HashMap<Origin, HashMap<Labels, Counters>>,
    /// The first reading that asked for it.
    begun: u64,
    /// Readings that had series of it.
    present: u32,
    /// Readings in a row that had none, after one that had.
    absent: u32,
    /// Whether the last reading had series of every process that ever counted for it.
    whole: bool,
    /// Whether its counters are younger than itself.
    young: bool,
    /// What the last reading said of it, if that was nonsense.
    spoiled: Option<Problem>,
}

impl Ledger {
    /// Books one whole reading; accounts that it did not ask for are closed.
    pub(super) fn take(&mut self, services: &BTreeSet<Service>, entries: impl Into<Entries>) {
        let Entries {
            rows,
            mut spoiled,
            young,
        } = entries.into();
        self.accounts
            .retain(|service, _| services.contains(service));
        self.reading = self.reading.saturating_add(1);
        let seen: HashSet<Origin> = rows.iter().map(|row| row.origin.clone()).collect();
        let mut of = BTreeMap::<Service, Vec<Row>>::new();
        for row in rows {
            of.entry(row.service.clone()).or_default().push(row);
        }
        for service in services {
            let account = self.accounts.entry(service.clone());
            let account = account.or_insert_with(|| Account::new(self.reading));
            let rows = of.remove(service).unwrap_or_default();
            account.spoiled = spoiled.remove(service);
            if account.spoiled.is_none() {
                account.young = young.contains(service) && account.begun < self.reading;
                account.take(rows, &self.processes);
            }
        }
        let reading = self.reading;
        self.processes
            .extend(seen.into_iter().map(|origin| (origin, reading)));
        // No account needs to know what was seen before it was begun.
        let oldest = self.accounts.values().map(|account| account.begun).min();
        self.processes
            .retain(|_, last| oldest.is_some_and(|oldest| *last >= oldest));
    }

    /// The account of a Service; `None` before its first reading.
    pub(super) fn account(&self, service: &Service) -> Option<&Account> {
        self.accounts.get(service)
    }
}

impl Account {
    fn new(begun: u64) -> Self {
        Self {
            begun,
            ..Self::default()
        }
    }

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

    /// Whether the last reading had all that there is to know of it: some series, and of every process that ever
    /// counted for it. So it is never again once one of these is gone for good.
    pub(super) fn is_whole(&self) -> bool {
        self.whole && self.spoiled.is_none()
    }

    /// Why the last reading has nothing of it.
    pub(super) fn spoiled(&self) -> Option<&Problem> {
        self.spoiled.as_ref()
    }

    /// Books the rows of one reading. `processes` are those of earlier readings.
    ///
    /// A series that is new counts from 0 only if its process was seen since the account was begun: then
    /// it did not have the series at that time. Else nobody knows how long the process had been counting
    /// when it was first scraped, and its past would be taken for growth. A candidate's own pods are the
    /// exception: all that they ever did is of this rollout, and one that crashes before it is scraped twice would
    /// go uncounted. So are its connections: those of a pod on a node of its own may all be opened at once.
    fn take(&mut self, rows: Vec<Row>, processes: &HashMap<Origin, u64>) {
        if !rows.is_empty() {
            self.present = self.present.saturating_add(1);
            self.absent = 0;
        } else if self.present > 0 {
            self.absent = self.absent.saturating_add(1);
        }
        self.forget_restarted(&rows);
        let read: HashSet<_> = rows.iter().map(|row| row.origin.clone()).collect();
        self.whole = !read.is_empty() && self.last.keys().all(|origin| read.contains(origin));
        for row in rows {
            let last_seen = processes.get(&row.origin);
            let was_seen = last_seen.is_some_and(|reading| *reading >= self.begun);
            let process = self.last.entry(row.origin).or_default();
            let (growth, known) = match process.get(&row.labels) {
                Some(before) => (row.counters.since(before), row.counters.at_least(before)),
                None if was_seen || self.young => (row.counters.clone(), row.counters),
                None => (row.counters.since(&row.counters), row.counters),
            };
            self.events.add(&growth);
            process.insert(row.labels, known);
        }
        self.events.close();
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
mod tests;
