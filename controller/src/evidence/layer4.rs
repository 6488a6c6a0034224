//! SLOs on layer 4: what the source of connections says of one rollout, beside the source of its requests.
//!
//! Each such source is read for all rollouts at once, on its own beat. A sample of requests takes along what was
//! read last.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use sluice_core::{Tally, Time};

use super::Subscription;
use super::balance::present;
use super::ledger::{Account, Ledger};
use super::problem::Problem;
use super::source::Connections;

/// Connections of the stable revision, and of the candidate.
type Tallies = (Tally, Tally);

/// What one rollout got, by the source.
#[derive(Debug, Default)]
pub(super) struct Layer4(BTreeMap<&'static str, Connected>);

impl Layer4 {
    /// Books a reading that was begun at `started`, if an SLO is about what it counts.
    pub(super) fn take(
        &mut self,
        metric: &Connections,
        subscription: &Subscription,
        reading: Result<&Ledger, &Problem>,
        started: Time,
    ) {
        if subscription.judges(metric) {
            let connected = self.0.entry(metric.name).or_default();
            connected.take(metric, subscription, reading, started);
        }
    }

    /// Notes the sources of which no reading came for so long: a server may hang for longer than they are fresh.
    pub(super) fn look(&mut self, now: Time, stale_after: TimeDelta) {
        for connected in self.0.values_mut() {
            if connected.at.is_some_and(|at| now - at > stale_after) && connected.problem.is_none()
            {
                connected.problem = Some("there is no answer yet".to_owned());
            }
        }
    }

    /// What happened since the first reading, of an SLO; `None` if there was none.
    pub(super) fn tallies(&self, subscription: &Subscription, slo: &str) -> Option<Tallies> {
        let source = Connections::of(*subscription.layer4.get(slo)?);
        Some(self.0.get(source.name)?.tallies())
    }

    /// What keeps SLOs from being counted, by their names.
    pub(super) fn gaps(&self, subscription: &Subscription) -> BTreeMap<String, String> {
        let slos = subscription.layer4.iter();
        let gaps = slos.filter_map(|(slo, source)| {
            let source = Connections::of(*source).name;
            let problem = self.0.get(source)?.problem.as_ref()?;
            Some((slo.clone(), format!("{source}: {problem}")))
        });
        gaps.collect()
    }
}

/// What one rollout got of one source.
#[derive(Debug, Default)]
struct Connected {
    /// The first reading of it and the last: an account may be older than the rollout.
    readings: Option<(Tallies, Tallies)>,
    /// When the last one was begun.
    at: Option<Time>,
    /// Why there is none since.
    problem: Option<String>,
}

impl Connected {
    fn take(
        &mut self,
        metric: &Connections,
        subscription: &Subscription,
        reading: Result<&Ledger, &Problem>,
        started: Time,
    ) {
        let read = reading.map_err(Problem::clone).and_then(|ledger| {
            let services = subscription.services();
            let accounts = services.filter_map(|s| Some((ledger.account(&s)?, s)));
            present(&accounts.collect::<Vec<_>>(), true, metric.hint)?;
            let tally = |revision: &_| {
                let account = ledger.account(&subscription.service(revision));
                account
                    .map(Account::events)
                    .map(|events| events.connections)
            };
            let stable = subscription.stable.as_ref().and_then(tally);
            let candidate = tally(&subscription.candidate);
            Ok((stable.unwrap_or_default(), candidate.unwrap_or_default()))
        });
        match read {
            Ok(last) => {
                let first = self.readings.map_or(last, |(first, _)| first);
                self.readings = Some((first, last));
                self.at = Some(started);
                self.problem = None;
            }
            Err(problem) => self.problem = Some(problem.to_string()),
        }
    }

    fn tallies(&self) -> Tallies {
        let ((stable_before, before), (stable, candidate)) = self.readings.unwrap_or_default();
        (stable.since(stable_before), candidate.since(before))
    }
}
