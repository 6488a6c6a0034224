//! What is printed for the example, and for what is wrong.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failed unwrap is a failed test"
)]

use clap::Parser;
use insta::{Settings, assert_snapshot};

use super::*;
use crate::bundle::Look;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    args: Args,
}

fn example(name: &str) -> String {
    format!("{}/../examples/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn rehearse(words: &[&str]) -> anyhow::Result<String> {
    let files = ["minimal/canary.yaml", "minimal/policy.yaml"].map(example);
    let files = files.iter().map(String::as_str);
    let words = ["rehearse"]
        .into_iter()
        .chain(files)
        .chain(words.iter().copied());
    Line::try_parse_from(words)?.args.play()
}

/// Every decision on the example in a scenario.
pub(crate) fn looks(scenario: Scenario) -> Vec<Look> {
    let files = ["minimal/canary.yaml", "minimal/policy.yaml"].map(example);
    let words = ["rehearse".to_owned()].into_iter().chain(files);
    let args = Line::parse_from(words).args;
    let specs = files::read(&args.files, None).unwrap();
    let mut looks = Vec::new();
    play::play(&args.setting(&specs).unwrap(), scenario, |look| {
        looks.push(look);
    });
    looks
}

#[test]
fn the_example_in_every_scenario() {
    let mut settings = Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    for scenario in Scenario::ALL {
        let name = scenario.name();
        let text = rehearse(&["--scenario", name]).unwrap();
        settings.bind(|| assert_snapshot!(format!("minimal-{name}"), text));
    }
}

#[test]
fn the_same_seed_prints_the_same_and_another_does_not() {
    let with = |seed: &str| rehearse(&["--scenario", "errors", "--seed", seed]).unwrap();
    assert_eq!(with("7"), with("7"));
    let numbers = |text: String| text.lines().skip(4).map(str::to_owned).collect::<Vec<_>>();
    assert_ne!(numbers(with("7")), numbers(with("8")));
}

#[test]
fn all_ends_with_what_came_of_each() {
    let text = rehearse(&["--scenario", "all", "--limit", "30m"]).unwrap();
    let (_, outcomes) = text.split_once("== outcomes\n\n").unwrap();
    assert_eq!(outcomes.lines().count(), Scenario::ALL.len(), "{outcomes}");
    let of = |name: &str| {
        outcomes
            .lines()
            .find(|line| line.starts_with(name))
            .unwrap()
    };
    assert!(of("healthy").contains("podinfo-candidate was promoted after"));
    assert!(of("errors").contains("podinfo-candidate was rejected after"));
    assert!(of("slow").contains("podinfo-candidate was rejected after"));
    assert!(of("no-traffic").contains("No end after"));
    assert!(of("outage").contains("podinfo-candidate was promoted after"));
}

#[test]
fn a_plan_that_cannot_see_the_trouble_says_so() {
    let blind = file(
        "blind",
        "apiVersion: sluice.dev/v1alpha1
kind: Canary
metadata: {name: cart}
spec:
  targetRef: {kind: Deployment, name: cart}
  metrics: {address: http://prometheus}
",
    );
    let text = alone(&blind, &["--scenario", "slow"]).unwrap();
    assert!(
        text.contains("No SLO of the plan looks at what is wrong"),
        "{text}"
    );
    assert!(
        text.contains("Canary cart, by the built-in values"),
        "{text}"
    );
}

#[test]
fn a_person_approves_after_a_while() {
    let canary = "apiVersion: sluice.dev/v1alpha1
kind: Canary
metadata: {name: web, namespace: shop}
spec:
  targetRef: {kind: Deployment, name: web}
  metrics: {address: 'http://prometheus:9090'}
  steps: [{approval: {}}, {weight: 10%, bake: 1m, approval: {}}, {weight: 50%, bake: 1m}]
  progressDeadline: 5m
";
    let path = std::env::temp_dir().join(format!("sluice-approvals-{}.yaml", std::process::id()));
    std::fs::write(&path, canary).unwrap();
    let words = [
        "rehearse",
        &path.display().to_string(),
        "--approve-after",
        "20m",
    ];
    let text = Line::try_parse_from(words).unwrap().args.play().unwrap();
    std::fs::remove_file(&path).unwrap();
    let parts = [
        "steps: approval, 10% for 1m, then approval, 50% for 1m;",
        "AwaitingApproval: web-candidate waits at 0% for approval",
        "waits for approval since 00:00:30Z: to go on, add {revision: web-candidate, at: \"0%\"}",
        "Approved: web-candidate may go on from 10%",
        "web-candidate was promoted after 4",
    ];
    for part in parts {
        assert!(text.contains(part), "{part} is missing in:\n{text}");
    }
}

#[test]
fn every_example_and_valid_object_can_be_rehearsed() {
    let mut folders = vec![PathBuf::from(example(""))];
    let mut rehearsed = 0;
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(&folder).unwrap();
        let (inside, mut files): (Vec<_>, Vec<_>) = entries
            .map(|entry| entry.unwrap().path())
            .partition(|path| path.is_dir());
        folders.extend(inside);
        let holds = |path: &PathBuf, what: &str| {
            let text = std::fs::read_to_string(path).unwrap();
            text.lines().any(|line| line == what)
        };
        files.retain(|path| {
            path.extension().is_some_and(|ext| ext == "yaml")
                && holds(path, "apiVersion: sluice.dev/v1alpha1")
        });
        if !files.iter().any(|path| holds(path, "kind: Canary")) {
            continue;
        }
        let mut words = vec!["rehearse".to_owned(), "--limit".to_owned(), "1h".to_owned()];
        words.extend(files.iter().map(|path| path.display().to_string()));
        if !folder.ends_with("minimal") {
            words.push(example("minimal/policy.yaml"));
        }
        let text = Line::try_parse_from(words).unwrap().args.play();
        let text = text.unwrap_or_else(|error| panic!("{}: {error:#}", folder.display()));
        assert!(
            text.contains("was promoted after"),
            "{}: {text}",
            folder.display()
        );
        rehearsed += 1;
    }
    assert!(rehearsed >= 9, "{rehearsed} folders");
}

#[test]
fn a_plot_is_drawn() {
    let path = std::env::temp_dir().join(format!("sluice-plot-{}.svg", std::process::id()));
    let name = path.display().to_string();
    rehearse(&["--scenario", "errors", "--plot", &name]).unwrap();
    let drawn = std::fs::read_to_string(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    for said in [
        "<svg",
        "weight, %",
        "availability: evidence",
        "latency: bad events",
        "proof",
    ] {
        assert!(drawn.contains(said), "{said} is not in it");
    }
}

#[test]
fn bad_input_says_which_field_and_how_to_mend_it() {
    let canary = |spec: &str| {
        format!(
            "apiVersion: sluice.dev/v1alpha1\nkind: Canary\nmetadata: {{name: cart}}\nspec:\n  \
             targetRef: {{kind: Deployment, name: cart}}\n{spec}"
        )
    };
    let cases = [
        (
            "  drainDelay: 1d\n",
            "InvalidSpec: Canary cart: spec.drainDelay: \"1d\"",
        ),
        (
            "  slos: [{name: fast, latency: {threshold: 300ms}}]\n",
            "InvalidSpec: Canary cart: spec.slos[0].latency.threshold: ",
        ),
        (
            "  slos: [{name: own, events: {template: none}}]\n",
            "TemplateNotFound: SLO own: there is no MetricTemplate none",
        ),
        (
            "  policyRef: {kind: CanaryPolicy, name: gone}\n",
            "PolicyNotFound: spec.policyRef: there is no CanaryPolicy named gone",
        ),
        ("  stepz: []\n", "Canary cart: unknown field spec.stepz"),
        (
            "  slos: [{name: fast, latency: {threshold: 250ms, treshold: 1s}}]\n",
            "Canary cart: unknown field spec.slos[0].latency.treshold",
        ),
        (
            "  replicas: many\n",
            "invalid type: string \"many\", expected i32",
        ),
    ];
    for (index, (spec, wanted)) in cases.into_iter().enumerate() {
        let path = file(&format!("bad-{index}"), &canary(spec));
        let error = format!("{:#}", alone(&path, &[]).unwrap_err());
        assert!(error.contains(wanted), "{error}");
    }
    let none = file("none", "kind: ConfigMap\n---\n");
    let error = alone(&none, &[]).unwrap_err().to_string();
    assert_eq!(error, "there is no Canary in the files");
    let two = file("two", &format!("{}\n---\n{}", canary(""), canary("")));
    let error = alone(&two, &[]).unwrap_err().to_string();
    assert!(error.contains("by --canary"), "{error}");
    for words in [
        ["--requests-per-second", "-1"],
        ["--requests-per-second", "NaN"],
        ["--errors", "0.01"],
        ["--scenario", "storm"],
        ["--outage", "5h"],
    ] {
        assert!(rehearse(&words).is_err(), "{words:?}");
    }
}

/// A file of this test run.
fn file(name: &str, text: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("sluice-{}-{name}.yaml", std::process::id()));
    std::fs::write(&path, text).unwrap();
    path
}

/// Rehearses one file, which goes.
fn alone(path: &std::path::Path, words: &[&str]) -> anyhow::Result<String> {
    let name = path.display().to_string();
    let words = ["rehearse", &name].into_iter().chain(words.iter().copied());
    let text = Line::try_parse_from(words)?.args.play();
    std::fs::remove_file(path)?;
    text
}
