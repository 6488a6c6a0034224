//! The one query for everything that the rollouts of one server and source need.

use std::collections::BTreeSet;

use super::Service;
use super::source::Dialect;

/// What a query asks for.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Asked {
    pub(super) services: BTreeSet<Service>,
    /// Bucket bounds, in milliseconds.
    pub(super) thresholds: BTreeSet<u64>,
}

/// The label with the upper bound of a bucket.
pub(super) const LE: &str = "le";
/// The label with a metric's name.
pub(super) const NAME: &str = "__name__";

/// The query, as an instant vector of raw counters.
///
/// Series are summed over what does not matter to us (callers, workloads), but never over
/// the processes that count: a restart must be seen, and a sum over processes hides it. A proxy that
/// is told to *expire* the series of callers makes their sum fall, which hides as many events;
/// Istio's does not by default.
pub(super) fn promql(dialect: &Dialect, asked: &Asked) -> String {
    let by = [NAME]
        .into_iter()
        .chain(dialect.origin.iter().copied())
        .chain([dialect.namespace, dialect.service])
        .chain(dialect.outcome_labels())
        .chain([LE]);
    let by = by.collect::<Vec<_>>().join(", ");

    let mut names = vec![dialect.requests.to_owned()];
    if !asked.thresholds.is_empty() {
        names.extend([bucket(dialect), count(dialect)]);
    }
    let mut matchers = vec![one_of(NAME, names.iter().map(String::as_str))];
    let only = dialect.only.iter();
    matchers.extend(only.map(|(label, value)| format!("{label}=\"{value}\"")));
    let services = &asked.services;
    let namespaces: BTreeSet<_> = services.iter().map(|s| s.namespace.as_str()).collect();
    let services: BTreeSet<_> = services.iter().map(|s| s.name.as_str()).collect();
    // Every namespace with every name is more than was asked for; the ledger leaves the rest.
    matchers.push(one_of(dialect.namespace, namespaces.into_iter()));
    matchers.push(one_of(dialect.service, services.into_iter()));
    if !asked.thresholds.is_empty() {
        let bounds = asked.thresholds.iter().flat_map(|ms| spellings(*ms));
        let bounds: Vec<String> = bounds.collect();
        // The empty one lets the metrics through that have no buckets.
        matchers.push(one_of(
            LE,
            [""].into_iter().chain(bounds.iter().map(String::as_str)),
        ));
    }
    format!("sum by ({by}) ({{{}}})", matchers.join(", "))
}

/// The query for who connects to these workloads, likewise.
pub(super) fn connections(dialect: &Dialect, called: &BTreeSet<Service>) -> String {
    let metric = &dialect.connections;
    let by = dialect.origin.iter().copied().chain([
        metric.namespace,
        metric.workload,
        metric.from_namespace,
        metric.from_workload,
        metric.from_principal,
    ]);
    let by = by.collect::<Vec<_>>().join(", ");
    let only = metric.only.iter();
    let only = only.map(|(label, value)| format!("{label}=\"{value}\""));
    let namespaces: BTreeSet<_> = called.iter().map(|s| s.namespace.as_str()).collect();
    let names: BTreeSet<_> = called.iter().map(|s| s.name.as_str()).collect();
    let matchers = only.chain([
        one_of(metric.namespace, namespaces.into_iter()),
        one_of(metric.workload, names.into_iter()),
    ]);
    let matchers = matchers.collect::<Vec<_>>().join(", ");
    format!("sum by ({by}) ({}{{{matchers}}})", metric.opened)
}

/// The metric with a histogram's buckets.
pub(super) fn bucket(dialect: &Dialect) -> String {
    format!("{}_bucket", dialect.durations)
}

/// The metric with the count of a histogram's events.
pub(super) fn count(dialect: &Dialect) -> String {
    format!("{}_count", dialect.durations)
}

/// The ways in which a bucket's bound is written: Prometheus 3 makes a float of it, with an exponent
/// from a million on.
pub(super) fn spellings(ms: u64) -> Vec<String> {
    let mut all = vec![ms.to_string(), format!("{ms}.0")];
    if ms >= 1_000_000
        && let Some((mantissa, exponent)) = format!("{ms:e}").split_once('e')
    {
        all.push(format!("{mantissa}e+{exponent:0>2}"));
    }
    all
}

/// A matcher for any of these values.
fn one_of<'a>(label: &str, values: impl Iterator<Item = &'a str>) -> String {
    let values: Vec<String> = values.map(literal).collect();
    format!("{label}=~\"{}\"", values.join("|"))
}

/// A text as a regular expression for just itself, inside a string of `PromQL`.
fn literal(text: &str) -> String {
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
    use sluice_crds::Source;

    fn asked(services: &[(&str, &str)], thresholds: &[u64]) -> Asked {
        let service = |(namespace, name): &(&str, &str)| Service {
            namespace: (*namespace).to_owned(),
            name: (*name).to_owned(),
        };
        Asked {
            services: services.iter().map(service).collect(),
            thresholds: thresholds.iter().copied().collect(),
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
             ({__name__=~\"istio_requests_total|istio_request_duration_milliseconds_bucket|\
             istio_request_duration_milliseconds_count\", reporter=\"waypoint\", \
             destination_service_namespace=~\"bank|shop\", \
             destination_service_name=~\"api-c|web-a|web-b\", le=~\"|250|250\\\\.0\"})"
        );
    }

    #[test]
    fn one_query_asks_for_all_callers() {
        let dialect = Dialect::of(Source::IstioWaypoint);
        let called = asked(&[("shop", "web-b"), ("bank", "api-c")], &[]).services;
        assert_eq!(
            connections(dialect, &called),
            "sum by (instance, pod, destination_workload_namespace, destination_workload, \
             source_workload_namespace, source_workload, source_principal) \
             (istio_tcp_connections_opened_total{reporter=\"destination\", \
             destination_workload_namespace=~\"bank|shop\", destination_workload=~\"api-c|web-b\"})"
        );
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
        assert_eq!(spellings(250), ["250", "250.0"]);
        assert_eq!(spellings(600_000), ["600000", "600000.0"]);
        assert_eq!(spellings(1_800_000), ["1800000", "1800000.0", "1.8e+06"]);
        assert_eq!(literal("1.8e+06"), "1\\\\.8e\\\\+06");
        assert_eq!(literal("a\"b\\c"), "a\\\\\\\"b\\\\\\\\c");
    }
}
