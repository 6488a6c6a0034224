//! Parsing what a server answers. What it says of a Service is used whole or not at all: half of it would look
//! like fewer errors. One app that writes nonsense spoils no other's.

mod envelope;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use super::Service;
use super::callers::{Caller, Workload};
use super::counters::{Counters, Row};
use super::ledger::Entries;
use super::problem::{Problem, short};
use super::query::{Asked, LE, Meaning, NAME, PROCESS, Part, TARGET_INFO, bounds, metrics};
use super::source::{Connections, Counted, Dialect, Labels, Outcome, Unit, WorkloadLabels, spell};

use envelope::Element;
pub(super) use envelope::{Instant, Series, elements, instants, matrix, vector};

/// From here on a float has lost digits: no counter of events gets there.
const MOST: f64 = 9_007_199_254_740_992.0;

/// What tells one row from another: the process, then the labels.
type Id = (Service, Vec<String>, Labels);

/// A histogram whose rows have not all been seen yet.
#[derive(Default)]
struct Histogram {
    count: Option<u64>,
    within: BTreeMap<u64, u64>,
}

/// The counters in an answer, and of which Services it says what no counter can.
pub(super) fn entries(dialect: &Dialect, asked: &Asked, elements: Instant) -> Entries {
    let mut reading = Reading::new(dialect, asked);
    let is_info = |element: &Element| element.metric.get(NAME).is_some_and(|n| n == TARGET_INFO);
    for Element { metric, .. } in elements.iter().filter(|element| is_info(element)) {
        reading.own(metric);
    }
    for Element { metric, value } in elements {
        reading.add(metric, value);
    }
    reading.rows()
}

/// How old the newest samples of each target were when the server answered, by what [`super::query::scrapes`] asks.
pub(super) fn ages(elements: &Instant) -> Vec<Duration> {
    let times = elements
        .iter()
        .filter(|element| !element.metric.contains_key(NAME));
    let times = times.filter_map(|element| {
        let (now, scraped) = element.value.as_ref()?;
        // Clocks of one server: less than nothing is a sample from the future, which tells nothing.
        Duration::try_from_secs_f64(now - scraped.parse::<f64>().ok()?).ok()
    });
    times.collect()
}

/// The connections or flows in an answer, and of which workloads it says what no counter can.
pub(super) fn connections(
    metric: &Connections,
    workloads: &BTreeSet<Service>,
    status: u16,
    body: &[u8],
) -> Result<Entries, Problem> {
    let mut entries = Entries::default();
    for Element {
        metric: labels,
        value,
    } in elements(status, body)?
    {
        let get = |label: &str| labels.get(label).cloned().unwrap_or_default();
        let name = get(NAME);
        let services = metric.parts.iter().map(|part| Service {
            namespace: get(part.namespace),
            name: get(part.name),
        });
        let mut services = services.filter(|service| workloads.contains(service));
        let (Some(service), Some(counted)) = (services.next(), metric.counted(&name, &labels))
        else {
            continue;
        };
        let (_, value) = value.unwrap_or_else(|| (0.0, "a native histogram".to_owned()));
        let Some(events) = events(&value) else {
            let problem = Problem::NoCount {
                metric: name,
                service: service.clone(),
                value: short(&value),
            };
            entries.spoiled.insert(service, problem);
            continue;
        };
        let caller = metric.from.filter(|_| counted == Counted::Begun);
        let caller = caller.map(|from| {
            let WorkloadLabels { namespace, name } = from.workload;
            Caller {
                workload: Workload {
                    namespace: get(namespace),
                    name: get(name),
                },
                principal: get(from.principal),
            }
        });
        let origin = metric.origin.iter().map(|label| get(label)).collect();
        entries.rows.push(Row {
            service,
            origin,
            // All of them tell one row from another.
            labels,
            counters: Counters::Connections(counted, caller, events),
        });
    }
    let Entries { rows, spoiled, .. } = &mut entries;
    rows.retain(|row| !spoiled.contains_key(&row.service));
    Ok(entries)
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
        if !self.asked.covers(&service) {
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
