//! Answers of broken and of foreign servers.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use serde_json::{Value, json};
use sluice_crds::Source;

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
