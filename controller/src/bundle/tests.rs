//! What is written is read again, and decided again, bit for bit.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use serde_json::Value;
use sluice_core::{Outcome, Time, decide};

use super::*;
use crate::cli::rehearse::{Scenario, looks};
use crate::evidence::Key;

/// JSON keeps a float to the last bit only by `serde_json`'s feature `float_roundtrip`, which nothing here needs as yet.
#[test]
fn nothing_that_is_recorded_is_a_float() {
    fn holds_float(value: &Value) -> bool {
        match value {
            Value::Array(items) => items.iter().any(holds_float),
            Value::Object(fields) => fields.values().any(holds_float),
            other => other.is_f64(),
        }
    }
    for scenario in Scenario::ALL {
        for line in text(&looks(scenario)).lines() {
            let line: Value = serde_json::from_str(line).unwrap();
            assert!(!holds_float(&line), "{line}");
        }
    }
}

/// The lines of a rehearsed rollout.
pub(crate) fn text(looks: &[Look]) -> String {
    let mut encoder = Encoder::default();
    let header = Header {
        bundle: FORMAT,
        sluice: "0".to_owned(),
        namespace: "shop".to_owned(),
        canary: "cart".to_owned(),
        candidate: "cart-b".into(),
        started_at: Time::UNIX_EPOCH,
    };
    let lines = looks
        .iter()
        .filter_map(|look| encoder.line(look.clone()).unwrap());
    serde_json::to_string(&header).unwrap() + "\n" + &lines.collect::<String>()
}

#[test]
fn every_scenario_is_read_as_it_was_and_decided_again() {
    for scenario in Scenario::ALL {
        let looks = looks(scenario);
        let bundle = read(&text(&looks)).unwrap();
        assert!(!bundle.torn);
        let read: Vec<_> = bundle.looks.into_iter().map(|(_, look)| look).collect();
        // What is left out was the same once more.
        let mut written = looks.iter();
        for look in &read {
            assert!(
                written.any(|one| one == look),
                "{scenario:?}: not so: {look:?}"
            );
            let again = decide(&look.plan, &look.state, &look.world, look.now);
            assert_eq!(again, look.decision, "{scenario:?}");
        }
        assert!(read.len() > 10 && read.len() <= looks.len(), "{scenario:?}");
    }
}

#[test]
fn an_hour_of_waiting_takes_little_room() {
    let looks = looks(Scenario::NoTraffic);
    let since = looks.first().unwrap().now;
    let hour = looks
        .iter()
        .take_while(|look| look.now - since < chrono::TimeDelta::hours(1));
    let hour: Vec<_> = hour.cloned().collect();
    assert!(hour.len() > 240);
    let bytes = text(&hour).len();
    assert!(bytes < 400_000, "{bytes}");
}

#[test]
fn a_torn_line_ends_a_bundle_and_a_foreign_one_is_named() {
    let whole = text(&looks(Scenario::Healthy));
    let torn = whole.trim_end().to_owned();
    let (all, fewer) = (read(&whole).unwrap(), read(&torn).unwrap());
    assert!(fewer.torn);
    assert_eq!(fewer.looks.len() + 1, all.looks.len());
    let error = |text: &str| read(text).unwrap_err().to_string();
    assert_eq!(error(""), "there is nothing in it");
    assert!(error("kind: Canary\n").starts_with("line 1 is no header of a bundle"));
    let newer = whole.replacen("\"bundle\":1", "\"bundle\":2", 1);
    assert!(error(&newer).contains("format 2, and this sluice reads format 1"));
    let unknown = whole.replacen("\"suspended\":false", "\"suspended\":false,\"moon\":1", 1);
    assert!(
        error(&unknown).starts_with("line 2: "),
        "{}",
        error(&unknown)
    );
    let foreign = whole + "{}\n";
    assert!(error(&foreign).contains("missing field `now`"));
}

#[test]
fn a_recording_holds_a_rollout_from_start_to_rest() {
    let path = std::env::temp_dir().join(format!("sluice-recording-{}", std::process::id()));
    let recording = Recording::start(Some(&path)).unwrap();
    let scenarios = [("good", Scenario::Healthy), ("poor", Scenario::Errors)];
    for (name, scenario) in scenarios {
        let key = Key::new(name).within("shop");
        // As fast as it can be written, and no faster.
        for chunk in looks(scenario).chunks(64) {
            for look in chunk {
                recording.look(&key, || look.clone());
            }
            recording.end();
        }
    }
    let mut files: Vec<_> = std::fs::read_dir(&path)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    let texts: Vec<_> = files
        .iter()
        .map(|file| std::fs::read_to_string(file).unwrap())
        .collect();
    std::fs::remove_dir_all(&path).unwrap();
    let outcomes = texts.iter().map(|text| {
        let bundle = read(text).unwrap();
        assert_eq!((bundle.missed, bundle.torn), (0, false));
        let (_, first) = bundle.looks.first().unwrap();
        assert!(first.state.rollout.is_none(), "it begins with the start");
        let (_, last) = bundle.looks.last().unwrap();
        assert!(last.is_at_rest(), "it ends at rest: {:?}", last.decision);
        let record = last.world.record(&bundle.header.candidate).unwrap();
        record.outcome.unwrap()
    });
    let outcomes: Vec<_> = outcomes.collect();
    assert_eq!(outcomes, [Outcome::Promoted, Outcome::Rejected]);
}

#[test]
fn nothing_is_made_where_nothing_is_recorded() {
    let key = Key::new("cart").within("shop");
    Recording::start(None)
        .unwrap()
        .look(&key, || unreachable!("nobody keeps it"));
}
