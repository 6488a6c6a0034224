//! Polling: one task per server and source, so that a hanging server delays only its own.

mod past;

use std::collections::HashMap;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chrono::{TimeDelta, Utc};
use futures::future::join_all;
use parking_lot::Mutex;
use sluice_core::{Evidence, Leaving};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::answer;
use super::beat::Beat;
use super::book::{Book, Group, Wanted};
use super::fetch::{Answer, fetch};
use super::ledger::Ledger;
use super::own::{Numbers, Own, numbers};
use super::past::Register;
use super::problem::Problem;
use super::query::{self, promql, scrapes};
use super::{Drains, Key, Secrets, Server, Subscription};
use crate::observe::Absence;

/// How long credentials are used before the Secret is read again.
const ROTATION: Duration = Duration::from_mins(1);
/// How long a server may take unless it is said: as long as an interval, within these.
const LEAST_PATIENCE: Duration = Duration::from_secs(1);
const MOST_PATIENCE: Duration = Duration::from_secs(10);
/// Readings for new subscriptions are this part of an interval apart at least, within these limits: many rollouts may
/// start at once.
const GATHER: u32 = 4;
const LEAST_GATHER: Duration = Duration::from_millis(100);
const MOST_GATHER: Duration = Duration::from_secs(1);

/// Reads the counters of all rollouts. Clones share everything.
#[derive(Clone, Debug)]
pub struct Reader {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    http: reqwest::Client,
    secrets: Secrets,
    absence: Absence,
    /// Never held across an await.
    book: Mutex<Book>,
    /// Marked whenever the book's subscriptions change.
    news: watch::Sender<()>,
    /// Who wants to know of the past. Never held across an await either.
    register: Mutex<Register>,
    /// Marked whenever there is somebody new in it.
    newcomers: watch::Sender<()>,
    queries: AtomicU64,
    failures: AtomicU64,
}

impl Reader {
    /// A reader that asks by this client, or by one with what a server asks for beside. While the mesh may not know where a revision's pods are, requests
    /// that reached none are not counted against it.
    #[must_use]
    pub fn new(http: reqwest::Client, absence: Absence, secrets: Secrets) -> Self {
        Self {
            shared: Arc::new(Shared {
                http,
                secrets,
                absence,
                book: Mutex::default(),
                news: watch::Sender::new(()),
                register: Mutex::default(),
                newcomers: watch::Sender::new(()),
                queries: AtomicU64::new(0),
                failures: AtomicU64::new(0),
            }),
        }
    }

    /// Says what a Canary wants to have read from now on; `None` for nothing. To say the same again
    /// changes nothing. Samples are kept only while all but the interval stays the same: others
    /// would be counts of something else.
    pub fn subscribe(&self, key: Key, subscription: Option<Subscription>) {
        let changed = self.shared.book.lock().subscribe(key, subscription);
        if changed {
            self.shared.news.send_replace(());
        }
    }

    /// Says which revisions of a Canary drain from now on; `None` where it cannot be told who asks them.
    pub fn watch(&self, key: Key, drains: Option<Drains>) {
        let changed = self.shared.book.lock().watch(key, drains, Utc::now());
        if changed {
            self.shared.news.send_replace(());
        }
    }

    /// What was seen of those that drain.
    #[must_use]
    pub fn leaving(&self, key: &Key) -> Option<Leaving> {
        self.shared.book.lock().leaving(key)
    }

    /// What was read for a Canary so far.
    ///
    /// A sample's time is when the query was sent less one scrape interval: until then it is complete.
    #[must_use]
    pub fn evidence(&self, key: &Key) -> Evidence {
        self.shared.book.lock().evidence(key)
    }

    /// Queries sent by this process so far.
    #[must_use]
    pub fn queries(&self) -> u64 {
        self.shared.queries.load(Ordering::Relaxed)
    }

    /// Those of them that gave no usable answer.
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.shared.failures.load(Ordering::Relaxed)
    }

    /// Polls until told to stop. Calls `changed` for every Canary that has a new sample, or a new
    /// reason to have none, and for those of which something drains and was read.
    ///
    /// # Panics
    /// When `changed` does: without metrics the controller must not seem to be well.
    pub async fn run(
        self,
        changed: impl Fn(Key) + Send + Sync + 'static,
        mut shutdown: watch::Receiver<bool>,
    ) {
        let changed: Arc<dyn Fn(Key) + Send + Sync> = Arc::new(changed);
        let mut news = self.shared.news.subscribe();
        let mut tasks = JoinSet::new();
        let mut running = HashMap::new();
        tasks.spawn(self.clone().look_back(Arc::clone(&changed)));
        loop {
            news.mark_unchanged();
            for group in self.shared.book.lock().groups() {
                if !running.values().any(|other| *other == group) {
                    let poll = self.clone().poll(group.clone(), Arc::clone(&changed));
                    running.insert(tasks.spawn(poll).id(), group);
                }
            }
            // A task ends when its group has no members; if there are members again, the next
            // round of this loop starts another.
            tokio::select! {
                _ = shutdown.wait_for(|stop| *stop) => break,
                _ = news.changed() => {}
                Some(ended) = tasks.join_next_with_id() => match ended {
                    Ok((id, ())) => drop(running.remove(&id)),
                    Err(error) => {
                        running.remove(&error.id());
                        if let Ok(panic) = error.try_into_panic() {
                            resume_unwind(panic);
                        }
                    }
                },
            }
        }
        tasks.shutdown().await;
    }

    /// Reads one group until it has no members.
    async fn poll(self, group: Group, changed: Arc<dyn Fn(Key) + Send + Sync>) {
        let mut news = self.shared.news.subscribe();
        let mut ledger = Ledger::default();
        let mut door = Door::default();
        let mut beat = Beat::default();
        let mut last: Option<Instant> = None;
        let mut rest = Duration::ZERO;
        loop {
            news.mark_unchanged();
            let Some((interval, waited_for)) = self.shared.book.lock().pace(&group) else {
                return;
            };
            if let Some(last) = last {
                // From the last reading: late readings are not made up for.
                let pause = if waited_for {
                    (interval / GATHER).clamp(LEAST_GATHER, MOST_GATHER)
                } else {
                    rest.min(interval + interval / 2)
                };
                tokio::select! {
                    () = sleep_until(last + pause) => {}
                    _ = news.changed() => continue,
                }
            }
            last = Some(Instant::now());
            let Some(round) = self.shared.book.lock().begin(&group) else {
                return;
            };
            let started = Utc::now();
            let http = door.open(&group.server, &self.shared).await;
            let asked = Asking {
                http: http.as_ref(),
                server: &group.server,
                interval,
            };
            let own = match &round.wanted {
                Wanted::Requests { own, .. } => own.as_slice(),
                Wanted::Connections { .. } => &[],
            };
            // At once: what is compared should be of the same time.
            let (reading, own) = tokio::join!(
                self.read(asked, &round.wanted, &mut ledger),
                join_all(own.iter().map(|own| self.numbers(asked, own))),
            );
            if let Err(Problem::Refused {
                status: 401 | 403, ..
            }) = reading
            {
                door.close();
            }
            if let Err(problem) = &reading {
                let (address, source) = (&group.server.address, group.source);
                tracing::debug!(address, source, %problem, "reading the metrics failed");
            }
            let ages = reading.as_deref().unwrap_or_default();
            rest = beat.pause(interval, ages);
            let reading = reading.as_ref().map(|_| &ledger);
            let keys = {
                let mut book = self.shared.book.lock();
                book.note_own(&round, started, &own);
                match round.wanted {
                    Wanted::Requests { .. } => book.end(round, started, reading),
                    Wanted::Connections { metric, .. } => {
                        book.note_connections(round, metric, started, reading)
                    }
                }
            };
            for key in keys {
                changed(key);
            }
        }
    }

    /// Books one reading into the ledger; returns how old the newest samples are.
    async fn read(
        &self,
        asking: Asking<'_>,
        wanted: &Wanted,
        ledger: &mut Ledger,
    ) -> Result<Vec<Duration>, Problem> {
        let query = match wanted {
            Wanted::Requests { dialect, asked, .. } => {
                format!("{} or {}", promql(dialect, asked), scrapes(dialect, asked))
            }
            Wanted::Connections {
                metric,
                called,
                judged,
                ..
            } => query::connections(metric, called, *judged),
        };
        let answer = self.ask(asking, &query).await;
        let booked = answer.and_then(|answer| self.book(wanted, asking.interval, ledger, &answer));
        self.failed(&booked);
        booked
    }

    /// Reads a user's own query.
    async fn numbers(&self, asking: Asking<'_>, own: &Own) -> Result<Numbers, Problem> {
        let answer = self.ask(asking, &own.promql()).await;
        let numbers = answer.and_then(|(status, body)| numbers(status, &body));
        self.failed(&numbers);
        numbers
    }

    async fn ask(&self, asking: Asking<'_>, query: &str) -> Result<Answer, Problem> {
        let server = asking.server;
        let limit = asking.interval.clamp(LEAST_PATIENCE, MOST_PATIENCE);
        let limit = server.timeout.unwrap_or(limit);
        let http = asking.http.map_err(Problem::clone)?;
        self.shared.queries.fetch_add(1, Ordering::Relaxed);
        fetch(http, &server.address, query, limit).await
    }

    fn failed<T>(&self, read: &Result<T, Problem>) {
        if read.is_err() {
            self.shared.failures.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn book(
        &self,
        wanted: &Wanted,
        interval: Duration,
        ledger: &mut Ledger,
        (status, body): &Answer,
    ) -> Result<Vec<Duration>, Problem> {
        match wanted {
            Wanted::Requests {
                dialect,
                asked,
                young,
                own: _,
            } => {
                let elements = answer::elements(*status, body)?;
                let ages = answer::ages(&elements);
                let mut entries = answer::entries(dialect, asked, elements);
                if !self.mesh_was_behind(interval) {
                    for row in &mut entries.rows {
                        row.counters = row.counters.clone().blamed();
                    }
                }
                entries.young.clone_from(young);
                ledger.take(&asked.services, entries);
                Ok(ages)
            }
            Wanted::Connections {
                metric,
                called,
                young,
                judged: _,
            } => {
                let mut entries = answer::connections(metric, called, *status, body)?;
                entries.young.clone_from(young);
                ledger.take(called, entries);
                Ok(Vec::new())
            }
        }
    }
}

/// Whom to ask, and how.
#[derive(Clone, Copy)]
struct Asking<'a> {
    http: Result<&'a reqwest::Client, &'a Problem>,
    server: &'a Server,
    interval: Duration,
}

/// The client for one server, which is made anew now and then: Secrets are rotated.
#[derive(Debug, Default)]
struct Door {
    client: Option<(Instant, reqwest::Client)>,
}

impl Door {
    async fn open(&mut self, server: &Server, shared: &Shared) -> Result<reqwest::Client, Problem> {
        if server.is_open() {
            return Ok(shared.http.clone());
        }
        if let Some((made, client)) = &self.client
            && made.elapsed() < ROTATION
        {
            return Ok(client.clone());
        }
        let client = server.client(&shared.secrets).await?;
        self.client = Some((Instant::now(), client.clone()));
        Ok(client)
    }

    /// The server did not let us in: the Secret may be another by now.
    fn close(&mut self) {
        self.client = None;
    }
}

impl Reader {
    /// Whether what is read now may have been counted while the mesh was behind: the scrape may be as old as one
    /// interval, and the reading before it as old as that again.
    fn mesh_was_behind(&self, interval: Duration) -> bool {
        let until = self.shared.absence.mesh_behind_until();
        let since = TimeDelta::from_std(2 * interval).unwrap_or_default();
        until.is_some_and(|until| until > Utc::now() - since)
    }
}

#[cfg(test)]
mod tests;
