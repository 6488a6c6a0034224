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
mod tests {
    use super::*;
    use sluice_crds::{ConnectionSource, Source};

    fn asked(services: &[(&str, &str)], thresholds: &[u64]) -> Asked {
        let service = |(namespace, name): &(&str, &str)| Service {
            namespace: (*namespace).to_owned(),
            name: (*name).to_owned(),
        };
        Asked {
            services: services.iter().map(service).collect(),
            revisions_too: false,
            thresholds: thresholds.iter().copied().collect(),
            names: OtlpNames::Underscores,
        }
    }

    #[test]
    fn one_query_asks_for_all() {
        let dialect = Dialect::of(Source::IstioWaypoint);
        let services = [("shop", "web-a"), ("shop", "web-b"), ("bank", "api-c")];
        let query = promql(dialect, &asked(&services, &[250]));
        assert_eq!(
            query,
            "sum by (__name__, instance, pod, destination_service_namespace, destination_service_name, \
             response_code, response_flags, request_protocol, grpc_response_status, le) \
             ({__name__=~\"istio_request_duration_milliseconds_bucket|\
             istio_request_duration_milliseconds_count|istio_requests_total\", reporter=\"waypoint\", \
             le=~\"|250|250\\\\.0\", destination_service_namespace=~\"bank|shop\", \
             destination_service_name=~\"api-c|web-a|web-b\"})"
        );
    }

    #[test]
    fn it_is_asked_when_each_process_was_scraped() {
        let services = [("shop", "web-a"), ("shop", "web-b")];
        let waypoint = scrapes(
            Dialect::of(Source::IstioWaypoint),
            &asked(&services, &[250]),
        );
        assert_eq!(
            waypoint,
            "max by (instance, pod) (timestamp({__name__=~\"istio_requests_total\", reporter=\"waypoint\", \
             destination_service_namespace=~\"shop\", destination_service_name=~\"web-a|web-b\"}))"
        );
        let apps = scrapes(Dialect::of(Source::OtelHttp), &asked(&services, &[250]));
        assert!(
            apps.contains("http_server_request_duration_seconds_count"),
            "{apps}"
        );
        assert!(!apps.contains("bucket"), "{apps}");
    }

    #[test]
    fn one_query_asks_for_all_callers_and_how_they_fared() {
        let dialect = Dialect::of(Source::IstioWaypoint);
        let ztunnel = dialect.connections.unwrap();
        let called = asked(&[("shop", "web-b"), ("bank", "api-c")], &[]).services;
        let query = |names: &str| {
            format!(
                "sum by (__name__, instance, pod, destination_workload_namespace, destination_workload, \
                 source_workload_namespace, source_workload, source_principal, response_flags) \
                 ({{__name__=~\"{names}\", reporter=~\"destination\", \
                 destination_workload_namespace=~\"bank|shop\", destination_workload=~\"api-c|web-b\"}})"
            )
        };
        let opened = "istio_tcp_connections_opened_total";
        assert_eq!(connections(ztunnel, &called, false), query(opened));
        let both = format!("istio_tcp_connections_closed_total|{opened}");
        assert_eq!(connections(ztunnel, &called, true), query(&both));
    }

    #[test]
    fn one_query_asks_for_flows_to_and_from_the_pods() {
        let drops = Connections::of(ConnectionSource::CiliumDrops);
        let services = asked(&[("shop", "web-a"), ("shop", "web-b")], &[]).services;
        let sum = |end: &str| {
            format!(
                "sum by (__name__, instance, pod, {end}_namespace, {end}_workload, type) \
                 ({{__name__=~\"hubble_flows_processed_total\", type=~\"Drop|Trace\", \
                 {end}_namespace=~\"shop\", {end}_workload=~\"web-a|web-b\"}})"
            )
        };
        let wanted = format!("{} or {}", sum("destination"), sum("source"));
        assert_eq!(connections(drops, &services, true), wanted);
    }

    #[test]
    fn pushed_metrics_are_found_by_their_labels_or_by_those_of_their_process() {
        let dialect = Dialect::of(Source::OtelHttp);
        let mut asked = asked(&[("shop", "web-b")], &[]);
        assert_eq!(
            promql(dialect, &asked),
            "sum by (__name__, job, instance, k8s_pod_name, k8s_namespace_name, k8s_deployment_name, \
             http_response_status_code, error_type, le) \
             ({__name__=~\"http_server_request_duration|http_server_request_duration_count|\
             http_server_request_duration_seconds|http_server_request_duration_seconds_count\", \
             k8s_namespace_name=~\"shop\", k8s_deployment_name=~\"web-b\"} \
             or ({__name__=~\"http_server_request_duration|http_server_request_duration_count|\
             http_server_request_duration_seconds|http_server_request_duration_seconds_count\", \
             k8s_deployment_name=\"\"} and on (job, instance) \
             target_info{k8s_namespace_name=~\"shop\", k8s_deployment_name=~\"web-b\"})) \
             or max by (__name__, job, instance, k8s_namespace_name, k8s_deployment_name) \
             (target_info{k8s_namespace_name=~\"shop\", k8s_deployment_name=~\"web-b\"})"
        );
        asked.names = OtlpNames::Dots;
        asked.thresholds.insert(250);
        let query = promql(Dialect::of(Source::OtelRpc), &asked);
        for part in [
            "\"k8s.deployment.name\"=~\"web-b\"",
            "\"rpc.grpc.status_code\"",
            "rpc\\\\.server\\\\.call\\\\.duration_seconds_bucket|",
            "rpc\\\\.server\\\\.duration_milliseconds_count",
            "le=~\"|0\\\\.25|250|250\\\\.0\"",
        ] {
            assert!(query.contains(part), "{part} is not in {query}");
        }
    }

    #[test]
    fn without_a_latency_slo_no_histogram_is_read() {
        let dialect = Dialect::of(Source::IstioWaypoint);
        let query = promql(dialect, &asked(&[("shop", "web")], &[]));
        assert!(!query.contains("duration"), "{query}");
        assert!(!query.contains("le=~"), "{query}");
    }

    #[test]
    fn bounds_are_found_as_prometheus_writes_them() {
        let ms = |ms| spellings(ms, Unit::Milliseconds);
        assert_eq!(ms(250), ["250", "250.0"]);
        assert_eq!(ms(600_000), ["600000", "600000.0"]);
        assert_eq!(ms(1_800_000), ["1800000", "1800000.0", "1.8e+06"]);
        let seconds = |ms| spellings(ms, Unit::Seconds);
        assert_eq!(seconds(5), ["0.005"]);
        assert_eq!(seconds(250), ["0.25"]);
        assert_eq!(seconds(2_500), ["2.5"]);
        assert_eq!(seconds(10_000), ["10", "10.0"]);
        assert_eq!(literal("1.8e+06"), "1\\\\.8e\\\\+06");
        assert_eq!(literal("a\"b\\c"), "a\\\\\\\"b\\\\\\\\c");
    }
}
