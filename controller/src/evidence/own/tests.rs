//! What queries of the user's own may answer, and what is made of it.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use super::*;
use chrono::DateTime;
use serde_json::{Value, json};

fn at(second: i64) -> Time {
    DateTime::UNIX_EPOCH + TimeDelta::seconds(second)
}

fn events(revision: &str, good: bool) -> Queries {
    Queries::Events {
        part: format!("part_{revision}"),
        good,
        total: format!("total_{revision} # a comment"),
    }
}

pub(super) fn pair(good: bool) -> Own {
    Own {
        slo: "checkouts".to_owned(),
        template: "shop".to_owned(),
        candidate: events("b", good),
        stable: Some(events("a", good)),
        range: None,
    }
}

/// From 1 to 10, one in a minute.
pub(super) fn ranged() -> Own {
    Own {
        candidate: Queries::Value("b".to_owned()),
        stable: Some(Queries::Value("a".to_owned())),
        range: Some(Range {
            min: Some(1.0),
            max: Some(10.0),
            window: TimeDelta::minutes(1),
        }),
        ..pair(true)
    }
}

fn series(part: &str, value: &Value) -> Value {
    json!({"metric": {"sluice": part}, "value": [1.5, value]})
}

fn answer(result: &[Value]) -> Vec<u8> {
    let data = json!({"resultType": "vector", "result": result});
    json!({"status": "success", "data": data})
        .to_string()
        .into()
}

/// The problem that an answer of status 200 is.
fn refused(result: &[Value]) -> String {
    let read = super::numbers(200, &answer(result));
    read.unwrap_err().to_string()
}

fn numbers(all: &[(&str, f64)]) -> Numbers {
    let all = all.iter();
    all.map(|(part, number)| ((*part).to_owned(), *number))
        .collect()
}

/// Good and total of the candidate, and total of the stable revision.
fn read(candidate: (f64, f64), stable: f64) -> Numbers {
    numbers(&[
        ("candidate good", candidate.0),
        ("candidate total", candidate.1),
        ("stable good", stable),
        ("stable total", stable),
    ])
}

fn tally(good: u64, total: u64) -> Tally {
    Tally { good, total }
}

fn after(own: &Own, readings: &[Numbers]) -> Account {
    let mut account = Account::default();
    for (reading, second) in readings.iter().zip((0..).step_by(15)) {
        account.take(own, Ok(reading), at(second));
    }
    account
}

#[test]
fn all_parts_are_one_query_and_a_comment_ends_with_its_line() {
    assert_eq!(
        pair(false).promql(),
        "label_replace((\npart_b\n), \"sluice\", \"candidate bad\", \"\", \"\") or \
         label_replace((\ntotal_b # a comment\n), \"sluice\", \"candidate total\", \"\", \"\") or \
         label_replace((\npart_a\n), \"sluice\", \"stable bad\", \"\", \"\") or \
         label_replace((\ntotal_a # a comment\n), \"sluice\", \"stable total\", \"\", \"\")"
    );
    let alone = Own {
        stable: None,
        ..ranged()
    };
    assert_eq!(
        alone.promql(),
        "label_replace((\nb\n), \"sluice\", \"candidate value\", \"\", \"\")"
    );
}

#[test]
fn an_answer_is_one_number_for_each_part() {
    let body = answer(&[
        series("candidate value", &json!("3.5")),
        series("stable value", &json!("-1e3")),
    ]);
    let read = super::numbers(200, &body).unwrap();
    let wanted = [("candidate value", 3.5), ("stable value", -1000.0)];
    assert_eq!(read, numbers(&wanted));
}

#[test]
fn of_several_series_none_is_taken() {
    let mut second = series("stable value", &json!("2"));
    second["metric"]["pod"] = json!("web-a-1");
    assert_eq!(
        refused(&[series("stable value", &json!("1")), second]),
        "the query for the stable value gives several series, one more with {pod=\"web-a-1\"}: sum them"
    );
}

#[test]
fn what_is_no_number_is_no_answer() {
    for value in ["NaN", "+Inf", "-Inf", "", "many"] {
        let problem = refused(&[series("stable value", &json!(value))]);
        let wanted = format!("the query for the stable value gives {value}");
        assert_eq!(problem, wanted);
    }
    let native = json!({"metric": {"sluice": "stable value"}, "histogram": [1.5, {"count": "3"}]});
    assert!(refused(&[native]).ends_with("gives a native histogram"));
}

#[test]
fn another_type_is_no_answer() {
    let matrix = json!({"metric": {"sluice": "stable value"}, "values": [[1.5, "3"]]});
    assert!(refused(&[matrix]).starts_with("the query for the stable value gives"));
    let scalar =
        json!({"status": "success", "data": {"resultType": "scalar", "result": [1.5, "3"]}});
    let read = super::numbers(200, scalar.to_string().as_bytes());
    let problem = read.unwrap_err();
    assert!(matches!(problem, Problem::Malformed(_)), "{problem}");
}

#[test]
fn errors_and_partial_answers_are_told() {
    let error = json!({"status": "error", "error": "expected type instant vector, got scalar"});
    for status in [400, 422, 500, 503] {
        let problem = super::numbers(status, error.to_string().as_bytes()).unwrap_err();
        let text =
            format!("the server answered {status}: expected type instant vector, got scalar");
        assert_eq!(problem.to_string(), text);
    }
    let whole = [
        series("candidate value", &json!("3")),
        series("stable value", &json!("3")),
    ];
    let mut thanos: Value = serde_json::from_slice(&answer(&whole)).unwrap();
    thanos["warnings"] = json!(["No StoreAPIs matched for this query"]);
    let problem = super::numbers(200, thanos.to_string().as_bytes()).unwrap_err();
    assert!(matches!(problem, Problem::Partial(_)), "{problem}");
}

#[test]
fn growth_counts_and_the_first_values_do_not() {
    let account = after(
        &pair(true),
        &[read((90.0, 100.0), 900.0), read((97.0, 110.0), 1000.0)],
    );
    assert_eq!(account.tallies(), (tally(100, 100), tally(7, 10)));
    assert_eq!(account.gap, None);
}

#[test]
fn of_bad_events_the_others_are_good() {
    let reading = |bad, total| {
        numbers(&[
            ("candidate bad", bad),
            ("candidate total", total),
            ("stable bad", 0.0),
            ("stable total", 1.0),
        ])
    };
    let account = after(&pair(false), &[reading(1.0, 5.0), reading(4.0, 15.0)]);
    assert_eq!(account.tallies(), (tally(0, 0), tally(7, 10)));
}

#[test]
fn a_candidate_without_series_at_first_counts_from_nothing() {
    let none = numbers(&[("stable good", 5.0), ("stable total", 5.0)]);
    let account = after(&pair(true), &[none, read((4.0, 9.0), 6.0)]);
    assert_eq!(account.tallies(), (tally(1, 1), tally(4, 9)));
}

#[test]
fn a_fall_begins_anew_and_counts_nothing_twice() {
    let readings = [
        read((100.0, 100.0), 10.0),
        read((30.0, 40.0), 10.0),
        read((35.0, 50.0), 10.0),
    ];
    let account = after(&pair(true), &readings);
    assert_eq!(account.tallies(), (tally(0, 0), tally(5, 10)));
}

#[test]
fn a_part_that_is_missing_is_a_gap_and_counts_for_neither() {
    let first = read((1.0, 1.0), 1.0);
    for missing in [
        "candidate good",
        "candidate total",
        "stable good",
        "stable total",
    ] {
        let mut reading = read((9.0, 9.0), 9.0);
        reading.remove(missing);
        let account = after(&pair(true), &[first.clone(), reading]);
        assert_eq!(account.tallies(), (tally(0, 0), tally(0, 0)));
        let gap = account.gap.unwrap();
        let wanted = format!("MetricTemplate shop: the query for the {missing} gives no series");
        assert!(gap.starts_with(&wanted), "{gap}");
    }
    // Nothing is lost: the counters know.
    let without = numbers(&[("stable good", 2.0), ("stable total", 2.0)]);
    let account = after(&pair(true), &[first, without, read((4.0, 9.0), 9.0)]);
    assert_eq!(account.tallies(), (tally(8, 8), tally(3, 8)));
    assert_eq!(account.gap, None);
}

#[test]
fn what_no_counter_has_is_a_gap() {
    for (candidate, stable) in [((-1.0, 5.0), 1.0), ((1.0, 1e300), 1.0), ((6.0, 5.0), 1.0)] {
        let account = after(&pair(true), &[read(candidate, stable)]);
        assert!(account.gap.is_some(), "{candidate:?}");
        assert_eq!(account.tallies(), (tally(0, 0), tally(0, 0)));
    }
}

#[test]
fn a_reading_that_fails_is_a_gap_and_passes_with_it() {
    let mut account = Account::default();
    let problem = Problem::Slow {
        address: "http://prometheus".to_owned(),
        seconds: 1,
    };
    account.take(&pair(true), Err(&problem), at(0));
    let gap = account.gap.clone().unwrap();
    assert_eq!(
        gap,
        "MetricTemplate shop: http://prometheus gave no answer within 1 s"
    );
    account.take(&pair(true), Ok(&read((1.0, 1.0), 1.0)), at(15));
    assert_eq!(account.gap, None);
    assert_eq!(account.tallies(), (tally(0, 0), tally(0, 0)));
}

#[test]
fn a_value_counts_once_in_a_window_and_its_bounds_are_good() {
    let reading = |candidate| numbers(&[("candidate value", candidate), ("stable value", 1.0)]);
    // At 0, 15, ... 195 s: windows end at 60, 120 and 180 s.
    let mut readings = vec![reading(10.0); 14];
    let account = after(&ranged(), &readings);
    assert_eq!(account.tallies(), (tally(3, 3), tally(3, 3)));
    // Between two windows' ends nobody looks.
    readings[5] = reading(1000.0);
    readings[8] = reading(10.1);
    readings[12] = reading(0.9);
    let account = after(&ranged(), &readings);
    assert_eq!(account.tallies(), (tally(3, 3), tally(1, 3)));
}

#[test]
fn a_value_that_is_missing_at_the_end_of_its_window_is_looked_at_later() {
    let whole = numbers(&[("candidate value", 5.0), ("stable value", 5.0)]);
    let mut readings = vec![whole; 6];
    readings[4].remove("stable value");
    let account = after(&ranged(), &readings[..5]);
    assert_eq!(account.tallies(), (tally(0, 0), tally(0, 0)));
    assert!(
        account
            .gap
            .unwrap()
            .contains("the stable value gives no series")
    );
    let account = after(&ranged(), &readings);
    assert_eq!(account.tallies(), (tally(1, 1), tally(1, 1)));
}
