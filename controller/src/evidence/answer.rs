//! Parsing what a server answers. What it says of a Service is used whole or not at all: half of it would look
//! like fewer errors. One app that writes nonsense spoils no other's.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Deserialize;

use super::Service;
use super::callers::{Caller, Workload};
use super::counters::{Counters, Row};
use super::ledger::Entries;
use super::problem::{Problem, short};
use super::query::{Asked, LE, Meaning, NAME, PROCESS, Part, TARGET_INFO, bounds, metrics};
use super::source::{Connections, Dialect, Labels, Outcome, Unit, spell};

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

/// An instant vector, or a matrix.
#[derive(Deserialize)]
struct Vector {
    result: Vec<Element>,
}

#[derive(Deserialize)]
struct Element {
    metric: Labels,
    /// Time and value; a native histogram has none.
    value: Option<(f64, String)>,
    /// Those of a matrix.
    #[serde(default)]
    values: Vec<(f64, String)>,
}

/// A series of a matrix.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Series {
    pub(super) labels: Labels,
    /// Times, in seconds, and values.
    pub(super) points: Vec<(f64, f64)>,
}

/// What tells one row from another: the process, then the labels.
type Id = (Service, Vec<String>, Labels);

/// A histogram whose rows have not all been seen yet.
#[derive(Default)]
struct Histogram {
    count: Option<u64>,
    within: BTreeMap<u64, u64>,
}

/// The counters in an answer, and of which Services it says what no counter can.
pub(super) fn rows(
    dialect: &Dialect,
    asked: &Asked,
    status: u16,
    body: &[u8],
) -> Result<Entries, Problem> {
    let mut reading = Reading::new(dialect, asked);
    let elements = elements(status, body)?;
    let is_info = |element: &Element| element.metric.get(NAME).is_some_and(|n| n == TARGET_INFO);
    for Element { metric, .. } in elements.iter().filter(|element| is_info(element)) {
        reading.own(metric);
    }
    for Element { metric, value, .. } in elements {
        reading.add(metric, value);
    }
    Ok(reading.rows())
}

/// The connections in an answer, by who opened them.
pub(super) fn connections(
    metric: &Connections,
    workloads: &BTreeSet<Service>,
    status: u16,
    body: &[u8],
) -> Result<Vec<Row>, Problem> {
    let mut rows = Vec::new();
    for Element {
        metric: mut labels,
        value,
        ..
    } in elements(status, body)?
    {
        let mut take = |label: &str| labels.remove(label).unwrap_or_default();
        let service = Service {
            namespace: take(metric.namespace),
            name: take(metric.workload),
        };
        let origin = metric.origin.iter().map(|label| take(label)).collect();
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

/// The series of an answer, and their values as the server wrote them; a native histogram has none.
pub(super) fn vector(status: u16, body: &[u8]) -> Result<Vec<(Labels, Option<String>)>, Problem> {
    let series = elements(status, body)?.into_iter();
    let series =
        series.map(|Element { metric, value, .. }| (metric, value.map(|(_, value)| value)));
    Ok(series.collect())
}

/// The series of a matrix. A point that is no number is none.
pub(super) fn matrix(status: u16, body: &[u8]) -> Result<Vec<Series>, Problem> {
    let point = |(at, value): (f64, String)| {
        let value = value.parse().ok().filter(|value: &f64| value.is_finite());
        Some((at, value?))
    };
    let series = elements(status, body)?.into_iter().map(|element| Series {
        labels: element.metric,
        points: element.values.into_iter().filter_map(point).collect(),
    });
    Ok(series.collect())
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
    asked: &'a Asked,
    metrics: BTreeMap<String, Meaning>,
    bounds: BTreeMap<(Unit, String), u64>,
    /// Whose processes these are, by [`PROCESS`], where only `target_info` tells.
    owners: HashMap<[String; 2], Service>,
    /// By family.
    requests: HashMap<(usize, Id), (Outcome, u64)>,
    durations: HashMap<(usize, Id), Histogram>,
    spoiled: BTreeMap<Service, Problem>,
    /// The best family that each process has of each Service.
    best: HashMap<(Service, Vec<String>), usize>,
}

impl<'a> Reading<'a> {
    fn new(dialect: &'a Dialect, asked: &'a Asked) -> Self {
        Self {
            dialect,
            asked,
            metrics: metrics(dialect, asked),
            bounds: bounds(dialect, &asked.thresholds),
            owners: HashMap::new(),
            requests: HashMap::new(),
            durations: HashMap::new(),
            spoiled: BTreeMap::new(),
            best: HashMap::new(),
        }
    }

    /// Takes the `target_info` of one process.
    fn own(&mut self, metric: &Labels) {
        let get = |label: &str| metric.get(label).cloned().unwrap_or_default();
        let service = Service {
            namespace: get(&spell(self.dialect.namespace, self.asked.names)),
            name: get(&spell(self.dialect.service, self.asked.names)),
        };
        let process = PROCESS.map(get);
        if let Some(other) = self.owners.insert(process.clone(), service.clone())
            && other != service
        {
            let problem = Problem::SharedInstance {
                instance: process.join(" "),
                one: other.clone(),
                other: service.clone(),
            };
            self.spoiled.insert(other, problem.clone());
            self.spoiled.insert(service, problem);
        }
    }

    /// Takes one series. Of two that say the same the larger counts, because counters grow: a bound
    /// may be there in both spellings, from before and after a server's update.
    fn add(&mut self, mut labels: Labels, value: Option<(f64, String)>) {
        let metric = labels.remove(NAME).unwrap_or_default();
        let Some(meaning) = self.metrics.get(&metric).copied() else {
            return;
        };
        let process = PROCESS.map(|label| labels.get(label).cloned().unwrap_or_default());
        let names = self.asked.names;
        let mut take = |label: &str| labels.remove(&spell(label, names)).unwrap_or_default();
        let mut service = Service {
            namespace: take(self.dialect.namespace),
            name: take(self.dialect.service),
        };
        if service.name.is_empty()
            && let Some(owner) = self.owners.get(&process)
        {
            service.clone_from(owner);
        }
        if !self.asked.services.contains(&service) {
            return;
        }
        let origin = self.dialect.origin.iter().map(|label| take(label));
        let origin: Vec<String> = origin.collect();
        let le = take(LE);
        let outcomes = self.dialect.outcome_labels().into_iter();
        let outcomes = outcomes.map(|label| (label.to_owned(), take(label)));
        let mut rest: Labels = outcomes.filter(|(_, value)| !value.is_empty()).collect();
        rest.append(&mut labels);
        let (_, value) = value.unwrap_or_else(|| (0.0, "a native histogram".to_owned()));
        let Some(events) = events(&value) else {
            let problem = Problem::NoCount {
                metric,
                service: service.clone(),
                value: short(&value),
            };
            self.spoiled.insert(service, problem);
            return;
        };
        let family = meaning.family;
        let best = self.best.entry((service.clone(), origin.clone()));
        let best = best.or_insert(family);
        *best = family.min(*best);
        let bound = self.dialect.families.get(family).map(|f| f.unit);
        let bound = bound.and_then(|unit| self.bounds.get(&(unit, le)).copied());
        let outcome = self.dialect.outcome(&rest);
        let id = (family, (service, origin, rest));
        if meaning.requests {
            let known = self.requests.entry(id.clone());
            let (_, known) = known.or_insert((outcome, events));
            *known = events.max(*known);
        }
        match (meaning.part, bound) {
            (Some(Part::Count), _) => {
                let histogram = self.durations.entry(id).or_default();
                histogram.count = histogram.count.max(Some(events));
            }
            (Some(Part::Bucket), Some(ms)) => {
                let histogram = self.durations.entry(id).or_default();
                let known = histogram.within.entry(ms).or_default();
                *known = events.max(*known);
            }
            _ => {}
        }
    }

    /// Of a process that counts the same requests by several families, only the best counts.
    fn rows(self) -> Entries {
        let Self {
            dialect,
            requests,
            durations,
            spoiled,
            best,
            ..
        } = self;
        let families = dialect.families;
        let row = |(family, id): (usize, Id), requests: bool, counters| {
            let (service, origin, mut labels) = id;
            let process = (service, origin);
            if best.get(&process) != Some(&family) || spoiled.contains_key(&process.0) {
                return None;
            }
            let family = families.get(family)?;
            let metric = if requests {
                family.requests()
            } else {
                family.histogram().to_owned()
            };
            labels.insert(NAME.to_owned(), metric);
            let (service, origin) = process;
            Some(Row {
                service,
                origin,
                labels,
                counters,
            })
        };
        let requests = requests.into_iter().filter_map(|(id, (outcome, events))| {
            row(id, true, Counters::Requests(outcome, events))
        });
        let durations = durations.into_iter().filter_map(|(id, histogram)| {
            row(
                id,
                false,
                Counters::Durations(histogram.count?, histogram.within),
            )
        });
        let rows = requests.chain(durations).collect();
        Entries {
            rows,
            spoiled,
            ..Entries::default()
        }
    }
}

/// A number of events; `None` for what cannot be one.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the value is a number from 0 to 2^53"
)]
pub(super) fn count_of(value: f64) -> Option<u64> {
    (0.0..=MOST).contains(&value).then(|| value.round() as u64)
}

fn events(value: &str) -> Option<u64> {
    count_of(value.parse().ok()?)
}

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests;
