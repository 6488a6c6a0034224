//! Reading the metrics: raw counters in, [`sluice_core::Evidence`] out.
//!
//! All rollouts that name the same server and source are read together, by one query per scrape
//! interval, so that four hundred Canaries load a Prometheus like one. The tree follows a number on
//! its way: `source` says what a source calls things, `query` asks for them, `server` knows whom, `fetch` sends that,
//! `answer` parses what comes back, `ledger` turns counters that restart into totals that only
//! grow, `balance` makes the counts of one rollout of them, `drains` tells who still asks what left the route, `book` keeps both and knows who wants what, [`Reader`]
//! polls, soon after each scrape (`beat`). `callers` says who connects to a candidate past the waypoint, and `layer4` how connections fare: sources of
//! their own, through the same ledger. `own` reads the queries that a user wrote. `past` says how many requests there
//! were in the last week, `probe` what a server has of a source at all, and `history` reads the past scrape by scrape, for whoever asks what the gates would have done.
//!
//! `rate()` and `increase()` are not used for evidence: they extrapolate, and they lose the first sample of a
//! new series, which is just the burst of errors that a rollout must not miss.

mod answer;
mod balance;
mod beat;
mod book;
mod callers;
mod counters;
mod drains;
mod fetch;
mod history;
mod layer4;
mod ledger;
mod own;
mod past;
mod probe;
mod problem;
mod query;
mod reader;
mod server;
mod source;

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;
use kube::runtime::reflector::ObjectRef;
use sluice_core::{Indicator, RevisionName, Slo};
use sluice_crds::{Canary, ConnectionSource, OtlpNames, Source};

pub(crate) use book::{covered, unread};
pub use callers::Workload;
pub use drains::Drains;
pub use history::{History, HistoryError, Reading, Wanted};
pub use own::{Own, Queries, Range};
pub use past::{Known, Past};
pub use probe::{Look, Seen};
pub use reader::Reader;
pub use server::{Secrets, Server};
pub use source::{NoBucket, buckets_ms, check_threshold, counted_by};

/// Who asks.
pub const USER_AGENT: &str = concat!("sluice/", env!("CARGO_PKG_VERSION"));

/// Which Canary.
pub type Key = ObjectRef<Canary>;

/// What one rollout wants to have read.
#[derive(Clone, Debug, PartialEq)]
pub struct Subscription {
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
    /// The Service of the stable revision, if there is one.
    pub stable: Option<RevisionName>,
    /// The Service of the candidate.
    pub candidate: RevisionName,
    /// What to count of each.
    pub slos: Vec<Slo>,
    /// How to count those that the source does not.
    pub own: Vec<Own>,
    /// Who counts for those that are about connections, by their names.
    pub layer4: BTreeMap<String, ConnectionSource>,
    /// The waypoints of the Service. Whoever else connects to the candidate's pods goes around them;
    /// nobody is looked for where this is empty.
    pub waypoints: BTreeSet<Workload>,
}

impl Subscription {
    /// Whether samples of one belong to the other as well: only the interval may differ, whom to expect, and
    /// by what right the same server is asked.
    fn counts_like(&self, other: &Self) -> bool {
        let (interval, waypoints) = (self.interval, self.waypoints.clone());
        self.server.address == other.server.address
            && self.server.headers == other.server.headers
            && *self
                == Self {
                    interval,
                    waypoints,
                    server: self.server.clone(),
                    ..other.clone()
                }
    }

    /// The pods whose callers it needs, as a Service: a revision's Deployment has the same name. And what tells
    /// of them.
    fn called(&self) -> Option<(&'static source::Connections, Service)> {
        let metric = source::Dialect::of(self.source).connections?;
        (!self.waypoints.is_empty()).then(|| (metric, self.service(&self.candidate)))
    }

    /// What counts connections for it: for its SLOs, and of its callers. Each once.
    fn connections(&self) -> BTreeMap<&'static str, &'static source::Connections> {
        let judged = self.layer4.values().copied().map(source::Connections::of);
        let called = self.called().map(|(metric, _)| metric);
        let all = judged.chain(called);
        all.map(|metric| (metric.name, metric)).collect()
    }

    /// Whether one of its SLOs is about what this source counts.
    fn judges(&self, metric: &source::Connections) -> bool {
        let mut sources = self.layer4.values().copied().map(source::Connections::of);
        sources.any(|source| source.name == metric.name)
    }

    /// The candidate, if its own pods count: they are no older than the rollout.
    fn young(&self) -> Option<Service> {
        let own = source::Dialect::of(self.source).counted_by != source::CountedBy::Proxies;
        own.then(|| self.service(&self.candidate))
    }

    /// The Services whose counters it needs.
    fn services(&self) -> impl Iterator<Item = Service> {
        let revisions = self.stable.iter().chain([&self.candidate]);
        revisions.map(|revision| self.service(revision))
    }

    fn service(&self, revision: &RevisionName) -> Service {
        Service::of(&self.namespace, revision)
    }

    /// The bucket bounds that it needs, in milliseconds.
    fn thresholds(&self) -> impl Iterator<Item = u64> {
        thresholds(&self.slos)
    }
}

/// The query by which these revisions are read from a source, for a person. The controller asks for all rollouts
/// of a server and source at once: its own names more revisions.
#[must_use]
pub fn query(
    source: Source,
    names: OtlpNames,
    namespace: &str,
    revisions: &[&str],
    slos: &[Slo],
) -> String {
    let asked = query::Asked {
        services: services(namespace, revisions),
        thresholds: thresholds(slos).collect(),
        names,
        ..query::Asked::default()
    };
    query::promql(source::Dialect::of(source), &asked)
}

/// The query by which connections of these revisions, or flows, are read, likewise.
#[must_use]
pub fn connections_query(
    source: ConnectionSource,
    namespace: &str,
    revisions: &[&str],
) -> (&'static str, String) {
    let source = source::Connections::of(source);
    let workloads = services(namespace, revisions);
    (source.name, query::connections(source, &workloads, true))
}

fn services(namespace: &str, names: &[&str]) -> BTreeSet<Service> {
    let service = |name: &&str| Service {
        namespace: namespace.to_owned(),
        name: (*name).to_owned(),
    };
    names.iter().map(service).collect()
}

/// Whether who follows the route counts its requests, by the Service that it sends them to. What others count, at the
/// pods, may come from anybody.
#[must_use]
pub fn is_counted_by_route(source: Source) -> bool {
    let dialect = source::Dialect::of(source);
    let proxies = dialect.counted_by == source::CountedBy::Proxies;
    proxies && dialect.told_by == source::ToldBy::Service
}

/// What users call a source.
#[must_use]
pub fn name(source: Source) -> &'static str {
    source::Dialect::of(source).name
}

/// The bucket bounds that SLOs need, in milliseconds.
fn thresholds(slos: &[Slo]) -> impl Iterator<Item = u64> {
    slos.iter().filter_map(|slo| match slo.indicator {
        Indicator::Latency { threshold_ms } => Some(threshold_ms),
        Indicator::Availability
        | Indicator::Events
        | Indicator::Value
        | Indicator::Connections
        | Indicator::Flows => None,
    })
}

/// A Service of one revision, as the source's labels name it.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
struct Service {
    namespace: String,
    name: String,
}

impl Service {
    fn of(namespace: &str, revision: &RevisionName) -> Self {
        Self {
            namespace: namespace.to_owned(),
            name: revision.as_str().to_owned(),
        }
    }
}

impl std::fmt::Display for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}
