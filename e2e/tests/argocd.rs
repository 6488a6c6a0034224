//! Argo CD's own Lua machine judges Canaries as Sluice writes them, by the `ConfigMap` that users take.
//!
//! `argocd/tests/canaries` holds those Canaries, and a test of the controller writes them; `argocd/tests/expected.txt` what
//! is made of each.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failed unwrap is a failed test"
)]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use e2e::{argocd, build, paths};
use serde_json::{Value, json};
use sluice_crds::{Canary, annotations};

/// The variable that lets the test write `expected.txt` anew.
const WRITE: &str = "SLUICE_BLESS";

/// The Canaries by the names of their files.
fn canaries() -> BTreeMap<String, String> {
    let folder = argocd::folder().join("tests/canaries");
    let files = fs::read_dir(folder).unwrap();
    let canaries: BTreeMap<_, _> = files
        .map(|file| {
            let path = file.unwrap().path();
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            (name, fs::read_to_string(path).unwrap())
        })
        .collect();
    assert!(canaries.len() > 20, "{:?}", canaries.keys());
    canaries
}

/// What Argo CD makes of each Canary.
fn judged(config: &Path, canaries: &BTreeMap<String, String>) -> BTreeMap<String, Value> {
    let input = paths::scratch("canaries.yaml").unwrap();
    let texts: Vec<_> = canaries.values().map(String::as_str).collect();
    fs::write(&input, texts.join("---\n")).unwrap();
    let output = Command::new(build::argocd_lua().unwrap())
        .arg(config)
        .stdin(File::open(&input).unwrap())
        .output()
        .unwrap();
    fs::remove_file(&input).unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let lines = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), canaries.len());
    canaries.keys().cloned().zip(lines).collect()
}

fn offered(judged: &Value) -> Vec<&str> {
    let actions = judged["offered"].as_object().unwrap();
    let offered = actions
        .iter()
        .filter(|(_, action)| !action["disabled"].as_bool().unwrap_or_default());
    offered.map(|(name, _)| name.as_str()).collect()
}

fn summary(judged: &BTreeMap<String, Value>) -> String {
    let mut text = String::new();
    for (name, judged) in judged {
        let health = |field: &str| judged["health"][field].as_str().unwrap_or_default();
        let actions = match offered(judged) {
            none if none.is_empty() => "nothing".to_owned(),
            some => some.join(", "),
        };
        let (status, message) = (health("status"), health("message"));
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "{name}\n  {status}: {message}\n  offered: {actions}\n\n"
        );
    }
    text
}

#[test]
fn the_config_map_is_made_of_the_scripts() {
    let text = fs::read_to_string(argocd::path()).unwrap();
    assert_eq!(
        text,
        argocd::text().unwrap(),
        "make it anew: {}",
        argocd::COMMAND
    );
    let read: Value = serde_yaml_ng::from_str(&text).unwrap();
    assert_eq!(read["data"], json!(argocd::data().unwrap()));
}

#[test]
fn every_state_has_its_health_and_its_actions() {
    let path = argocd::folder().join("tests/expected.txt");
    let found = summary(&judged(&argocd::path(), &canaries()));
    if std::env::var_os(WRITE).is_some() {
        fs::write(&path, &found).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap();
    assert_eq!(
        found,
        expected,
        "if it is right, {WRITE}=1 writes it to {}",
        path.display()
    );
}

/// What is offered does one thing; what is not, and asked for all the same, is refused or harmless.
#[test]
fn an_action_changes_what_it_says_and_nothing_else() {
    let canaries = canaries();
    let mut done = BTreeMap::<&str, u32>::new();
    for (name, judged) in judged(&argocd::path(), &canaries) {
        let before: Value = serde_yaml_ng::from_str(&canaries[&name]).unwrap();
        let offers = offered(&judged);
        let revision = before
            .pointer("/status/candidate")
            .and_then(Value::as_str)
            .unwrap_or_default();
        for (verb, annotation) in [
            ("promote", annotations::PROMOTE),
            ("abort", annotations::ABORT),
            ("retry", annotations::RETRY),
        ] {
            let outcome = &judged["outcomes"][verb];
            if !offers.contains(&verb) {
                continue;
            }
            *done.entry(verb).or_default() += 1;
            let mut after = outcome["becomes"].clone();
            let metadata = after["metadata"].as_object_mut().unwrap();
            let orders = metadata.remove("annotations").unwrap();
            let order = orders[annotation].as_str().unwrap();
            let (named, time) = order.split_once('#').unwrap();
            assert!(!revision.is_empty() && named == revision, "{name}: {order}");
            assert!(
                chrono::DateTime::parse_from_rfc3339(time).is_ok(),
                "{name}: {order}"
            );
            assert_eq!(orders.as_object().unwrap().len(), 1, "{name}: {orders}");
            assert_eq!(after, before, "{name}: {verb}");
        }
        for (verb, suspend) in [("suspend", true), ("resume", false)] {
            if !offers.contains(&verb) {
                continue;
            }
            *done.entry(verb).or_default() += 1;
            let after = &judged["outcomes"][verb]["becomes"];
            let mut wanted = before.clone();
            wanted["spec"]["suspend"] = json!(suspend);
            assert_eq!(*after, wanted, "{name}: {verb}");
            let spec: Canary = serde_json::from_value(after.clone()).unwrap();
            assert_eq!(spec.spec.suspend, suspend);
        }
    }
    assert_eq!(done.len(), 5, "not every action was offered: {done:?}");
}

#[test]
fn an_order_without_its_revision_is_refused() {
    let judged = judged(&argocd::path(), &canaries());
    for verb in ["promote", "abort", "retry"] {
        let error = judged["succeeded"]["outcomes"][verb]["error"].as_str();
        let why = format!("there is nothing to {verb}");
        assert!(error.is_some_and(|error| error.contains(&why)), "{error:?}");
    }
}

/// A person's other annotations stay; an order given twice is another order.
#[test]
fn an_order_beside_others() {
    let mut canary: Value = serde_yaml_ng::from_str(&canaries()["progressing"]).unwrap();
    canary["metadata"]["annotations"] = json!({"team": "shop", annotations::ABORT: "podinfo-old"});
    let text = serde_yaml_ng::to_string(&canary).unwrap();
    let judged = judged(&argocd::path(), &BTreeMap::from([("it".to_owned(), text)]));
    let after = &judged["it"]["outcomes"]["abort"]["becomes"]["metadata"]["annotations"];
    assert_eq!(after["team"], "shop");
    let order = after[annotations::ABORT].as_str().unwrap();
    assert!(order.starts_with("podinfo-candidate#"), "{order}");
}

/// So that the tests above are known to look.
#[test]
fn a_script_that_is_wrong_is_found() {
    let text = fs::read_to_string(argocd::path()).unwrap();
    let expected = fs::read_to_string(argocd::folder().join("tests/expected.txt")).unwrap();
    for (right, wrong) in [
        ("if obj.spec.suspend then", "if false then"),
        (
            "status.observedGeneration < obj.metadata.generation",
            "false",
        ),
        ("is(\"Stalled\", \"True\")", "is(\"Stalled\", \"Unknown\")"),
        ("is(\"Promoted\", \"False\") ~= nil", "false"),
        ("ready.reason ~= \"Rejected\"", "false"),
        ("status.phase == \"Failed\" and", "true and"),
        ("rollout.gated == true", "true"),
        ("rollout.promoting ~= true", "true"),
        ("local heard = not suspended", "local heard = true"),
    ] {
        assert!(text.contains(right), "no script says {right}");
        let config = paths::scratch("cm.yaml").unwrap();
        fs::write(&config, text.replace(right, wrong)).unwrap();
        let found = summary(&judged(&config, &canaries()));
        fs::remove_file(&config).unwrap();
        assert_ne!(found, expected, "nobody finds that {right} is {wrong}");
    }
}
