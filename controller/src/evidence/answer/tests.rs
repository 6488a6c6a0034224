//! Answers as servers write them.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use super::*;
use serde_json::{Value, json};
use sluice_crds::{OtlpNames, Source};

fn read(body: &Value) -> Result<Vec<Row>, String> {
    let entries = entries(Source::IstioWaypoint, OtlpNames::Underscores, body)?;
    match entries.spoiled.into_values().next() {
        Some(problem) => Err(problem.to_string()),
        None => Ok(entries.rows),
    }
}

fn entries(source: Source, names: OtlpNames, body: &Value) -> Result<Entries, String> {
    let service = |name: &str| Service {
        namespace: "shop".to_owned(),
        name: name.to_owned(),
    };
    let asked = Asked {
        services: BTreeSet::from([service("web"), service("api")]),
        revisions_too: false,
        thresholds: BTreeSet::from([250]),
        names,
    };
    let entries = rows(
        Dialect::of(source),
        &asked,
        200,
        body.to_string().as_bytes(),
    );
    entries.map_err(|problem| problem.to_string())
}

/// As the reader does.
pub(super) fn rows(
    dialect: &Dialect,
    asked: &Asked,
    status: u16,
    body: &[u8],
) -> Result<Entries, Problem> {
    let elements = elements(status, body)?;
    Ok(super::entries(dialect, asked, elements))
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

mod connections;

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
fn a_value_that_is_no_count_spoils_what_is_read_of_its_service_alone() {
    for value in ["NaN", "+Inf", "-1", "1e300", "many", ""] {
        let refusal = read(&vector(&json!([requests("200", value)]))).unwrap_err();
        assert!(
            refusal.starts_with("istio_requests_total of shop/web is "),
            "{refusal}"
        );
    }
    let of_api = [
        ("destination_service_name", "api"),
        ("response_code", "200"),
    ];
    let of_api = series("istio_requests_total", &of_api, "5");
    let waypoint = |body| entries(Source::IstioWaypoint, OtlpNames::Underscores, body).unwrap();
    let entries = waypoint(&vector(&json!([
        requests("200", "NaN"),
        requests("500", "7"),
        of_api
    ])));
    let rows: Vec<_> = entries.rows.iter().map(|row| &row.service.name).collect();
    assert_eq!(rows, ["api"]);
    assert_eq!(entries.spoiled.len(), 1);
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

/// A series of OpenTelemetry's, of the process `web/1`.
fn pushed(metric: &str, labels: &[(&str, &str)], value: &str) -> Value {
    let own = [("__name__", metric), ("job", "web"), ("instance", "1")];
    let labels: BTreeMap<_, _> = own.iter().chain(labels).copied().collect();
    json!({"metric": labels, "value": [1_700_000_000.5, value]})
}

fn counters(entries: &Entries) -> Vec<(&str, Counters)> {
    let mut all: Vec<_> = entries.rows.iter().collect();
    all.sort_by(|a, b| (&a.service, &a.labels).cmp(&(&b.service, &b.labels)));
    let all = all.into_iter();
    all.map(|row| (row.service.name.as_str(), row.counters.clone()))
        .collect()
}

fn requested(entries: &Entries) -> Vec<(&str, Counters)> {
    let mut all = counters(entries);
    all.retain(|(_, counters)| matches!(counters, Counters::Requests(..)));
    all
}

#[test]
fn both_translations_of_names_say_the_same() {
    let expected = [
        ("web", Counters::Durations(3, BTreeMap::from([(250, 1)]))),
        ("web", Counters::Durations(97, BTreeMap::from([(250, 90)]))),
        ("web", Counters::Requests(Outcome::Bad, 3)),
        ("web", Counters::Requests(Outcome::Good, 97)),
    ];
    let names = [
        (OtlpNames::Underscores, "_seconds"),
        (OtlpNames::Underscores, ""),
        (OtlpNames::Dots, "_seconds"),
        (OtlpNames::Dots, ""),
    ];
    for (names, suffix) in names {
        let spelled = |name: &str| spell(name, names);
        let one = |part: &str, code: &str, error: &str, le: &str, value: &str| {
            let metric = format!("http.server.request.duration{suffix}{part}");
            let labels = [
                (spelled("k8s.namespace.name"), "shop"),
                (spelled("k8s.deployment.name"), "web"),
                (spelled("http.response.status_code"), code),
                (spelled("error.type"), error),
                ("le".to_owned(), le),
            ];
            let labels: Vec<_> = labels.iter().map(|(k, v)| (k.as_str(), *v)).collect();
            pushed(&spelled(&metric), &labels, value)
        };
        let answer = vector(&json!([
            one("_count", "200", "", "", "97"),
            one("_bucket", "200", "", "0.25", "90"),
            one("_count", "500", "500", "", "3"),
            one("_bucket", "500", "500", "0.25", "1"),
        ]));
        let entries = entries(Source::OtelHttp, names, &answer).unwrap();
        assert_eq!(counters(&entries), expected, "{names:?} {suffix}");
        let origins = entries.rows.iter().map(|row| row.origin.as_slice());
        assert!(origins.into_iter().all(|origin| origin == ["web", "1", ""]));
    }
}

#[test]
fn a_process_is_known_by_its_target_info() {
    let info = |name: &str, instance: &str| {
        let labels = [
            ("k8s_namespace_name", "shop"),
            ("k8s_deployment_name", name),
            ("instance", instance),
        ];
        pushed("target_info", &labels, "1")
    };
    let count = |instance: &str, value: &str| {
        let metric = "http_server_request_duration_seconds_count";
        pushed(metric, &[("instance", instance)], value)
    };
    let read = |answer: &Value| {
        entries(Source::OtelHttp, OtlpNames::Underscores, &vector(answer)).unwrap()
    };
    let good = |requests| Counters::Requests(Outcome::Good, requests);
    let all = [
        count("1", "5"),
        count("2", "7"),
        count("3", "9"),
        info("web", "1"),
        info("api", "2"),
        info("another", "3"),
    ];
    let entries = read(&json!(all));
    assert_eq!(requested(&entries), [("api", good(7)), ("web", good(5))]);
    let shared = read(&json!([
        count("1", "5"),
        count("2", "7"),
        info("web", "1"),
        info("other", "1"),
        info("api", "2"),
    ]));
    assert_eq!(requested(&shared), [("api", good(7))]);
    let told: Vec<_> = shared.spoiled.values().map(ToString::to_string).collect();
    assert!(
        told.iter()
            .all(|told| told.contains("of web 1 that it belongs to shop/"))
    );
    assert_eq!(told.len(), 2);
}

#[test]
fn of_two_conventions_in_one_process_the_newer_counts() {
    let labels = [
        ("k8s_namespace_name", "shop"),
        ("k8s_deployment_name", "web"),
        ("rpc_grpc_status_code", "14"),
    ];
    let (newer, older) = (
        "rpc_server_call_duration_seconds_count",
        "rpc_server_duration_milliseconds_count",
    );
    let read =
        |answer: &Value| entries(Source::OtelRpc, OtlpNames::Underscores, &vector(answer)).unwrap();
    let bad = |requests| vec![("web", Counters::Requests(Outcome::Bad, requests))];
    let alone = read(&json!([pushed(older, &labels, "8")]));
    assert_eq!(requested(&alone), bad(8));
    let both = [
        pushed(older, &labels, "8"),
        pushed(newer, &labels[..2], "9"),
    ];
    let good = vec![("web", Counters::Requests(Outcome::Good, 9))];
    assert_eq!(requested(&read(&json!(both))), good);
    // In milliseconds, and in seconds.
    let bucket = |metric: &str, le: &str, value: &str| {
        let labels = [labels[0], labels[1], ("le", le)];
        pushed(metric, &labels, value)
    };
    let older = "rpc_server_duration_milliseconds";
    let timed = read(&json!([
        bucket(&format!("{older}_count"), "", "8"),
        bucket(&format!("{older}_bucket"), "250", "6"),
        bucket(&format!("{older}_bucket"), "0.25", "1"),
    ]));
    let durations = Counters::Durations(8, BTreeMap::from([(250, 6)]));
    assert_eq!(counters(&timed)[0].1, durations);
}

#[test]
fn a_native_histogram_is_told() {
    let labels = [
        ("k8s_namespace_name", "shop"),
        ("k8s_deployment_name", "web"),
    ];
    let mut native = pushed("http_server_request_duration_seconds", &labels, "1");
    let native = native.as_object_mut().unwrap();
    native.remove("value");
    let answer = vector(&json!([native]));
    let entries = entries(Source::OtelHttp, OtlpNames::Underscores, &answer).unwrap();
    let told: Vec<_> = entries.spoiled.values().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "http_server_request_duration_seconds of shop/web is a native histogram, which is no count of \
             events"
        ]
    );
}

#[test]
fn a_scrape_is_as_old_as_the_server_says() {
    let scraped =
        |pod: &str, value: &str| json!({"metric": {"pod": pod}, "value": [1_700_000_010.5, value]});
    let counter =
        json!({"metric": {"__name__": "istio_requests_total"}, "value": [1_700_000_010.5, "7"]});
    let answer = vector(&json!([
        scraped("a", "1700000010.375"),
        counter,
        scraped("b", "1699999950.5"),
        scraped("c", "1700000011"),
        scraped("d", "NaN"),
        scraped("e", "soon"),
        {"metric": {"pod": "f"}},
    ]));
    let elements = elements(200, answer.to_string().as_bytes()).unwrap();
    let ages: Vec<_> = ages(&elements).iter().map(Duration::as_millis).collect();
    assert_eq!(ages, [125, 60_000]);
}
