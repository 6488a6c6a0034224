//! Sources of connections beside that of requests, over one server.

use sluice_crds::ConnectionSource;

use super::*;

/// A server whose waypoint and Cilium are well, and that has no answer about ztunnel.
async fn without_ztunnel() -> String {
    let asked = Arc::new(AtomicU64::new(0));
    let answer = post(move |query: String| async move {
        let series = |metric: &str, ends: &str, label: (&str, &str), value: u64| {
            json!({"value": [1, value.to_string()], "metric": {
                "__name__": metric, label.0: label.1, "instance": "agent",
                format!("destination_{ends}namespace"): "shop", "destination_workload": "web-b",
                "destination_service_name": "web-b",
            }})
        };
        if query.contains("istio_tcp_connections_opened_total") {
            let error = json!({"status": "error", "error": "query timed out"});
            return (StatusCode::SERVICE_UNAVAILABLE, error.to_string());
        }
        let result = if query.contains("hubble_flows_processed_total") {
            let n = asked.fetch_add(1, Ordering::Relaxed);
            let flows = "hubble_flows_processed_total";
            json!([
                series(flows, "", ("type", "Trace"), 10 * n),
                series(flows, "", ("type", "Drop"), 2 * n),
                series(flows, "", ("type", "PolicyVerdict"), 2 * n),
            ])
        } else {
            json!([series(
                "istio_requests_total",
                "service_",
                ("response_code", "200"),
                100
            )])
        };
        let data = json!({"resultType": "vector", "result": result});
        let body = json!({"status": "success", "data": data});
        (StatusCode::OK, body.to_string())
    });
    serve(Router::new().route("/api/v1/query", answer)).await
}

fn judged(address: &str, source: ConnectionSource) -> Subscription {
    let brief = TimeDelta::milliseconds(500);
    let mut subscription = subscription(address, "web-b", brief);
    subscription.slos.push(Slo {
        name: "network".to_owned(),
        objective_ppm: None,
        indicator: crate::evidence::counted_by(source),
    });
    subscription.layer4.insert("network".to_owned(), source);
    subscription
}

#[tokio::test]
async fn a_source_without_an_answer_keeps_one_slo_of_one_rollout_from_being_counted() {
    let server = without_ztunnel().await;
    let running = Running::start(&[
        ("ambient", judged(&server, ConnectionSource::Ztunnel)),
        ("cilium", judged(&server, ConnectionSource::CiliumDrops)),
    ]);
    let network = |name: &str| {
        let evidence = running.reader.evidence(&key(name));
        assert_eq!(evidence.problem, None);
        let last = evidence.samples.last().map(|last| last.candidate.slo(1));
        (last.unwrap_or_default(), evidence.gaps)
    };
    let counted = async {
        while network("cilium").0.total == 0 || network("ambient").1.is_empty() {
            sleep(LEAST_GATHER).await;
        }
    };
    timeout(LONG, counted).await.unwrap();
    let (tally, gaps) = network("cilium");
    assert_eq!((tally.good % 10, tally.bad() * 5), (0, tally.good));
    assert!(gaps.is_empty(), "{gaps:?}");
    let (tally, gaps) = network("ambient");
    assert_eq!(tally, sluice_core::Tally::default());
    assert_eq!(
        gaps.get("network").map(String::as_str),
        Some("ztunnel: the server answered 503: query timed out")
    );
}

#[tokio::test]
async fn each_source_is_asked_once_for_all() {
    let server = without_ztunnel().await;
    let hour = TimeDelta::hours(1);
    let all = ["one", "two", "three", "four"].into_iter().zip(0..);
    let all = all.map(|(name, n)| {
        let source = ConnectionSource::ALL[n % 2];
        let interval = hour;
        (
            name,
            Subscription {
                interval,
                ..judged(&server, source)
            },
        )
    });
    let running = Running::start(&all.collect::<Vec<_>>());
    let asked = async {
        while running.reader.queries() < 3 {
            sleep(LEAST_GATHER).await;
        }
    };
    timeout(LONG, asked).await.unwrap();
    sleep(5 * LEAST_GATHER).await;
    // The waypoint, ztunnel and Cilium.
    assert_eq!(running.reader.queries(), 3);
}
