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

/// What one rollout got of one source.
#[derive(Debug, Default)]
pub(super) struct Connected {
    /// The first reading of it and the last: an account may be older than the rollout.
    readings: Option<(Tallies, Tallies)>,
    /// When the last one was begun.
    at: Option<Time>,
    /// Why there is none since.
    pub(super) problem: Option<String>,
}

impl Connected {
    /// Books a reading that was begun at `started`.
    pub(super) fn take(
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
            Err(problem) => self.problem = Some(format!("{}: {problem}", metric.name)),
        }
    }

    /// What happened since the first reading.
    pub(super) fn tallies(&self) -> Tallies {
        let ((stable_before, before), (stable, candidate)) = self.readings.unwrap_or_default();
        (stable.since(stable_before), candidate.since(before))
    }

    /// Notes if no reading came for so long: a server may hang for longer than a source is fresh.
    pub(super) fn look(&mut self, metric: &Connections, now: Time, stale_after: TimeDelta) {
        if self.at.is_some_and(|at| now - at > stale_after) && self.problem.is_none() {
            self.problem = Some(format!("{}: there is no answer yet", metric.name));
        }
    }
}

/// What keeps SLOs of a rollout from being counted, by their names.
pub(super) fn gaps(
    subscription: &Subscription,
    connected: &BTreeMap<&'static str, Connected>,
) -> impl Iterator<Item = (String, String)> {
    let slos = subscription.layer4.iter();
    slos.filter_map(|(slo, source)| {
        let problem = connected
            .get(Connections::of(*source).name)?
            .problem
            .clone()?;
        Some((slo.clone(), problem))
    })
}
