//! The one query for everything that the rollouts of one server and source need.

use std::collections::{BTreeMap, BTreeSet};

use sluice_crds::OtlpNames;

use super::Service;
use super::source::{Connections, Counted, Dialect, Unit, WorkloadLabels, spell};
use crate::render::name::{hash_pattern, is_revision_of};

/// What a query asks for.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Asked {
    pub(super) services: BTreeSet<Service>,
    /// Whether revisions that are named after these are meant as well, whatever their hash.
    pub(super) revisions_too: bool,
    /// Bucket bounds, in milliseconds.
    pub(super) thresholds: BTreeSet<u64>,
    /// How the server writes OpenTelemetry's names.
    pub(super) names: OtlpNames,
}

impl Asked {
    /// Whether this one is asked about.
    pub(super) fn covers(&self, service: &Service) -> bool {
        self.services.contains(service)
            || self.revisions_too
                && self.services.iter().any(|base| {
                    base.namespace == service.namespace && is_revision_of(&base.name, &service.name)
                })
    }
}

/// The label with the upper bound of a bucket.
pub(super) const LE: &str = "le";
/// The label with a metric's name.
pub(super) const NAME: &str = "__name__";
/// The metric with the resource attributes of a process that pushes.
pub(super) const TARGET_INFO: &str = "target_info";
/// The labels by which its other metrics are known.
pub(super) const PROCESS: [&str; 2] = ["job", "instance"];

/// The query, as an instant vector of raw counters.
///
/// Series are summed over what does not matter to us (callers, workloads), but never over
/// the processes that count: a restart must be seen, and a sum over processes hides it. A proxy that
/// is told to *expire* the series of callers makes their sum fall, which hides as many events;
/// Istio's does not by default.
///
/// Where a source's labels may be those of `target_info`, series without the label are taken as well, by their
/// process, and the `target_info` of these processes comes along.
pub(super) fn promql(dialect: &Dialect, asked: &Asked) -> String {
    let spelled = |label: &str| quoted(&spell(label, asked.names));
    let by = dialect
        .origin
        .iter()
        .copied()
        .chain([dialect.namespace, dialect.service])
        .chain(dialect.outcome_labels());
    let by = [NAME.to_owned()].into_iter().chain(by.map(spelled));
    let by = by.chain([LE.to_owned()]).collect::<Vec<_>>().join(", ");

    let metrics = metrics(dialect, asked);
    let names: BTreeSet<_> = metrics.keys().map(String::as_str).collect();
    let mut matchers = vec![one_of(NAME, names.into_iter())];
    let only = dialect.only.iter();
    matchers.extend(only.map(|(label, value)| format!("{label}=\"{value}\"")));
    if !asked.thresholds.is_empty() {
        let bounds = bounds(dialect, &asked.thresholds);
        let bounds: BTreeSet<_> = bounds.keys().map(|(_, bound)| bound.as_str()).collect();
        // The empty one lets the metrics through that have no buckets.
        matchers.push(one_of(LE, [""].into_iter().chain(bounds)));
    }
    let (namespace, service) = (spelled(dialect.namespace), spelled(dialect.service));
    let hashed = || format!("-{}", hash_pattern());
    let suffix = asked.revisions_too.then(hashed);
    let revisions = revisions(&asked.services, &namespace, &service, suffix.as_deref());
    let metrics = matchers.join(", ");
    if !dialect.target_info() {
        return format!("sum by ({by}) ({{{metrics}, {revisions}}})");
    }
    let process = PROCESS.join(", ");
    let info = format!("{TARGET_INFO}{{{revisions}}}");
    format!(
        "sum by ({by}) ({{{metrics}, {revisions}}} \
         or ({{{metrics}, {service}=\"\"}} and on ({process}) {info})) \
         or max by ({NAME}, {process}, {namespace}, {service}) ({info})"
    )
}

/// A query for when each process was scraped last, in seconds since 1970: what [`promql`] asks of cannot say, because
/// a sum has no time but that of the query. Its series have no name.
pub(super) fn scrapes(dialect: &Dialect, asked: &Asked) -> String {
    let spelled = |label: &str| quoted(&spell(label, asked.names));
    let by = dialect.origin.iter().copied().map(spelled);
    let by: Vec<_> = by.collect();
    let metrics = metrics(dialect, asked);
    let counted = metrics.iter().filter(|(_, meaning)| meaning.requests);
    let mut matchers = vec![one_of(NAME, counted.map(|(name, _)| name.as_str()))];
    let only = dialect.only.iter();
    matchers.extend(only.map(|(label, value)| format!("{label}=\"{value}\"")));
    let (namespace, service) = (spelled(dialect.namespace), spelled(dialect.service));
    matchers.push(revisions(&asked.services, &namespace, &service, None));
    format!(
        "max by ({}) (timestamp({{{}}}))",
        by.join(", "),
        matchers.join(", ")
    )
}

/// The query for connections to the pods of these workloads, or for flows, likewise. How they went is asked
/// for if they are `judged`; else only who connects. The labels are the same either way, or a series would seem new.
pub(super) fn connections(
    metric: &Connections,
    workloads: &BTreeSet<Service>,
    judged: bool,
) -> String {
    let rules = metric.rules.iter();
    let rules = rules.filter(|rule| judged || rule.counted == Counted::Begun);
    let names: BTreeSet<_> = rules.map(|rule| rule.metric).collect();
    let only = metric.only.iter();
    let only = only.map(|(label, values)| one_of(label, values.iter().copied()));
    let matchers: Vec<_> = [one_of(NAME, names.into_iter())]
        .into_iter()
        .chain(only)
        .collect();
    let matchers = matchers.join(", ");
    let from = metric.from.map(|from| {
        let WorkloadLabels { namespace, name } = from.workload;
        [namespace, name, from.principal]
    });
    let sums = metric
        .parts
        .iter()
        .map(|WorkloadLabels { namespace, name }| {
            let by = [NAME].into_iter().chain(metric.origin.iter().copied());
            let by = by
                .chain([*namespace, *name])
                .chain(from.into_iter().flatten());
            let by: Vec<_> = by.chain(metric.counted_labels()).collect();
            let revisions = revisions(workloads, namespace, name, None);
            format!("sum by ({}) ({{{matchers}, {revisions}}})", by.join(", "))
        });
    // Their labels have other names: each keeps all its series.
    sums.collect::<Vec<_>>().join(" or ")
}

/// What a metric of an answer says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Meaning {
    /// The place of its family in [`Dialect::families`].
    pub(super) family: usize,
    /// Whether each is a request.
    pub(super) requests: bool,
    /// Which part of a histogram it is.
    pub(super) part: Option<Part>,
}

/// A part of a classic histogram.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Part {
    Bucket,
    Count,
}

/// The metrics to ask for, as the server names them.
///
/// Where requests are counted by a histogram alone, its own name is among them: a native one has no other, and that
/// must be told from a service without requests.
pub(super) fn metrics(dialect: &Dialect, asked: &Asked) -> BTreeMap<String, Meaning> {
    let mut metrics = BTreeMap::new();
    let timed = !asked.thresholds.is_empty();
    for (family, names) in dialect.families.iter().enumerate() {
        let mut add = |name: &str, requests: bool, part| {
            let meaning = Meaning {
                family,
                requests,
                part,
            };
            metrics.insert(spell(name, asked.names), meaning);
        };
        if let Some(requests) = names.requests {
            add(requests, true, None);
        }
        let alone = names.requests.is_none();
        for histogram in names.durations {
            if alone {
                add(histogram, false, None);
            }
            if alone || timed {
                let part = timed.then_some(Part::Count);
                add(&format!("{histogram}_count"), alone, part);
            }
            if timed {
                add(&format!("{histogram}_bucket"), false, Some(Part::Bucket));
            }
        }
    }
    metrics
}

/// The thresholds in milliseconds, by unit and by each way in which a bucket's bound is written.
pub(super) fn bounds(
    dialect: &Dialect,
    thresholds: &BTreeSet<u64>,
) -> BTreeMap<(Unit, String), u64> {
    let units = dialect.families.iter().map(|family| family.unit);
    let all = units.flat_map(|unit| thresholds.iter().map(move |ms| (unit, *ms)));
    all.flat_map(|(unit, ms)| {
        let spellings = spellings(ms, unit).into_iter();
        spellings.map(move |bound| ((unit, bound), ms))
    })
    .collect()
}

/// The ways in which a bucket's bound is written: Prometheus 3 makes a float of it, with an exponent
/// from a million on.
fn spellings(ms: u64, unit: Unit) -> Vec<String> {
    let (whole, thousandths) = match unit {
        Unit::Milliseconds => (ms, 0),
        Unit::Seconds => (ms / 1_000, ms % 1_000),
    };
    if thousandths > 0 {
        let decimals = format!("{thousandths:03}");
        return vec![format!("{whole}.{}", decimals.trim_end_matches('0'))];
    }
    let mut all = vec![whole.to_string(), format!("{whole}.0")];
    if whole >= 1_000_000
        && let Some((mantissa, exponent)) = format!("{whole:e}").split_once('e')
    {
        all.push(format!("{mantissa}e+{exponent:0>2}"));
    }
    all
}

/// Matchers for revisions. Every namespace with every name is more than was asked for; the ledger leaves the rest.
fn revisions(
    services: &BTreeSet<Service>,
    namespace: &str,
    name: &str,
    suffix: Option<&str>,
) -> String {
    let namespaces: BTreeSet<_> = services.iter().map(|s| s.namespace.as_str()).collect();
    let names: BTreeSet<_> = services.iter().map(|s| s.name.as_str()).collect();
    let namespaces = one_of(namespace, namespaces.into_iter());
    let names: Vec<String> = names.into_iter().map(literal).collect();
    let hashed = suffix.iter().flat_map(|suffix| {
        let hashed = names.iter();
        hashed.map(move |name| format!("{name}{suffix}"))
    });
    let names: Vec<String> = names.iter().cloned().chain(hashed).collect();
    let names = names.join("|");
    format!("{namespaces}, {name}=~\"{names}\"")
}

/// A label's name as `PromQL` takes it.
pub(super) fn quoted(label: &str) -> String {
    if label.contains('.') {
        format!("\"{label}\"")
    } else {
        label.to_owned()
    }
}

/// A matcher for any of these values.
pub(super) fn one_of<'a>(label: &str, values: impl Iterator<Item = &'a str>) -> String {
    let values: Vec<String> = values.map(literal).collect();
    format!("{label}=~\"{}\"", values.join("|"))
}

/// A text as a regular expression for just itself, inside a string of `PromQL`.
pub(super) fn literal(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '0'..='9' | 'a'..='z' | 'A'..='Z' | '-' | '_' => {}
            '"' | '\\' => escaped.push_str("\\\\\\"),
            _ => escaped.push_str("\\\\"),
        }
        escaped.push(c);
    }
    escaped
}

#[cfg(test)]
mod tests;
