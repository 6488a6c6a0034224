//! Range answers, as Prometheus writes them.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use serde_json::{Value, json};
use sluice_core::{Indicator, Tally};

use super::*;

const STEP: i64 = 15;
const START: i64 = 1_700_000_000;

fn wanted() -> Wanted {
    let slo = |name: &str, indicator| Slo {
        name: name.to_owned(),
        objective_ppm: None,
        indicator,
    };
    let at = |second| Time::from_timestamp(second, 0).unwrap();
    Wanted {
        server: Server::at("http://prometheus:9090"),
        source: Source::IstioWaypoint,
        names: OtlpNames::Underscores,
        namespace: "shop".to_owned(),
        bases: BTreeSet::from(["web".to_owned()]),
        slos: vec![
            slo("availability", Indicator::Availability),
            slo("latency", Indicator::Latency { threshold_ms: 250 }),
        ],
        from: at(START),
        to: at(START + 100 * STEP),
        interval: TimeDelta::seconds(STEP),
    }
}

/// A series of these values from the first reading on; where there is none, the series is away.
fn series(metric: &str, service: &str, label: (&str, &str), values: &[Option<u64>]) -> Value {
    let points = values.iter().zip((START..).step_by(15));
    let points: Vec<_> = points
        .filter_map(|(value, at)| Some(json!([at, value.as_ref()?.to_string()])))
        .collect();
    json!({
        "metric": {
            "__name__": metric, "instance": "10.0.0.7:15020", "pod": "waypoint-1",
            "destination_service_namespace": "shop", "destination_service_name": service,
            "request_protocol": "http", label.0: label.1,
        },
        "values": points,
    })
}

fn requests(service: &str, code: &str, values: &[Option<u64>]) -> Value {
    series(
        "istio_requests_total",
        service,
        ("response_code", code),
        values,
    )
}

fn read(count: usize, answers: &[&[Value]]) -> History {
    let wanted = wanted();
    let mut keeper = Keeper::new(&wanted);
    for (index, result) in answers.iter().enumerate() {
        let body = json!({"status": "success", "data": {"resultType": "matrix", "result": result}});
        let answer = (200, body.to_string().into_bytes());
        keeper.book(index * count, count, &answer).unwrap();
    }
    keeper.history
}

/// Good and bad requests of each reading.
fn growth(history: &History) -> Vec<Option<(u64, u64)>> {
    let of = |counts: &Counts| (counts.slo(0).good, counts.slo(0).bad());
    let readings = history.readings.iter();
    readings
        .map(|reading| reading.growth.as_ref().map(of))
        .collect()
}

#[test]
fn growth_is_counted_reading_by_reading() {
    let good = requests("web-bcdfghjk", "200", &[100, 110, 130, 5].map(Some));
    let bad = requests("web-bcdfghjk", "503", &[None, Some(1), Some(1), None]);
    let within = series(
        "istio_request_duration_milliseconds_bucket",
        "web-bcdfghjk",
        ("le", "250"),
        &[90, 98, 118, 4].map(Some),
    );
    let all = series(
        "istio_request_duration_milliseconds_count",
        "web-bcdfghjk",
        ("response_code", "200"),
        &[100, 110, 130, 5].map(Some),
    );
    let history = read(4, &[&[good, bad, within, all]]);
    // The proxy restarted before the last.
    let expected = [(0, 0), (10, 1), (20, 0), (5, 0)].map(Some);
    assert_eq!(growth(&history), expected);
    assert_eq!(
        history.revisions,
        BTreeSet::from(["web-bcdfghjk".to_owned()])
    );
    let start = history.readings.first().unwrap().at;
    assert_eq!(start.timestamp(), START);
    let last = history.readings.last().unwrap();
    assert_eq!(last.at.timestamp(), START + 3 * STEP);
}

#[test]
fn latency_is_read_from_buckets() {
    let histogram = |metric: &str, label, values: [u64; 2]| {
        series(
            &format!("istio_request_duration_milliseconds_{metric}"),
            "web",
            label,
            &values.map(Some),
        )
    };
    let history = read(
        2,
        &[&[
            requests("web", "200", &[0, 10].map(Some)),
            histogram("bucket", ("le", "250"), [0, 7]),
            histogram("count", ("request_protocol", "http"), [0, 10]),
        ]],
    );
    let counts = history.readings.last().unwrap().growth.clone().unwrap();
    assert_eq!(counts.slo(1), Tally { good: 7, total: 10 });
}

#[test]
fn of_two_revisions_the_one_that_serves_counts() {
    let old = requests("web-bcdfghjk", "200", &[100, 200, 205].map(Some));
    let new = requests("web-22222222", "200", &[0, 5, 105].map(Some));
    let other = requests("webshop-22222222", "200", &[0, 5_000, 10_000].map(Some));
    let history = read(3, &[&[old, new, other]]);
    assert_eq!(growth(&history), [(0, 0), (100, 0), (100, 0)].map(Some));
    assert_eq!(history.revisions.len(), 2);
}

#[test]
fn what_is_not_there_is_a_gap_and_not_calm() {
    let none = |after: &[Option<u64>]| [&[None, None], after].concat();
    let series = requests("web", "200", &none(&[Some(10), Some(20), None, Some(45)]));
    let history = read(6, &[&[series]]);
    let expected = [None, None, Some((0, 0)), Some((10, 0)), None, Some((25, 0))];
    assert_eq!(growth(&history), expected);
}

#[test]
fn chunks_make_one_history() {
    let first = requests("web", "200", &[10, 20].map(Some));
    let second = requests("web", "200", &[None, None, Some(35), Some(35)]);
    let history = read(2, &[&[first], &[second]]);
    assert_eq!(growth(&history), [0, 10, 15, 0].map(|good| Some((good, 0))));
}

#[test]
fn an_answer_that_is_not_whole_is_none() {
    let wanted = wanted();
    let mut keeper = Keeper::new(&wanted);
    let body =
        json!({"status": "success", "warnings": ["a store is away"], "data": {"result": []}});
    let problem = keeper.book(0, 2, &(200, body.to_string().into_bytes()));
    assert_eq!(
        problem.unwrap_err().to_string(),
        "the answer is incomplete: a store is away"
    );
}

#[test]
fn the_query_asks_for_every_revision_of_a_service() {
    let wanted = wanted();
    let query = promql(Dialect::of(wanted.source), &wanted.asked());
    let matcher = "destination_service_name=~\"web|web-[bcdfghjklmnpqrstvwxz2456789]{8}\"";
    assert!(query.contains(matcher), "{query}");
}
