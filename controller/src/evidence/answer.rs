//! Parsing what a server answers. A reading is used whole or not at all: half of it would look like
//! fewer errors.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Deserialize;

use super::Service;
use super::callers::{Caller, Workload};
use super::counters::{Counters, Row};
use super::problem::{Problem, short};
use super::query::{Asked, LE, NAME, bucket, count, spellings};
use super::source::{Dialect, Labels, Outcome};

/// From here on a float has lost digits: no counter of events gets there.
const MOST: f64 = 9_007_199_254_740_992.0;

/// The envelope of Prometheus' HTTP API, v1.
#[derive(Deserialize)]
struct Envelope {
    status: Option<String>,
    data: Option<Vector>,
    error: Option<String>,
    /// Prometheus and Thanos: the answer may lack something.
    #[serde(default)]
    warnings: Vec<String>,
    /// `VictoriaMetrics` says the same in this way.
    #[serde(default, rename = "isPartial")]
    partial: bool,
}

/// An instant vector.
#[derive(Deserialize)]
struct Vector {
    result: Vec<Element>,
}

#[derive(Deserialize)]
struct Element {
    metric: Labels,
    /// Time and value; a native histogram has none.
    value: Option<(f64, String)>,
}

/// What tells one row from another: the process, then the labels.
type Id = (Service, Vec<String>, Labels);

/// A histogram whose rows have not all been seen yet.
#[derive(Default)]
struct Histogram {
    count: Option<u64>,
    within: BTreeMap<u64, u64>,
}

/// The counters in an answer.
pub(super) fn rows(
    dialect: &Dialect,
    asked: &Asked,
    status: u16,
    body: &[u8],
) -> Result<Vec<Row>, Problem> {
    let mut reading = Reading::new(dialect, asked);
    for Element { metric, value } in elements(status, body)? {
        reading.add(metric, value)?;
    }
    Ok(reading.rows())
}

/// The connections in an answer, by who opened them.
pub(super) fn connections(
    dialect: &Dialect,
    workloads: &BTreeSet<Service>,
    status: u16,
    body: &[u8],
) -> Result<Vec<Row>, Problem> {
    let metric = &dialect.connections;
    let mut rows = Vec::new();
    for Element {
        metric: mut labels,
        value,
    } in elements(status, body)?
    {
        let mut take = |label: &str| labels.remove(label).unwrap_or_default();
        let service = Service {
            namespace: take(metric.namespace),
            name: take(metric.workload),
        };
        let origin = dialect.origin.iter().map(|label| take(label)).collect();
        let workload = Workload {
            namespace: take(metric.from_namespace),
            name: take(metric.from_workload),
        };
        let principal = take(metric.from_principal);
        let events = value.and_then(|(_, value)| events(&value));
        if let Some(opened) = events.filter(|_| workloads.contains(&service)) {
            // They tell one row from another.
            labels.insert(metric.from_namespace.to_owned(), workload.namespace.clone());
            labels.insert(metric.from_workload.to_owned(), workload.name.clone());
            labels.insert(metric.from_principal.to_owned(), principal.clone());
            let caller = Caller {
                workload,
                principal,
            };
            rows.push(Row {
                service,
                origin,
                labels,
                counters: Counters::Connections(caller, opened),
            });
        }
    }
    Ok(rows)
}

fn elements(status: u16, body: &[u8]) -> Result<Vec<Element>, Problem> {
    let ok = (200..300).contains(&status);
    let envelope: Envelope = match serde_json::from_slice(body) {
        Ok(envelope) => envelope,
        Err(error) if ok => return Err(Problem::Malformed(short(&error.to_string()))),
        Err(_) => {
            let message = short(&String::from_utf8_lossy(body));
            return Err(Problem::Refused { status, message });
        }
    };
    if !ok || envelope.status.as_deref() != Some("success") {
        let message = short(&envelope.error.unwrap_or_default());
        return Err(Problem::Refused { status, message });
    }
    if let Some(warning) = envelope.warnings.first() {
        return Err(Problem::Partial(short(warning)));
    }
    if envelope.partial {
        return Err(Problem::Partial("isPartial is true".to_owned()));
    }
    let data = envelope.data;
    let data = data.ok_or_else(|| Problem::Malformed("it has no data".to_owned()))?;
    Ok(data.result)
}

struct Reading<'a> {
    dialect: &'a Dialect,
    services: &'a BTreeSet<Service>,
    bucket: String,
    count: String,
    bounds: HashMap<String, u64>,
    requests: HashMap<Id, (Outcome, u64)>,
    durations: HashMap<Id, Histogram>,
}

impl<'a> Reading<'a> {
    fn new(dialect: &'a Dialect, asked: &'a Asked) -> Self {
        let thresholds = asked.thresholds.iter();
        let bounds = thresholds.flat_map(|ms| spellings(*ms).into_iter().map(move |le| (le, *ms)));
        Self {
            dialect,
            services: &asked.services,
            bucket: bucket(dialect),
            count: count(dialect),
            bounds: bounds.collect(),
            requests: HashMap::new(),
            durations: HashMap::new(),
        }
    }

    /// Takes one series. Of two that say the same the larger counts, because counters grow: a bound
    /// may be there in both spellings, from before and after a server's update.
    fn add(&mut self, mut labels: Labels, value: Option<(f64, String)>) -> Result<(), Problem> {
        let metric = labels.remove(NAME).unwrap_or_default();
        let mut take = |label: &str| labels.remove(label).unwrap_or_default();
        let service = Service {
            namespace: take(self.dialect.namespace),
            name: take(self.dialect.service),
        };
        if !self.services.contains(&service) {
            return Ok(());
        }
        let origin = self.dialect.origin.iter().map(|label| take(label));
        let origin: Vec<String> = origin.collect();
        let bound = self.bounds.get(&take(LE)).copied();
        let (_, value) = value.unwrap_or_else(|| (0.0, "a native histogram".to_owned()));
        let Some(events) = events(&value) else {
            return Err(Problem::NoCount {
                metric,
                service,
                value: short(&value),
            });
        };
        if metric == self.dialect.requests {
            let outcome = self.dialect.outcome(&labels);
            let known = self.requests.entry((service, origin, labels));
            let (_, known) = known.or_insert((outcome, events));
            *known = events.max(*known);
        } else if metric == self.count {
            let histogram = self.durations.entry((service, origin, labels)).or_default();
            histogram.count = histogram.count.max(Some(events));
        } else if metric == self.bucket
            && let Some(ms) = bound
        {
            let histogram = self.durations.entry((service, origin, labels)).or_default();
            let known = histogram.within.entry(ms).or_default();
            *known = events.max(*known);
        }
        Ok(())
    }

    fn rows(self) -> Vec<Row> {
        let row = |(service, origin, mut labels): Id, metric: &str, counters| {
            labels.insert(NAME.to_owned(), metric.to_owned());
            Row {
                service,
                origin,
                labels,
                counters,
            }
        };
        let requests = self.requests.into_iter().map(|(id, (outcome, events))| {
            let counters = Counters::Requests(outcome, events);
            row(id, self.dialect.requests, counters)
        });
        let durations = self.durations.into_iter().filter_map(|(id, histogram)| {
            let counters = Counters::Durations(histogram.count?, histogram.within);
            Some(row(id, self.dialect.durations, counters))
        });
        requests.chain(durations).collect()
    }
}

/// A number of events; `None` for what cannot be one.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the value is a number from 0 to 2^53"
)]
fn events(value: &str) -> Option<u64> {
    let value: f64 = value.parse().ok()?;
    (0.0..=MOST).contains(&value).then(|| value.round() as u64)
}

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests;
