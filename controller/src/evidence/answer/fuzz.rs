//! Answers of broken and of foreign servers.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use serde_json::{Value, json};
use sluice_crds::{ConnectionSource, Source};

use super::tests::rows;
use super::*;
use crate::evidence::ledger::Ledger;
use crate::fuzz::{Dice, cases, fuzz, mutate_bytes, seed};

fn asked() -> Asked {
    let service = |name: &str| Service {
        namespace: "shop".to_owned(),
        name: name.to_owned(),
    };
    Asked {
        services: BTreeSet::from([service("web-a"), service("web-b")]),
        thresholds: BTreeSet::from([250, 1_000]),
        ..Asked::default()
    }
}

fn example() -> Value {
    let series = |metric: &str, service: &str, label: &str, value: &str| {
        let (name, bound) = label.split_once('=').unwrap();
        let value = json!([1_700_000_000.5, value]);
        json!({"value": value, "metric": {
            "__name__": metric, "destination_service_namespace": "shop", "destination_service_name": service,
            "instance": "10.0.0.1:15020", "pod": "waypoint-1", "request_protocol": "http", name: bound,
        }})
    };
    json!({"status": "success", "data": {"resultType": "vector", "result": [
        series("istio_requests_total", "web-a", "response_code=200", "1e3"),
        series("istio_requests_total", "web-b", "response_code=503", "7"),
        series("istio_request_duration_milliseconds_bucket", "web-b", "le=250", "5"),
        series("istio_request_duration_milliseconds_bucket", "web-b", "le=1000.0", "6"),
        series("istio_request_duration_milliseconds_count", "web-b", "response_code=503", "7"),
    ]}})
}

/// Whatever is in an answer: only what was asked for counts, and the totals never fall.
fn take(ledger: &mut Ledger, status: u16, body: &[u8]) {
    let asked = asked();
    let Ok(rows) = rows(Dialect::of(Source::IstioWaypoint), &asked, status, body) else {
        return;
    };
    assert!(
        rows.rows
            .iter()
            .all(|row| asked.services.contains(&row.service))
    );
    let totals = |ledger: &Ledger| {
        let accounts = asked.services.iter().map(|service| ledger.account(service));
        let events = accounts.map(|account| account.map(|account| account.events().clone()));
        events
            .map(|events| events.map_or((0, 0), |events| (events.good, events.bad)))
            .collect::<Vec<_>>()
    };
    let before = totals(ledger);
    ledger.take(&asked.services, rows);
    for (before, after) in before.iter().zip(totals(ledger)) {
        assert!(before.0 <= after.0 && before.1 <= after.1);
    }
}

#[test]
fn any_answer() {
    fuzz(&[example()], |answer| {
        let mut ledger = Ledger::default();
        let proper = example().to_string();
        for body in [
            proper.as_bytes(),
            answer.to_string().as_bytes(),
            proper.as_bytes(),
        ] {
            take(&mut ledger, 200, body);
        }
    });
}

fn example_of_connections(source: ConnectionSource) -> Value {
    let metric = Connections::of(source);
    let series =
        metric.rules.iter().zip(1..).flat_map(|(rule, count)| {
            metric.parts.iter().map(move |part| {
            let flag = if rule.counted == Counted::Bad { "DENY" } else { "-" };
            json!({"value": [1_700_000_000.5, format!("{}", 10 - count)], "metric": {
                "__name__": rule.metric, "instance": "10.0.0.1:15020", "pod": "agent-1",
                part.namespace: "shop", part.name: "web-b", "response_flags": flag, "type": "Drop",
            }})
        })
        });
    let result: Vec<_> = series.collect();
    json!({"status": "success", "data": {"resultType": "vector", "result": result}})
}

/// Likewise: only what was asked for counts, totals never fall, and nothing is good that is not counted.
fn take_connections(source: ConnectionSource, ledger: &mut Ledger, status: u16, body: &[u8]) {
    let services = asked().services;
    let Ok(entries) = connections(Connections::of(source), &services, status, body) else {
        return;
    };
    let known =
        |row: &Row| services.contains(&row.service) && !entries.spoiled.contains_key(&row.service);
    assert!(entries.rows.iter().all(known));
    let tallies = |ledger: &Ledger| {
        let accounts = services.iter().map(|service| ledger.account(service));
        let tallies = accounts.map(|account| account.map(|a| a.events().connections));
        tallies.map(Option::unwrap_or_default).collect::<Vec<_>>()
    };
    let before = tallies(ledger);
    ledger.take(&services, entries);
    for (before, after) in before.iter().zip(tallies(ledger)) {
        assert!(before.good <= after.good && before.bad() <= after.bad());
        assert!(after.good <= after.total);
    }
}

#[test]
fn any_answer_about_connections() {
    for source in ConnectionSource::ALL {
        fuzz(&[example_of_connections(source)], |answer| {
            let mut ledger = Ledger::default();
            let proper = example_of_connections(source).to_string();
            for body in [&proper, &answer.to_string(), &proper] {
                take_connections(source, &mut ledger, 200, body.as_bytes());
            }
        });
    }
}

#[test]
fn any_text_about_connections() {
    let mut dice = Dice::new(seed());
    for _ in 0..cases() {
        for source in ConnectionSource::ALL {
            let mut body = example_of_connections(source).to_string().into_bytes();
            for _ in 0..=dice.below(3) {
                mutate_bytes(&mut body, &mut dice);
            }
            take_connections(source, &mut Ledger::default(), 200, &body);
        }
    }
}

#[test]
fn any_text() {
    let seed = seed();
    let mut dice = Dice::new(seed);
    for _ in 0..cases() {
        let mut body = example().to_string().into_bytes();
        for _ in 0..=dice.below(3) {
            mutate_bytes(&mut body, &mut dice);
        }
        let status = if dice.below(4) == 0 { 503 } else { 200 };
        take(&mut Ledger::default(), status, &body);
    }
}
