//! What the answers to queries of the user's own do to a rollout, and to others.

use super::*;

/// A server whose waypoint is well, and that answers a template with this.
async fn templated(status: u16, body: serde_json::Value, hangs: bool) -> String {
    let status = StatusCode::from_u16(status).unwrap();
    let requests = Arc::new(AtomicU64::new(0));
    let answer = post(move |query: String| async move {
        if query.contains("label_replace") {
            if hangs {
                pending::<()>().await;
            }
            return (status, body.to_string());
        }
        let metric = json!({
            "__name__": "istio_requests_total", "response_code": "200",
            "destination_service_namespace": "shop", "destination_service_name": "web-b",
        });
        let requests = 10 * requests.fetch_add(1, Ordering::Relaxed);
        let result = json!([{"metric": metric, "value": [1, requests.to_string()]}]);
        let data = json!({"resultType": "vector", "result": result});
        let body = json!({"status": "success", "data": data});
        (StatusCode::OK, body.to_string())
    });
    serve(Router::new().route("/api/v1/query", answer)).await
}

fn with_template(address: &str) -> Subscription {
    let brief = TimeDelta::milliseconds(500);
    let mut subscription = subscription(address, "web-b", brief);
    subscription.slos.push(Slo {
        name: "checkouts".to_owned(),
        objective_ppm: None,
        indicator: Indicator::Events,
    });
    subscription.own = vec![Own {
        slo: "checkouts".to_owned(),
        template: "shop".to_owned(),
        candidate: Queries::Events {
            part: "sum(good)".to_owned(),
            good: true,
            total: "sum(total)".to_owned(),
        },
        stable: None,
        range: None,
    }];
    subscription
}

#[tokio::test]
async fn whatever_a_template_answers_the_source_is_counted_and_nothing_of_its_own() {
    let part = |part: &str, value: &str| json!({"metric": {"sluice": part}, "value": [1, value]});
    let vector = |result: serde_json::Value| json!({"status": "success", "data": {"resultType": "vector", "result": result}});
    let error = json!({"status": "error", "errorType": "bad_data", "error": "parse error"});
    let partial = json!({"status": "success", "warnings": ["a store is away"], "data": {
        "resultType": "vector", "result": [part("candidate good", "1"), part("candidate total", "1")]
    }});
    let twice = json!([part("candidate good", "1"), part("candidate good", "2")]);
    let scalar = json!({"status": "success", "data": {"resultType": "scalar", "result": [1, "2"]}});
    let cases = [
        (
            200,
            vector(json!([part("candidate total", "1")])),
            false,
            "good gives no series",
        ),
        (
            200,
            vector(json!([part("candidate good", "NaN")])),
            false,
            "gives NaN",
        ),
        (
            200,
            vector(json!([part("candidate total", "+Inf")])),
            false,
            "gives +Inf",
        ),
        (200, vector(twice), false, "gives several series"),
        (200, scalar, false, "not one of Prometheus' query API"),
        (200, partial, false, "incomplete: a store is away"),
        (400, error.clone(), false, "answered 400: parse error"),
        (503, error, false, "answered 503: parse error"),
        (200, json!({}), true, "gave no answer within 1 s"),
    ];
    let mut all = JoinSet::new();
    for (status, body, hangs, wanted) in cases {
        all.spawn(async move {
            let server = templated(status, body, hangs).await;
            let mut running = Running::start(&[("one", with_template(&server))]);
            for _ in 0..2 {
                running.next().await;
            }
            let evidence = running.reader.evidence(&key("one"));
            let gap = evidence.gaps.get("checkouts").cloned().unwrap_or_default();
            assert!(
                gap.starts_with("MetricTemplate shop: ") && gap.contains(wanted),
                "{gap}"
            );
            assert_eq!(evidence.problem, None);
            let last = evidence.samples.last().unwrap();
            assert_eq!(last.candidate.requests, 10);
            assert_eq!(last.candidate.slo(1), sluice_core::Tally::default());
            running.stop.send_replace(true);
            running.run.await.unwrap();
        });
    }
    while let Some(done) = all.join_next().await {
        done.unwrap();
    }
}

#[tokio::test]
async fn a_template_that_hangs_keeps_nobody_else_waiting() {
    let server = templated(200, json!({}), true).await;
    let brief = TimeDelta::milliseconds(500);
    let mut running = Running::start(&[
        ("slow", with_template(&server)),
        ("fine", subscription(&server, "web-b", brief)),
    ]);
    assert_eq!(running.next().await, "fine");
}
