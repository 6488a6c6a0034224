//! The past of one Service, reading by reading: what the controller would have read, had it asked then.
//!
//! Each reading is an instant of a range query, and goes the way of any other: `answer` parses it, the
//! ledger makes totals that only grow. What is kept is the growth of the one revision that served.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::TimeDelta;
use kube::Client;
use sluice_core::{Counts, Slo, Time};
use sluice_crds::{OtlpNames, Source};

use super::answer;
use super::balance::counts;
use super::fetch::{Answer, Span, fetch_range};
use super::ledger::{Entries, Ledger};
use super::problem::Problem;
use super::query::{Asked, promql};
use super::source::Dialect;
use super::{Secrets, Server, Service};

/// Readings of one query. Prometheus gives 11,000 at most; a busy Service has hundreds of series.
const MOST_OF_A_QUERY: usize = 1_000;
/// Below that no query is cut.
const FEWEST_OF_A_QUERY: usize = 10;
/// Readings altogether: a week at 5 s, a month at 15 s.
const MOST: usize = 200_000;
/// How long a server may take, unless it is said: it reads hours, not an instant.
const PATIENCE: Duration = Duration::from_mins(1);

/// What to read.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Whom to ask.
    pub server: Server,
    /// Whose counters.
    pub source: Source,
    /// How that server writes OpenTelemetry's names.
    pub names: OtlpNames,
    /// The namespace of the Service.
    pub namespace: String,
    /// What its requests may be counted under: the Service's own name, or the target's; and whatever revision is
    /// named after it.
    pub bases: BTreeSet<String>,
    /// What to count.
    pub slos: Vec<Slo>,
    /// From when on.
    pub from: Time,
    /// Until when.
    pub to: Time,
    /// How far two readings are apart.
    pub interval: TimeDelta,
}

/// One reading.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// When it would have been asked for.
    pub at: Time,
    /// The growth since the last one, of the revision that had most requests; `None` where there was no data.
    pub growth: Option<Counts>,
}

/// All of them.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// In order of time, evenly apart.
    pub readings: Vec<Reading>,
    /// Under which names requests were counted.
    pub revisions: BTreeSet<String>,
    /// How many queries it took.
    pub queries: usize,
}

/// Why there is no history, in words for a person.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct HistoryError(String);

impl From<Problem> for HistoryError {
    fn from(problem: Problem) -> Self {
        Self(problem.to_string())
    }
}

impl Wanted {
    /// Reads it. `progress` hears how many readings of how many are there.
    ///
    /// # Errors
    /// When the server does not answer, or what it says is no whole answer.
    pub async fn read(
        &self,
        client: Option<Client>,
        mut progress: impl FnMut(usize, usize),
    ) -> Result<History, HistoryError> {
        let step = self.interval.num_milliseconds();
        let span = (self.to - self.from).num_milliseconds();
        let all = usize::try_from(span.checked_div(step).unwrap_or(-1)).unwrap_or_default();
        if step <= 0 || all < 2 {
            return Err(HistoryError(
                "there must be two readings at least: let it begin earlier, or read more often"
                    .to_owned(),
            ));
        }
        if all > MOST {
            return Err(HistoryError(format!(
                "{all} readings are too many, {MOST} are the most: let it begin later, or read less often"
            )));
        }
        let http = self.http(client).await?;
        let mut keeper = Keeper::new(self);
        let query = promql(keeper.dialect, &keeper.asked);
        let (mut done, mut chunk) = (0, MOST_OF_A_QUERY);
        while done < all {
            let count = chunk.min(all - done);
            let span = Span {
                start: self.instant(done),
                end: self.instant(done + count - 1),
                step: self.interval,
            };
            let limit = self.server.timeout.unwrap_or_default().max(PATIENCE);
            keeper.history.queries += 1;
            let answer = fetch_range(&http, &self.server.address, &query, span, limit).await;
            match answer {
                Err(Problem::TooLong { .. }) if chunk > FEWEST_OF_A_QUERY => {
                    chunk /= 2;
                    continue;
                }
                answer => keeper.book(done, count, &answer?)?,
            }
            done += count;
            progress(done, all);
        }
        Ok(keeper.history)
    }

    /// The readings lie on whole seconds, as far as the interval does.
    fn instant(&self, index: usize) -> Time {
        let from = self.from.timestamp();
        let from = Time::from_timestamp(from, 0).unwrap_or(self.from);
        let index = i32::try_from(index).unwrap_or(i32::MAX);
        from + self.interval * index
    }

    fn asked(&self) -> Asked {
        let service = |name: &String| Service {
            namespace: self.namespace.clone(),
            name: name.clone(),
        };
        Asked {
            services: self.bases.iter().map(service).collect(),
            revisions_too: true,
            thresholds: super::thresholds(&self.slos).collect(),
            names: self.names,
        }
    }

    async fn http(&self, client: Option<Client>) -> Result<reqwest::Client, HistoryError> {
        if self.server.credentials.is_none() {
            return Ok(self.server.bare(None)?);
        }
        let missing =
            "the server wants credentials from a Secret, and there is no kubeconfig to read it";
        let client = client.ok_or_else(|| HistoryError(missing.to_owned()))?;
        Ok(self.server.client(&Secrets::new(client)).await?)
    }
}

/// Makes growth of totals.
struct Keeper<'a> {
    wanted: &'a Wanted,
    dialect: &'static Dialect,
    asked: Asked,
    ledger: Ledger,
    /// Everybody who was ever counted.
    services: BTreeSet<Service>,
    before: BTreeMap<Service, Counts>,
    history: History,
}

impl<'a> Keeper<'a> {
    fn new(wanted: &'a Wanted) -> Self {
        Self {
            wanted,
            dialect: Dialect::of(wanted.source),
            asked: wanted.asked(),
            ledger: Ledger::default(),
            services: BTreeSet::new(),
            before: BTreeMap::new(),
            history: History::default(),
        }
    }

    /// Books so many readings from the answer to one query.
    fn book(&mut self, first: usize, count: usize, (status, body): &Answer) -> Result<(), Problem> {
        let series = answer::matrix(*status, body)?;
        let (start, step) = (self.wanted.instant(first), self.wanted.interval);
        for (index, instant) in answer::instants(series, start, step, count).enumerate() {
            let mut entries = answer::entries(self.dialect, &self.asked, instant);
            for row in &mut entries.rows {
                // An answer of the proxy itself is bad: nobody says that the mesh was behind then.
                row.counters = row.counters.clone().blamed();
            }
            self.take(self.wanted.instant(first + index), entries);
        }
        Ok(())
    }

    fn take(&mut self, at: Time, entries: Entries) {
        let seen = entries.rows.iter().map(|row| row.service.clone());
        self.services.extend(seen);
        self.ledger.take(&self.services, entries);
        let mut most: Option<Counts> = None;
        let mut spoiled = false;
        for service in &self.services {
            let Some(account) = self.ledger.account(service) else {
                continue;
            };
            spoiled |= account.spoiled().is_some();
            let now = counts(Some(account), &self.wanted.slos);
            let before = self.before.insert(service.clone(), now.clone());
            // Of one whose series are away nothing is known; it may never come back.
            if account.absent() > 0 {
                continue;
            }
            let growth = now.since(&before.unwrap_or_default());
            if most
                .as_ref()
                .is_none_or(|most| most.requests < growth.requests)
            {
                most = Some(growth);
            }
            self.history.revisions.insert(service.name.clone());
        }
        let growth = most.filter(|_| !spoiled);
        self.history.readings.push(Reading { at, growth });
    }
}

#[cfg(test)]
mod tests;
