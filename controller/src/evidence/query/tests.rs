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
