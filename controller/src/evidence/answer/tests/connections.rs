//! What ztunnel and Hubble write, as a server sums it for us.

use sluice_crds::ConnectionSource;

use super::*;

/// The series of a page in the text format of Prometheus, as an answer has them: by the labels of the query.
fn answer(page: &str) -> Value {
    let lines = page.lines().filter(|line| !line.starts_with('#'));
    let elements = lines.map(|line| {
        let (series, value) = line.rsplit_once(' ').unwrap();
        let (name, labels) = series.split_once('{').unwrap();
        let labels = labels.strip_suffix("\"}").unwrap().split("\",");
        let mut metric = json!({"__name__": name, "instance": "10.0.0.7:15020", "pod": "agent-1"});
        for label in labels {
            let (label, text) = label.split_once("=\"").unwrap();
            metric
                .as_object_mut()
                .unwrap()
                .insert(label.to_owned(), json!(text));
        }
        json!({"metric": metric, "value": [1_700_000_000.5, value]})
    });
    vector(&Value::Array(elements.collect()))
}

fn read(source: ConnectionSource, body: &Value) -> Entries {
    let service = |name: &str| Service {
        namespace: "shop".to_owned(),
        name: name.to_owned(),
    };
    let workloads = BTreeSet::from([service("web-a"), service("web-b")]);
    let metric = Connections::of(source);
    connections(metric, &workloads, 200, body.to_string().as_bytes()).unwrap()
}

/// What was counted of each revision.
fn counted(entries: Entries) -> Vec<(String, Counted, u64)> {
    let rows = entries.rows.into_iter().map(|row| match row.counters {
        Counters::Connections(counted, _, events) => (row.service.name, counted, events),
        other => panic!("{other:?}"),
    });
    rows.collect()
}

/// Written by ztunnel 1.31, less the labels that say the same again.
const ZTUNNEL: &str = r#"# HELP istio_tcp_connections_opened The total number of TCP connections opened.
# TYPE istio_tcp_connections_opened counter
istio_tcp_connections_opened_total{reporter="destination",source_workload="waypoint",source_workload_namespace="shop",source_principal="spiffe://cluster.local/ns/shop/sa/waypoint",destination_service="unknown",destination_workload="web-b",destination_workload_namespace="shop",request_protocol="tcp",response_flags="-",connection_security_policy="mutual_tls"} 12
istio_tcp_connections_opened_total{reporter="destination",source_workload="unknown",source_workload_namespace="unknown",source_principal="unknown",destination_service="unknown",destination_workload="web-c",destination_workload_namespace="shop",request_protocol="tcp",response_flags="-",connection_security_policy="unknown"} 7
# HELP istio_tcp_connections_closed The total number of TCP connections closed.
# TYPE istio_tcp_connections_closed counter
istio_tcp_connections_closed_total{reporter="destination",source_workload="waypoint",source_workload_namespace="shop",source_principal="spiffe://cluster.local/ns/shop/sa/waypoint",destination_service="unknown",destination_workload="web-b",destination_workload_namespace="shop",request_protocol="tcp",response_flags="-",connection_security_policy="mutual_tls"} 5
istio_tcp_connections_closed_total{reporter="destination",source_workload="waypoint",source_workload_namespace="shop",source_principal="spiffe://cluster.local/ns/shop/sa/waypoint",destination_service="unknown",destination_workload="web-b",destination_workload_namespace="shop",request_protocol="tcp",response_flags="CONNECT",connection_security_policy="mutual_tls"} 3
istio_tcp_connections_closed_total{reporter="destination",source_workload="batch",source_workload_namespace="shop",source_principal="spiffe://cluster.local/ns/shop/sa/batch",destination_service="unknown",destination_workload="web-b",destination_workload_namespace="shop",request_protocol="tcp",response_flags="DENY",connection_security_policy="mutual_tls"} 2
# HELP istio_tcp_connections_failed The total number of TCP connections that failed to establish (unstable).
# TYPE istio_tcp_connections_failed counter
istio_tcp_connections_failed_total{reporter="destination",source_workload="waypoint",source_workload_namespace="shop",source_principal="spiffe://cluster.local/ns/shop/sa/waypoint",destination_service="unknown",destination_workload="web-b",destination_workload_namespace="shop",request_protocol="tcp",response_flags="CONNECT",connection_security_policy="mutual_tls"} 3"#;

#[test]
fn a_connection_that_closed_with_a_flag_has_failed_and_is_counted_once() {
    let entries = read(ConnectionSource::Ztunnel, &answer(ZTUNNEL));
    let callers: Vec<_> = entries
        .rows
        .iter()
        .filter_map(|row| match &row.counters {
            Counters::Connections(_, Some(caller), _) => Some(caller.to_string()),
            _ => None,
        })
        .collect();
    assert_eq!(
        callers,
        ["workload shop/waypoint"],
        "who only closed called before"
    );
    let web = |counted, events| ("web-b".to_owned(), counted, events);
    assert_eq!(
        counted(entries),
        [
            web(Counted::Begun, 12),
            web(Counted::Bad, 3),
            web(Counted::Bad, 2)
        ]
    );
}

/// Written by Hubble of Cilium 1.19 with the `labelsContext` of docs/sources.md: one packet that a policy denied
/// is the last two.
const HUBBLE: &str = r#"# HELP hubble_flows_processed_total Total number of flows processed
# TYPE hubble_flows_processed_total counter
hubble_flows_processed_total{destination_namespace="shop",destination_workload="web-b",protocol="TCP",source_namespace="shop",source_workload="",subtype="to-endpoint",type="Trace",verdict="FORWARDED"} 40
hubble_flows_processed_total{destination_namespace="",destination_workload="",protocol="TCP",source_namespace="shop",source_workload="web-a",subtype="to-overlay",type="Trace",verdict="FORWARDED"} 30
hubble_flows_processed_total{destination_namespace="shop",destination_workload="",protocol="TCP",source_namespace="shop",source_workload="",subtype="",type="Drop",verdict="DROPPED"} 9
hubble_flows_processed_total{destination_namespace="shop",destination_workload="web-b",protocol="HTTP",source_namespace="shop",source_workload="",subtype="HTTP",type="L7",verdict="FORWARDED"} 20
hubble_flows_processed_total{destination_namespace="shop",destination_workload="web-b",protocol="TCP",source_namespace="shop",source_workload="",subtype="",type="PolicyVerdict",verdict="DROPPED"} 1
hubble_flows_processed_total{destination_namespace="shop",destination_workload="web-b",protocol="TCP",source_namespace="shop",source_workload="",subtype="",type="Drop",verdict="DROPPED"} 1"#;

#[test]
fn a_packet_that_a_policy_denies_is_dropped_once() {
    let entries = read(ConnectionSource::CiliumDrops, &answer(HUBBLE));
    let of = |name: &str, counted, events| (name.to_owned(), counted, events);
    assert_eq!(
        counted(entries),
        [
            of("web-b", Counted::Good, 40),
            of("web-a", Counted::Good, 30),
            of("web-b", Counted::Bad, 1)
        ]
    );
}

#[test]
fn nonsense_about_a_workload_spoils_all_of_it_and_no_other() {
    let nonsense = HUBBLE.replace("\"DROPPED\"} 1", "\"DROPPED\"} NaN");
    let mut body = answer(&nonsense);
    let entries = read(ConnectionSource::CiliumDrops, &body);
    let problems: Vec<_> = entries.spoiled.values().map(ToString::to_string).collect();
    let wanted = "hubble_flows_processed_total of shop/web-b is NaN, which is no count of events";
    assert_eq!(problems, [wanted]);
    assert_eq!(counted(entries), [("web-a".to_owned(), Counted::Good, 30)]);
    body["warnings"] = json!(["a store is down"]);
    let metric = Connections::of(ConnectionSource::CiliumDrops);
    let partial = connections(metric, &BTreeSet::new(), 200, body.to_string().as_bytes());
    assert_eq!(
        partial.unwrap_err(),
        Problem::Partial("a store is down".to_owned())
    );
}
