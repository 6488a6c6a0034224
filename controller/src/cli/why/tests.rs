//! What is told of stored objects.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

use kube::api::DynamicObject;
use serde_json::{Value, json};
use sluice_core::evidence::{Against, Exhibit, Grounds, Opinion};
use sluice_core::{Outcome, Record, Tally, Time, Weight};

use super::*;
use crate::render::snapshot::{record_annotation, snapshot};

fn at(second: i64) -> Time {
    Time::from_timestamp(1_700_000_000 + second, 0).unwrap()
}

fn micro(second: i64) -> String {
    at(second).to_rfc3339_opts(chrono::SecondsFormat::Micros, true)
}

fn exhibit(slo: &str, candidate: (u64, u64), against: (u64, u64), verdict: Opinion) -> Exhibit {
    let tally = |(good, total)| Tally { good, total };
    Exhibit {
        slo: slo.to_owned(),
        objective_ppm: Some(999_000),
        candidate: tally(candidate),
        stable: tally((12_345, 12_350)),
        against: Against {
            objective: against.0,
            stable: against.1,
        },
        proof: 300,
        verdict,
        why: String::new(),
        missing: None,
        spending: None,
    }
}

fn judged(revision: &str, record: &Record) -> DynamicObject {
    let template = json!({"spec": {"containers": [{"image": "shop:2"}]}});
    let mut object = snapshot(
        "shop",
        "web",
        &revision.into(),
        &template,
        "hash",
        &BTreeMap::new(),
    );
    let annotations = object.metadata.annotations.get_or_insert_default();
    annotations.insert(
        sluice_crds::annotations::VERDICT.to_owned(),
        record_annotation(record),
    );
    object
}

fn rejected() -> DynamicObject {
    let reason = "availability: 40 of 75 requests were good (53.333%), the objective is 99.900%";
    let mut fail = exhibit("availability", (40, 75), (18_000, 15_211), Opinion::Fail);
    fail.why = reason.to_owned();
    let grounds = Grounds {
        weight: Weight::from_percent(5),
        first_weight_at: Some(at(-3_631)),
        evidence: vec![fail, exhibit("latency", (75, 75), (0, 1), Opinion::Pass)],
    };
    let record = Record::default().ended(Outcome::Rejected, at(-3_600), reason);
    judged(
        "web-bad",
        &Record {
            grounds: Some(grounds),
            ..record
        },
    )
}

fn stored(status: &Value, snapshots: Vec<DynamicObject>) -> Stored {
    let canary = json!({
        "apiVersion": "sluice.dev/v1alpha1", "kind": "Canary",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"targetRef": {"kind": "Deployment", "name": "web"}},
        "status": status,
    });
    Stored {
        canary: serde_json::from_value(canary).unwrap(),
        snapshots,
        templates: BTreeMap::new(),
    }
}

fn condition(reason: &str, message: &str) -> Value {
    json!([{
        "type": "Ready", "status": "False", "reason": reason, "message": message,
        "lastTransitionTime": "2023-11-14T22:13:20Z",
    }])
}

/// As the API server keeps it while a rollout waits for requests.
fn holding() -> Stored {
    let message = "web-new has 5% of the requests: the candidate got 300 of the 1500 requests that \
                   minRequests asks, since 22:15:20Z";
    let evidence = |slo: &str| {
        json!({
            "slo": slo, "good": 300, "total": 300, "stableGood": 5_699, "stableTotal": 5_700,
            "againstObjective": 0, "againstStable": 1, "proof": 400, "verdict": "Inconclusive",
            "why": "the candidate got 300 of the 1500 requests that minRequests asks",
            "missingEvents": 1_200, "missingSeconds": 355,
        })
    };
    let broken = json!({
        "slo": "checkouts", "good": 0, "total": 0, "stableGood": 0, "stableTotal": 0,
        "againstObjective": 1, "againstStable": 1, "proof": 400, "verdict": "Inconclusive",
        "why": "the metrics source gives no data: the query for the candidate total gives no series",
    });
    let status = json!({
        "phase": "Holding", "stable": "web-old", "candidate": "web-new", "step": 1, "steps": 3,
        "weight": "5%",
        "conditions": condition("TooFewRequests", message),
        "plan": {
            "source": "istio-waypoint",
            "steps": [{"weight": "5%", "bake": "2m"}, {"weight": "25%", "bake": "2m"}],
            "slos": [
                {"name": "availability", "objective": "99.9%", "availability": {}},
                {"name": "latency", "latency": {"threshold": "250ms"}},
                {"name": "checkouts", "objective": "99%", "events": {"template": "checkouts"}},
            ],
            "inconclusive": {"after": "10m", "action": "Hold"},
            "progressDeadline": "1h", "drainDelay": "60s", "settle": "10s", "minRequests": 1_500,
        },
        "rollout": {
            "candidate": "web-new", "gated": true,
            "startedAt": micro(-20), "firstWeightAt": micro(0), "stepSince": micro(0),
            "progressedAt": micro(0), "inconclusiveSince": micro(120), "evidenceAt": micro(200),
            "evidence": [evidence("availability"), evidence("latency"), broken],
        },
    });
    stored(&status, vec![rejected()])
}

#[test]
fn a_rollout_that_waits_says_for_what_and_how_long() {
    let text = text::of(&Account::of(&holding(), at(230)));
    assert_eq!(text, include_str!("tests/holding.txt"));
    let later = text::of(&Account::of(&holding(), at(3_000)));
    assert!(
        later.contains("a person is called since 2023-11-14 22:25:20Z"),
        "{later}"
    );
}

#[test]
fn a_rejection_keeps_its_evidence_without_a_status() {
    let status = json!({
        "phase": "Failed", "stable": "web-old", "candidate": "web-bad",
        "conditions": condition("Rejected", "web-bad was rejected"),
    });
    let text = text::of(&Account::of(&stored(&status, vec![rejected()]), at(0)));
    assert_eq!(text, include_str!("tests/rejected.txt"));
    let lost = text::of(&Account::of(&stored(&json!({}), vec![rejected()]), at(0)));
    let (_, evidence) = text.split_once("\n\n").unwrap();
    let (evidence, _) = evidence.split_once("\n\n").unwrap();
    assert!(lost.contains(evidence), "{lost}");
}

#[test]
fn connections_are_told_by_the_query_of_their_own_source() {
    let mut status = serde_json::to_value(&holding().canary.status).unwrap();
    let slo = json!({"name": "reached", "connections": {"source": "ztunnel"}});
    status["plan"]["slos"].as_array_mut().unwrap().push(slo);
    let text = text::of(&Account::of(&stored(&status, Vec::new()), at(230)));
    let (_, query) = text.split_once("\n  reached (ztunnel)\n").unwrap();
    let query = query.lines().next().unwrap();
    for part in ["istio_tcp_connections_closed_total", "web-new|web-old"] {
        assert!(query.contains(part), "{query}");
    }
    assert!(
        text.contains("\n  availability, latency (istio-waypoint)\n"),
        "{text}"
    );
}

#[test]
fn what_is_spent_of_the_error_budget_is_told() {
    let mut status = serde_json::to_value(&holding().canary.status).unwrap();
    status["rollout"]["evidence"][0]["errorBudget"] = json!("1.2% of 5%");
    let text = text::of(&Account::of(&stored(&status, Vec::new()), at(230)));
    assert!(
        text.contains("\n  availability: error budget spent: 1.2% of 5%\n"),
        "{text}"
    );
    assert_eq!(text.matches("error budget").count(), 1, "{text}");
}

#[test]
fn programs_get_numbers() {
    let account = serde_json::to_value(Account::of(&holding(), at(230))).unwrap();
    assert_eq!(
        account["rollout"]["evidence"][0]["missing"]["events"],
        1_200
    );
    assert_eq!(account["rollout"]["evidence"][0]["objectivePpm"], 999_000);
    assert_eq!(account["rollout"]["limit"]["then"], "Hold");
    assert_eq!(
        account["decisions"][0]["grounds"]["evidence"][0]["against"]["objective"],
        18_000
    );
}

#[test]
fn a_verdict_of_an_older_version_is_told_without_evidence() {
    let record = Record::default().ended(Outcome::Rejected, at(-60), "never ready");
    let mut old = serde_json::to_value(&record).unwrap();
    assert!(old.get("grounds").is_none(), "{old}");
    old["unknown"] = json!(1);
    let mut object = judged("web-bad", &record);
    let annotations = object.metadata.annotations.get_or_insert_default();
    annotations.insert(
        sluice_crds::annotations::VERDICT.to_owned(),
        old.to_string(),
    );
    let text = text::of(&Account::of(&stored(&json!({}), vec![object]), at(0)));
    assert!(
        text.contains("web-bad was rejected 2023-11-14 22:12:20Z (1 min ago)\n  never ready\n"),
        "{text}"
    );
}
