//! Who is asked about when, and what an answer makes.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use chrono::DateTime;
use serde_json::json;

use super::*;

const NOW: Time = DateTime::UNIX_EPOCH;

pub(super) fn at(delta: TimeDelta) -> Time {
    NOW + delta
}

pub(super) fn key(name: &str) -> Key {
    Key::new(name).within("shop")
}

pub(super) fn past(service: &str, target: &str) -> Past {
    Past {
        server: Server::at("http://prometheus:9090"),
        interval: TimeDelta::seconds(15),
        source: Source::IstioWaypoint,
        names: OtlpNames::Underscores,
        namespace: "shop".to_owned(),
        service: service.to_owned(),
        target: target.to_owned(),
    }
}

fn series(counted_as: &str, rates: &[(i64, f64)]) -> Series {
    let labels = [
        ("destination_service_namespace", "shop"),
        (query::COUNTED_AS, counted_as),
    ];
    let points = rates.iter().map(|(at, rate)| json!([at, rate.to_string()]));
    let points: Vec<_> = points.collect();
    serde_json::from_value(json!({"metric": BTreeMap::from(labels), "values": points})).unwrap()
}

pub(super) fn one(register: &mut Register, now: Time) -> Survey {
    let mut surveys = register.surveys(now);
    assert_eq!(surveys.len(), 1);
    surveys.pop().unwrap()
}

fn traffic(register: &Register, name: &str) -> PastTraffic {
    match register.known(&key(name)) {
        Known::Traffic(traffic) => traffic,
        other => panic!("{other:?}"),
    }
}

#[test]
fn many_that_are_new_are_asked_about_at_once_and_again_in_an_hour() {
    let mut register = Register::default();
    for (index, name) in ["a", "b", "c"].into_iter().enumerate() {
        let seconds = TimeDelta::seconds(i64::try_from(index).unwrap());
        assert!(register.note(key(name), Some(past(name, name)), at(seconds)));
        assert!(
            !register.note(key(name), Some(past(name, name)), at(GATHER)),
            "the same"
        );
    }
    assert_eq!(register.due_at(), Some(at(GATHER)));
    assert!(register.surveys(at(GATHER / 2)).is_empty());
    let survey = one(&mut register, at(GATHER));
    assert_eq!(survey.members.len(), 3);
    assert!(
        register.surveys(at(GATHER * 3)).is_empty(),
        "it is under way"
    );
    let rates = ["a-", "b-"].map(|name| series(name, &[(0, 1.0)]));
    let news = register.answered(&survey, Ok(&rates), at(GATHER));
    assert_eq!(news.len(), 3);
    assert_eq!(register.known(&key("c")), Known::Nothing);

    // Who had nothing is asked about sooner, alone at first...
    let survey = one(&mut register, at(GATHER + SOON));
    assert_eq!(survey.members.len(), 1);
    let news = register.answered(&survey, Ok(&[]), at(GATHER + SOON));
    assert!(news.is_empty(), "nothing new");
    assert!(
        register.surveys(at(GATHER + SOON * 2)).is_empty(),
        "twice as long"
    );
    // ...and whoever is due soon anyway comes along.
    let survey = one(&mut register, at(GATHER + HOUR));
    assert_eq!(survey.members.len(), 3);
    let same = register.answered(&survey, Ok(&rates), at(GATHER + HOUR));
    assert!(same.is_empty());
}

#[test]
fn an_error_leaves_it_unknown_and_another_question_begins_anew() {
    let mut register = Register::default();
    register.note(key("a"), Some(past("a", "a")), NOW);
    let survey = one(&mut register, at(GATHER));
    register.answered(&survey, Err("no route".to_owned()), at(GATHER));
    assert_eq!(
        register.known(&key("a")),
        Known::Problem("no route".to_owned())
    );
    let late = one(&mut register, at(HOUR));
    assert!(register.note(key("a"), Some(past("a", "b")), at(HOUR)));
    let news = register.answered(&late, Ok(&[series("a-", &[(0, 1.0)])]), at(HOUR));
    assert!(news.is_empty(), "it was asked by another name");
    assert_eq!(register.known(&key("a")), Known::NotYet);
    register.note(key("a"), None, at(HOUR));
    assert_eq!(register.due_at(), None);
}

#[test]
fn servers_are_asked_each_for_its_own() {
    let mut register = Register::default();
    let other = Past {
        server: Server::at("http://other:9090"),
        ..past("b", "b")
    };
    register.note(key("a"), Some(past("a", "a")), NOW);
    register.note(key("b"), Some(other), NOW);
    assert_eq!(register.surveys(at(GATHER)).len(), 2);
}

#[test]
fn all_revisions_and_the_service_before_them_are_added_up() {
    let mut register = Register::default();
    register.note(key("a"), Some(past("web", "shop")), NOW);
    register.note(key("b"), Some(past("shop", "other")), NOW);
    let survey = one(&mut register, at(GATHER));
    let week: Vec<_> = (0..171).map(|look| (look * 3_540, 2.0)).collect();
    let answer = [
        series("web", &week),
        series("shop-", &week),
        series("shop", &[(170 * 3_540, f64::from(7_u8))]),
        series("other-", &[(0, f64::NAN)]),
    ];
    register.answered(&survey, Ok(&answer), at(GATHER));
    let both = traffic(&register, "a");
    assert_eq!(both.to_string(), "4.1 requests/s (measured over 6 d 23 h)");
    // What has the name of the target alone is somebody else's Service.
    assert_eq!(traffic(&register, "b").over, TimeDelta::minutes(1));
}

#[test]
fn what_covers_an_hour_is_not_divided_by_a_week() {
    let mut register = Register::default();
    register.note(key("a"), Some(past("a", "a")), NOW);
    let survey = one(&mut register, at(GATHER));
    let hour = series("a", &[(0, 10.0), (3_540, 20.0)]);
    register.answered(&survey, Ok(&[hour]), at(GATHER));
    let traffic = traffic(&register, "a");
    assert_eq!(traffic, PastTraffic::measured(15.0, HOUR));
}

#[test]
fn pods_are_counted_by_their_deployments() {
    let mut register = Register::default();
    let past = Past {
        source: Source::IstioSidecar,
        ..past("web", "shop")
    };
    register.note(key("a"), Some(past), NOW);
    let survey = one(&mut register, at(GATHER));
    assert!(survey.query.contains("\"(?:shop)(?:-"), "{}", survey.query);
}

#[test]
fn a_time_without_series_had_no_requests() {
    let mut register = Register::default();
    register.note(key("web"), Some(past("web", "web")), NOW);
    let survey = one(&mut register, at(GATHER));
    let look = STEP.num_seconds();
    // Pods that count themselves, there twice in ten looks.
    let rates = [series("web-", &[(0, 100.0), (9 * look, 100.0)])];
    register.answered(&survey, Ok(&rates), at(GATHER));
    let known = traffic(&register, "web");
    assert_eq!(known.per_day, 1_700_000, "20 a second");
    assert_eq!(known.over, STEP * 9 + TimeDelta::minutes(1));
}
