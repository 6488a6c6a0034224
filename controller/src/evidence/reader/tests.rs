//! Polling over real sockets: a small HTTP server speaks the query API.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod layer4;
mod template;

use std::collections::{BTreeMap, BTreeSet};
use std::future::pending;
use std::time::Duration;

use axum::{Router, http::StatusCode, routing::post};
use chrono::TimeDelta;
use serde_json::json;
use sluice_core::{Indicator, PastTraffic, Slo};
use sluice_crds::{OtlpNames, Source};
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::*;
use crate::evidence::server::tests as secrets;
use crate::evidence::{Known, Own, Past, Queries, Server};

const LONG: Duration = Duration::from_secs(20);

/// A running reader, and which Canaries it announced.
struct Running {
    reader: Reader,
    announced: UnboundedReceiver<Key>,
    stop: watch::Sender<bool>,
    run: JoinHandle<()>,
}

impl Running {
    fn start(subscriptions: &[(&str, Subscription)]) -> Self {
        Self::start_after(Absence::default(), subscriptions)
    }

    fn start_after(absence: Absence, subscriptions: &[(&str, Subscription)]) -> Self {
        // A second test finds it installed.
        drop(rustls::crypto::ring::default_provider().install_default());
        let reader = Reader::new(
            reqwest::Client::builder().no_proxy().build().unwrap(),
            absence,
            secrets::of([]),
        );
        for (name, subscription) in subscriptions {
            reader.subscribe(key(name), Some(subscription.clone()));
        }
        let (announce, announced) = unbounded_channel();
        let (stop, stopped) = watch::channel(false);
        let changed = move |key| drop(announce.send(key));
        let run = tokio::spawn(reader.clone().run(changed, stopped));
        Self {
            reader,
            announced,
            stop,
            run,
        }
    }

    async fn next(&mut self) -> String {
        let key = timeout(LONG, self.announced.recv()).await.unwrap();
        key.unwrap().name
    }

    fn samples(&self, name: &str) -> Vec<u64> {
        let samples = self.reader.evidence(&key(name)).samples;
        samples.iter().map(|s| s.candidate.requests).collect()
    }

    fn problem(&self, name: &str) -> Option<String> {
        self.reader.evidence(&key(name)).problem
    }
}

fn key(name: &str) -> Key {
    Key::new(name).within("shop")
}

fn subscription(address: &str, candidate: &str, interval: TimeDelta) -> Subscription {
    Subscription {
        server: Server::at(address),
        interval,
        source: Source::IstioWaypoint,
        names: OtlpNames::Underscores,
        namespace: "shop".to_owned(),
        stable: None,
        candidate: candidate.into(),
        slos: vec![Slo {
            name: "availability".to_owned(),
            objective_ppm: None,
            indicator: Indicator::Availability,
        }],
        own: vec![],
        layer4: BTreeMap::new(),
        waypoints: BTreeSet::new(),
    }
}

/// A server whose counters of `web-b` grow by 10 with every query.
async fn counting() -> String {
    counting_answers("200", "-").await
}

async fn counting_answers(code: &'static str, flags: &'static str) -> String {
    let hits = Arc::new(AtomicU64::new(0));
    let answer = post(move |_query: String| async move {
        let requests = 10 * hits.fetch_add(1, Ordering::Relaxed);
        let metric = json!({
            "__name__": "istio_requests_total", "response_code": code, "response_flags": flags,
            "destination_service_namespace": "shop", "destination_service_name": "web-b",
        });
        let result = json!([{"metric": metric, "value": [1, requests.to_string()]}]);
        let data = json!({"resultType": "vector", "result": result});
        json!({"status": "success", "data": data}).to_string()
    });
    serve(Router::new().route("/api/v1/query", answer)).await
}

/// A server that takes queries and never answers.
async fn hanging() -> String {
    let answer = post(|| async { pending::<String>().await });
    serve(Router::new().route("/api/v1/query", answer)).await
}

async fn serve(router: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}")
}

#[tokio::test]
async fn one_query_serves_all_rollouts_and_a_new_one_at_once() {
    let server = counting().await;
    let hour = TimeDelta::hours(1);
    let mut running = Running::start(&[
        ("one", subscription(&server, "web-b", hour)),
        ("two", subscription(&format!("{server}/"), "web-c", hour)),
    ]);
    let mut announced = [running.next().await, running.next().await];
    announced.sort();
    assert_eq!(announced, ["one", "two"]);
    assert_eq!(running.reader.queries(), 1);

    let third = subscription(&server, "web-b", hour);
    running.reader.subscribe(key("three"), Some(third.clone()));
    let mut announced = [running.next().await, running.next().await];
    announced.sort();
    assert_eq!(announced, ["one", "three"], "nothing is new for the other");
    running.reader.subscribe(key("three"), Some(third));
    sleep(3 * LEAST_GATHER).await;
    assert_eq!(running.reader.queries(), 2);
    assert_eq!(running.reader.failures(), 0);
    assert_eq!(running.samples("one"), [0, 10]);
    assert_eq!(running.samples("two"), [0]);
    assert_eq!(running.samples("three"), [10]);

    // Another candidate starts anew, and the samples of the old one are gone.
    let other = subscription(&server, "web-c", hour);
    running.reader.subscribe(key("one"), Some(other));
    assert_eq!(running.samples("one"), [0; 0]);
}

#[tokio::test]
async fn a_hanging_server_delays_only_its_own() {
    let interval = TimeDelta::milliseconds(1);
    let mut running = Running::start(&[
        ("stuck", subscription(&hanging().await, "web-b", interval)),
        ("fine", subscription(&counting().await, "web-b", interval)),
    ]);
    assert_eq!(running.next().await, "fine");
    while running.next().await != "stuck" {}
    let problem = running.problem("stuck").unwrap();
    assert!(problem.ends_with("gave no answer within 1 s"), "{problem}");
    assert!(running.samples("fine").len() >= 2);
    assert_eq!(running.samples("stuck"), [0; 0]);
}

#[tokio::test]
async fn a_failure_is_announced_once() {
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", nobody.local_addr().unwrap());
    drop(nobody);
    let brief = TimeDelta::milliseconds(500);
    let mut running = Running::start(&[("one", subscription(&address, "web-b", brief))]);
    assert_eq!(running.next().await, "one");
    let problem = running.problem("one").unwrap();
    assert!(problem.contains("cannot be reached"), "{problem}");
    while running.reader.failures() < 3 {
        sleep(LEAST_GATHER).await;
    }
    assert!(running.announced.try_recv().is_err());
}

#[tokio::test]
async fn nothing_is_read_for_nobody() {
    let server = counting().await;
    let brief = TimeDelta::milliseconds(500);
    let mut running = Running::start(&[("one", subscription(&server, "web-b", brief))]);
    running.next().await;
    running.reader.subscribe(key("one"), None);
    sleep(Duration::from_millis(1_200)).await;
    let queries = running.reader.queries();
    sleep(Duration::from_millis(1_200)).await;
    assert_eq!(running.reader.queries(), queries);
    assert_eq!(running.samples("one"), [0; 0]);

    running
        .reader
        .subscribe(key("one"), Some(subscription(&server, "web-b", brief)));
    while running.samples("one").is_empty() {
        running.next().await;
    }
    running.stop.send_replace(true);
    timeout(LONG, running.run).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_pod_that_was_not_reached_is_no_fault_while_the_mesh_is_behind() {
    let until = |seconds: i64| {
        let absence = Absence::default();
        absence.heard(Utc::now() + TimeDelta::seconds(seconds));
        absence
    };
    let tally = async |absence: Absence, flags: &'static str| {
        let server = counting_answers("503", flags).await;
        let subscription = subscription(&server, "web-b", TimeDelta::milliseconds(500));
        let mut running = Running::start_after(absence, &[("one", subscription)]);
        for _ in 0..3 {
            running.next().await;
        }
        let samples = running.reader.evidence(&key("one")).samples;
        let (first, last) = (samples.first().unwrap(), samples.last().unwrap());
        let counts = last.candidate.since(&first.candidate);
        (
            counts.requests >= 10,
            counts.slo(0).bad() == counts.requests,
        )
    };
    assert_eq!(tally(Absence::default(), "UH").await, (true, true));
    assert_eq!(tally(until(-10), "UH").await, (true, true), "long over");
    assert_eq!(tally(until(60), "UH").await, (true, false));
    assert_eq!(
        tally(until(60), "-").await,
        (true, true),
        "the application's"
    );
}

/// A server that answers every query with this, and the number of queries that it got.
async fn saying(status: u16, body: &str) -> (String, Arc<AtomicU64>) {
    let queries = Arc::new(AtomicU64::new(0));
    let (body, count) = (body.to_owned(), Arc::clone(&queries));
    let answer = post(move |_query: String| async move {
        count.fetch_add(1, Ordering::Relaxed);
        (StatusCode::from_u16(status).unwrap(), body)
    });
    let router = Router::new().route("/api/v1/query", answer);
    (serve(router).await, queries)
}

#[tokio::test]
async fn two_hundred_rollouts_cost_one_query_of_each_source() {
    let empty = r#"{"status":"success","data":{"resultType":"vector","result":[]}}"#;
    let (server, queries) = saying(200, empty).await;
    let names: Vec<_> = (0..200).map(|n| (n, format!("canary-{n}"))).collect();
    let subscriptions: Vec<_> = names
        .iter()
        .map(|(n, name)| {
            let of_hour = subscription(&server, "web-b", TimeDelta::hours(1));
            let subscription = Subscription {
                source: Source::ALL[n % Source::ALL.len()],
                candidate: format!("{name}-b").as_str().into(),
                ..of_hour
            };
            (name.as_str(), subscription)
        })
        .collect();
    let mut running = Running::start(&subscriptions);
    for _ in 0..200 {
        running.next().await;
    }
    sleep(3 * LEAST_GATHER).await;
    let sources = u64::try_from(Source::ALL.len()).unwrap();
    assert_eq!(queries.load(Ordering::Relaxed), sources);
    assert_eq!(running.reader.queries(), sources);
}

/// Of a server that does not say what it should, nothing counts, and the reason is told. Without a sample nothing
/// passes and nothing fails: [`sluice_core::evidence`].
#[tokio::test]
async fn whatever_is_no_answer_is_no_evidence() {
    let one = |value: &str| {
        json!({"metric": {
            "__name__": "istio_requests_total", "response_code": "500",
            "destination_service_namespace": "shop", "destination_service_name": "web-b",
        }, "value": [1, value]})
    };
    let vector = |elements: serde_json::Value| {
        let data = json!({"resultType": "vector", "result": elements});
        json!({"status": "success", "data": data})
    };
    let with = |field: &str, value: serde_json::Value| {
        let mut answer = vector(json!([one("500")]));
        answer[field] = value;
        answer.to_string()
    };
    let error = json!({"status": "error", "errorType": "bad_data", "error": "told so"}).to_string();
    let scalar =
        json!({"status": "success", "data": {"resultType": "scalar", "result": [1, "500"]}});
    let nonsense = "is NaN, which is no count";
    let cases = [
        (200, vector(json!([one("NaN")])).to_string(), nonsense),
        (
            200,
            vector(json!([one("+Inf")])).to_string(),
            "is +Inf, which is no count",
        ),
        (
            200,
            vector(json!([one("-7")])).to_string(),
            "is -7, which is no count",
        ),
        (
            200,
            with("warnings", json!(["a store is down"])),
            "incomplete: a store is down",
        ),
        (200, with("isPartial", json!(true)), "incomplete"),
        (400, error.clone(), "400: told so"),
        (401, String::new(), "401"),
        (403, "denied".to_owned(), "403: denied"),
        (404, "no such page".to_owned(), "404: no such page"),
        (422, error.clone(), "422: told so"),
        (429, "slow down".to_owned(), "429: slow down"),
        (500, error.clone(), "500: told so"),
        (502, "<html>".to_owned(), "502: <html>"),
        (503, error, "503: told so"),
        (204, String::new(), "not one of Prometheus'"),
        (200, scalar.to_string(), "not one of Prometheus'"),
        (200, "not JSON".to_owned(), "not one of Prometheus'"),
        (200, with("data", json!(null)), "it has no data"),
    ];
    for (status, body, told) in cases {
        let (server, _) = saying(status, &body).await;
        let subscription = subscription(&server, "web-b", TimeDelta::hours(1));
        let mut running = Running::start(&[("one", subscription)]);
        running.next().await;
        let evidence = running.reader.evidence(&key("one"));
        assert!(evidence.samples.is_empty(), "{status} {body}");
        let problem = evidence.problem.unwrap_or_default();
        assert!(problem.contains(told), "{status} {body}: {problem}");
    }
    // Nothing at all is what a service without requests has: no problem, and nothing good or bad.
    let (server, _) = saying(200, &vector(json!([])).to_string()).await;
    let subscription = subscription(&server, "web-b", TimeDelta::hours(1));
    let mut running = Running::start(&[("one", subscription)]);
    running.next().await;
    let evidence = running.reader.evidence(&key("one"));
    assert_eq!(evidence.problem, None);
    let counts: Vec<_> = evidence
        .samples
        .iter()
        .map(|s| s.candidate.requests)
        .collect();
    assert_eq!(counts, [0]);
}

#[tokio::test]
async fn series_that_go_stale_are_no_evidence() {
    let hits = Arc::new(AtomicU64::new(0));
    let answer = post(move |_query: String| async move {
        let metric = json!({
            "__name__": "istio_requests_total", "response_code": "200",
            "destination_service_namespace": "shop", "destination_service_name": "web-b",
        });
        let result = match hits.fetch_add(1, Ordering::Relaxed) {
            0 => json!([{"metric": metric, "value": [1, "10"]}]),
            _ => json!([]),
        };
        let data = json!({"resultType": "vector", "result": result});
        json!({"status": "success", "data": data}).to_string()
    });
    let server = serve(Router::new().route("/api/v1/query", answer)).await;
    let brief = TimeDelta::milliseconds(500);
    let mut running = Running::start(&[("one", subscription(&server, "web-b", brief))]);
    running.next().await;
    assert_eq!(running.problem("one"), None);
    running.next().await;
    let problem = running.problem("one").unwrap_or_default();
    assert!(
        problem.contains("the metrics of shop/web-b are gone"),
        "{problem}"
    );
    assert_eq!(running.samples("one"), [0], "the first reading's alone");
}

/// A week of one request a second, at most.
#[tokio::test]
async fn the_past_is_asked_for_once_for_all() {
    let hits = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&hits);
    let answer = post(move |query: String| async move {
        counted.fetch_add(1, Ordering::Relaxed);
        let has = |part: &str| query.contains(part);
        assert!(has("start=") && has("end=") && has("step=3540"), "{query}");
        let metric = json!({"destination_service_namespace": "shop", "sluice": "web-"});
        let result = json!([{"metric": metric, "values": [[3540, "0.5"], [7080, "1.5"]]}]);
        json!({"status": "success", "data": {"resultType": "matrix", "result": result}}).to_string()
    });
    let server = serve(Router::new().route("/api/v1/query_range", answer)).await;
    let mut running = Running::start(&[]);
    for (name, target) in [("one", "web"), ("two", "web"), ("three", "api")] {
        let past = Past {
            server: Server::at(&server),
            interval: TimeDelta::seconds(15),
            source: Source::IstioWaypoint,
            names: OtlpNames::Underscores,
            namespace: "shop".to_owned(),
            service: target.to_owned(),
            target: target.to_owned(),
        };
        running.reader.remember(key(name), Some(past));
    }
    assert_eq!(running.reader.past(&key("one")), Known::NotYet);
    for _ in 0..3 {
        running.next().await;
    }
    assert_eq!(hits.load(Ordering::Relaxed), 1);
    assert_eq!(running.reader.queries(), 1);
    let hour = PastTraffic::measured(1.0, TimeDelta::hours(1));
    assert_eq!(running.reader.past(&key("one")), Known::Traffic(hour));
    assert_eq!(running.reader.past(&key("three")), Known::Nothing);
}
