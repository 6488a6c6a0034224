//! Answers as servers write them.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use super::*;
use serde_json::{Value, json};
use sluice_crds::Source;

fn read(body: &Value) -> Result<Vec<Row>, String> {
    let service = |name: &str| Service {
        namespace: "shop".to_owned(),
        name: name.to_owned(),
    };
    let asked = Asked {
        services: BTreeSet::from([service("web"), service("api")]),
        thresholds: BTreeSet::from([250]),
    };
    let dialect = Dialect::of(Source::IstioWaypoint);
    let rows = rows(dialect, &asked, 200, body.to_string().as_bytes());
    rows.map_err(|problem| problem.to_string())
}

fn vector(result: &Value) -> Value {
    let data = json!({"resultType": "vector", "result": result});
    json!({"status": "success", "data": data})
}

fn series(metric: &str, labels: &[(&str, &str)], value: &str) -> Value {
    let mut all = json!({
        "__name__": metric, "instance": "10.0.0.7:15020", "pod": "waypoint-1",
        "destination_service_namespace": "shop", "destination_service_name": "web",
    });
    for (label, text) in labels {
        all.as_object_mut()
            .unwrap()
            .insert((*label).to_owned(), json!(text));
    }
    json!({"metric": all, "value": [1_700_000_000.5, value]})
}

fn requests(code: &str, value: &str) -> Value {
    let labels = [("response_code", code), ("request_protocol", "http")];
    series("istio_requests_total", &labels, value)
}

#[test]
fn requests_and_durations_become_rows() {
    let name = "istio_request_duration_milliseconds";
    let elements = json!([
        requests("200", "97"),
        requests("500", "3"),
        series(&format!("{name}_count"), &[], "100"),
        series(&format!("{name}_bucket"), &[("le", "250.0")], "90"),
        series(&format!("{name}_bucket"), &[("le", "250")], "80"),
        series(
            "istio_requests_total",
            &[("destination_service_name", "unknown")],
            "NaN"
        ),
    ]);
    let mut rows = read(&vector(&elements)).unwrap();
    rows.sort_by(|a, b| a.labels.cmp(&b.labels));
    let counters: Vec<_> = rows.iter().map(|row| row.counters.clone()).collect();
    assert_eq!(
        counters,
        [
            Counters::Durations(100, BTreeMap::from([(250, 90)])),
            Counters::Requests(Outcome::Good, 97),
            Counters::Requests(Outcome::Bad, 3),
        ]
    );
    assert!(
        rows.iter()
            .all(|row| row.origin == ["10.0.0.7:15020", "waypoint-1"])
    );
}

#[test]
fn a_histogram_without_its_count_says_nothing() {
    let name = "istio_request_duration_milliseconds_bucket";
    let rows = read(&vector(&json!([series(name, &[("le", "250")], "90")])));
    assert_eq!(rows, Ok(vec![]));
}

#[test]
fn a_value_that_is_no_count_spoils_the_reading() {
    for value in ["NaN", "+Inf", "-1", "1e300", "many", ""] {
        let refusal = read(&vector(&json!([requests("200", value)]))).unwrap_err();
        assert!(
            refusal.starts_with("istio_requests_total of shop/web is "),
            "{refusal}"
        );
    }
    let mut native = requests("200", "1");
    native.as_object_mut().unwrap().remove("value");
    let refusal = read(&vector(&json!([native]))).unwrap_err();
    assert!(refusal.contains("a native histogram"), "{refusal}");
    assert_eq!(
        read(&vector(&json!([requests("200", "1e+06")])))
            .unwrap()
            .len(),
        1
    );
}

#[test]
fn an_incomplete_answer_is_no_answer() {
    let mut answer = vector(&json!([requests("200", "5")]));
    let fields = answer.as_object_mut().unwrap();
    fields.insert("warnings".to_owned(), json!(["no store matched"]));
    let refusal = "the answer is incomplete: no store matched".to_owned();
    assert_eq!(read(&answer), Err(refusal));
    let mut answer = vector(&json!([]));
    let fields = answer.as_object_mut().unwrap();
    fields.insert("isPartial".to_owned(), json!(true));
    assert!(read(&answer).is_err());
    let mut answer = vector(&json!([]));
    let fields = answer.as_object_mut().unwrap();
    fields.insert("infos".to_owned(), json!(["a hint"]));
    assert_eq!(read(&answer), Ok(vec![]));
}

#[test]
fn errors_are_told_in_the_servers_words() {
    let dialect = Dialect::of(Source::IstioWaypoint);
    let refusal = |status, body: &str| {
        let rows = rows(dialect, &Asked::default(), status, body.as_bytes());
        rows.unwrap_err().to_string()
    };
    let body = r#"{"status":"error","errorType":"timeout","error":"query timed out"}"#;
    assert_eq!(
        refusal(503, body),
        "the server answered 503: query timed out"
    );
    assert_eq!(
        refusal(502, "<html>\nBad"),
        "the server answered 502: <html>"
    );
    assert!(refusal(200, "<html>").contains("not one of Prometheus'"));
    let scalar = r#"{"status":"success","data":{"resultType":"scalar","result":[1,"2"]}}"#;
    assert!(refusal(200, scalar).contains("not one of Prometheus'"));
}
