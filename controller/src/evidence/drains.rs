//! Who still asks what left the route: by that a drain knows a proxy that does not follow yet.

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;
use sluice_core::{RevisionName, Span, Time};
use sluice_crds::{OtlpNames, Source};

use super::balance::counts;
use super::book::{Group, covered};
use super::ledger::Ledger;
use super::source::Dialect;
use super::{Server, Service};

/// The revisions of a Canary that drain, and who counts their requests.
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

    /// The Services whose counters are needed.
    pub(super) fn services(&self) -> impl Iterator<Item = Service> {
        self.revisions.iter().map(|revision| self.service(revision))
    }

    fn service(&self, revision: &RevisionName) -> Service {
        Service {
            namespace: self.namespace.clone(),
            name: revision.as_str().to_owned(),
        }
    }
}

/// What was read of them so far.
#[derive(Debug)]
pub(super) struct Watched {
    pub(super) drains: Drains,
    /// When each was read last, and the requests that it had had by then.
    read: BTreeMap<RevisionName, (Time, u64)>,
    stragglers: BTreeMap<RevisionName, Span>,
}

impl Watched {
    pub(super) fn new(drains: Drains) -> Self {
        Self {
            drains,
            read: BTreeMap::new(),
            stragglers: BTreeMap::new(),
        }
    }

    /// Others may drain from now on; what is known of those that still do is kept.
    pub(super) fn alter(&mut self, drains: Drains) {
        if drains.group() != self.drains.group() {
            *self = Self::new(drains);
            return;
        }
        self.read.retain(|name, _| drains.revisions.contains(name));
        self.stragglers
            .retain(|name, _| drains.revisions.contains(name));
        self.drains = drains;
    }

    /// When each was last asked, of those that were.
    pub(super) fn stragglers(&self) -> &BTreeMap<RevisionName, Span> {
        &self.stragglers
    }

    /// Books a reading that was begun at `started`; tells whether anybody was asked since the one before.
    pub(super) fn take(&mut self, ledger: &Ledger, started: Time) -> bool {
        let mut asked = false;
        for name in &self.drains.revisions {
            // It may have come to us while the reading was under way.
            let Some(account) = ledger.account(&self.drains.service(name)) else {
                continue;
            };
            let requests = counts(Some(account), &[]).requests;
            let before = self.read.insert(name.clone(), (started, requests));
            if let Some((read_at, had)) = before
                && requests > had
            {
                let span = Span {
                    from: covered(read_at, self.drains.interval),
                    to: started,
                };
                self.stragglers.insert(name.clone(), span);
                asked = true;
            }
        }
        asked
    }
}

#[cfg(test)]
mod tests;
