//! What users take from us for their telemetry does what it says, tried out by the programs that would run it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failed unwrap is a failed test"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context as _, Result};
use e2e::{build, paths};
use sluice_telemetry::registry::Registry;

const COLLECTOR: &str = "examples/opentelemetry-collector/collector.yaml";

fn run(program: &Path, args: &[&str], files: &[PathBuf]) -> Result<Output> {
    let mut command = Command::new(program);
    command
        .args(args)
        .args(files)
        .current_dir(paths::workspace());
    command
        .output()
        .with_context(|| format!("starting {}", program.display()))
}

fn said(output: &Output) -> String {
    let all = [output.stdout.clone(), output.stderr.clone()].concat();
    String::from_utf8_lossy(&all).into_owned()
}

fn rule_tests() -> Vec<PathBuf> {
    let folder = paths::workspace().join("telemetry/rules/tests");
    let files = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    files.collect()
}

#[test]
fn the_recording_rules_give_what_their_tests_expect() {
    let promtool = build::telemetry().unwrap().promtool;
    let rules = paths::workspace().join("telemetry/rules/sluice.yaml");
    let checked = run(&promtool, &["check", "rules"], &[rules]).unwrap();
    assert!(checked.status.success(), "{}", said(&checked));
    let tests = rule_tests();
    assert!(tests.len() >= 2, "{tests:?}");
    let tested = run(&promtool, &["test", "rules"], &tests).unwrap();
    assert!(tested.status.success(), "{}", said(&tested));
}

/// Each source with a rule that takes what is bad for good, so that the tests above are known to look.
#[test]
fn a_rule_that_is_wrong_is_found() {
    let promtool = build::telemetry().unwrap().promtool;
    let rules = fs::read_to_string(paths::workspace().join("telemetry/rules/sluice.yaml")).unwrap();
    for (right, wrong) in [
        ("response_code=~\"5.*\"", "response_code=~\"4.*\""),
        (
            "grpc_response_status=~\"2|4|12|13|14|15\"",
            "grpc_response_status=~\"2|4\"",
        ),
        ("response_code!=\"0\"", "response_code!=\"1\""),
        ("type=\"Drop\"", "type=\"Dropped\""),
        ("response_flags!~\"|-\"", "response_flags!=\"\""),
        (
            "rpc_grpc_status_code=~\"2|4|12|13|14|15\"",
            "rpc_grpc_status_code=~\"2\"",
        ),
        ("error_type!=\"\"", "error_type=\"500\""),
        ("\"0.00$1\"", "\"0.0$1\""),
    ] {
        assert!(rules.contains(right), "no rule says {right}");
        let folder = paths::scratch("rules").unwrap();
        let tests = folder.join("tests");
        fs::create_dir_all(&tests).unwrap();
        fs::write(folder.join("sluice.yaml"), rules.replace(right, wrong)).unwrap();
        let copies = rule_tests().into_iter().map(|test| {
            let copy = tests.join(test.file_name().unwrap());
            fs::copy(&test, &copy).unwrap();
            copy
        });
        let copies: Vec<PathBuf> = copies.collect();
        let tested = run(&promtool, &["test", "rules"], &copies).unwrap();
        fs::remove_dir_all(&folder).unwrap();
        assert!(
            !tested.status.success(),
            "nobody finds that {right} is {wrong}"
        );
    }
}

#[test]
fn a_collector_loads_the_example_and_refuses_what_is_wrong() {
    let otelcol = build::telemetry().unwrap().otelcol;
    let good = run(&otelcol, &["validate", "--config", COLLECTOR], &[]).unwrap();
    assert!(good.status.success(), "{}", said(&good));
    let config = fs::read_to_string(paths::workspace().join(COLLECTOR)).unwrap();
    for (right, wrong, why) in [
        (
            "metadata: [k8s.namespace.name, k8s.deployment.name",
            "metadata: [k8s.namespace.name, k8s.deployment",
            "k8s.deployment",
        ),
        ("kubernetes_sd_configs", "kubernetes_sd", "kubernetes_sd"),
        ("regex: \"15020\"", "regex: \"15020(\"", "regexp"),
        ("exporters: [otlp_http]}", "exporters: [otlp]}", "otlp"),
    ] {
        assert!(config.contains(right), "{COLLECTOR} does not say {right}");
        let file = paths::scratch("collector.yaml").unwrap();
        fs::write(&file, config.replace(right, wrong)).unwrap();
        let bad = run(
            &otelcol,
            &["validate", "--config"],
            std::slice::from_ref(&file),
        )
        .unwrap();
        fs::remove_file(&file).unwrap();
        assert!(!bad.status.success(), "{wrong} is taken");
        assert!(said(&bad).contains(why), "{wrong}: {}", said(&bad));
    }
}

/// What the collector does not keep, no rollout is judged by.
#[test]
fn the_collector_keeps_every_series_that_is_read() {
    let config = fs::read_to_string(paths::workspace().join(COLLECTOR)).unwrap();
    let registry = Registry::read().unwrap();
    let mut scraped = 0;
    for (_, source) in &registry.sources {
        let mut series = Vec::new();
        // Apps push theirs: they are not scraped.
        for requests in source
            .requests
            .iter()
            .filter(|requests| !requests.target_info)
        {
            for family in &requests.families {
                series.extend(family.requests.clone());
                let parts = "(_bucket|_count|_sum)";
                series.extend(family.durations.iter().map(|name| format!("{name}{parts}")));
            }
        }
        if let Some(connections) = &source.connections {
            series.extend(connections.counts.iter().map(|count| count.series.clone()));
            series.extend(
                connections
                    .denials
                    .iter()
                    .map(|denial| denial.series.clone()),
            );
        }
        for name in series {
            let kept = config.contains(&name);
            assert!(
                kept,
                "{COLLECTOR} does not keep {name} of {}",
                source.source
            );
            scraped += 1;
        }
    }
    assert!(scraped >= 8, "{scraped} series");
}
