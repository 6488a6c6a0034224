//! Who still asks what left the route: by that a drain knows a proxy that does not follow yet.

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;
use sluice_core::{Leaving, RevisionName, Sight, Span, Time};
use sluice_crds::{OtlpNames, Source};

use super::balance::counts;
use super::book::{Group, covered, stale_after};
use super::ledger::Ledger;
use super::source::Dialect;
use super::{Server, Service};

/// The revisions of a Canary that drain, perhaps none, and who counts their requests.
#[derive(Clone, Debug, PartialEq)]
pub struct Drains {
    /// Whom to ask.
    pub server: Server,
    /// How often that server scrapes the source.
    pub interval: TimeDelta,
    /// Whose counters.
    pub source: Source,
    /// How that server writes OpenTelemetry's names.
    pub names: OtlpNames,
    /// The namespace of the revisions' Services.
    pub namespace: String,
    /// Their Services.
    pub revisions: BTreeSet<RevisionName>,
}

impl Drains {
    /// What they are read with: the same query as all rollouts of that server and source.
    pub(super) fn group(&self) -> Group {
        Group {
            server: self.server.clone(),
            source: Dialect::of(self.source).name,
            names: self.names,
            alone: None,
        }
    }

    /// Whether they are read with this.
    pub(super) fn is_of(&self, group: &Group) -> bool {
        !self.revisions.is_empty() && self.group() == *group
    }

    /// The Services whose counters are needed.
    pub(super) fn services(&self) -> impl Iterator<Item = Service> {
        self.revisions.iter().map(|revision| self.service(revision))
    }

    fn service(&self, revision: &RevisionName) -> Service {
        Service::of(&self.namespace, revision)
    }
}

/// What was read of them so far.
#[derive(Debug)]
pub(super) struct Watched {
    pub(super) drains: Drains,
    /// Tells it from another of the same Canary, earlier or later.
    pub(super) number: u64,
    since: Time,
    /// When each was read last, and the requests that it had had by then.
    read: BTreeMap<RevisionName, (Time, u64)>,
    sights: BTreeMap<RevisionName, Sight>,
}

impl Watched {
    pub(super) fn new(drains: Drains, number: u64, now: Time) -> Self {
        Self {
            drains,
            number,
            since: now,
            read: BTreeMap::new(),
            sights: BTreeMap::new(),
        }
    }

    /// Others may drain from now on; what is known of those that still do is kept.
    pub(super) fn alter(&mut self, drains: Drains) {
        self.read.retain(|name, _| drains.revisions.contains(name));
        self.sights
            .retain(|name, _| drains.revisions.contains(name));
        self.drains = drains;
    }

    /// What was seen of them.
    pub(super) fn leaving(&self) -> Leaving {
        Leaving {
            since: self.since,
            patience: stale_after(self.drains.interval),
            sights: self.sights.clone(),
        }
    }

    /// Books a reading that was begun at `started`; tells whether anything can be said of any of them.
    pub(super) fn take(&mut self, ledger: &Ledger, started: Time) -> bool {
        let mut told = false;
        for name in &self.drains.revisions {
            // It may have come to us while the reading was under way. And what a proxy does that is not scraped goes
            // unseen: it may be as short of time to follow the route as to answer.
            let account = ledger.account(&self.drains.service(name));
            let Some(account) = account.filter(|account| account.is_whole()) else {
                continue;
            };
            let requests = counts(Some(account), &[]).requests;
            let before = self.read.insert(name.clone(), (started, requests));
            let Some((read_at, had)) = before else {
                continue;
            };
            let read = Span {
                from: covered(read_at, self.drains.interval),
                to: started,
            };
            let earlier = self.sights.get(name).and_then(|sight| sight.asked);
            let asked = if requests > had { Some(read) } else { earlier };
            self.sights.insert(name.clone(), Sight { read, asked });
            told = true;
        }
        told
    }
}

#[cfg(test)]
mod tests;
