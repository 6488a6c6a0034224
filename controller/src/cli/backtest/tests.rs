//! Rollouts over a made-up past.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

use std::collections::{BTreeMap, BTreeSet};

use clap::Parser;
use sluice_core::simulate::{End, Random};
use sluice_core::{Counts, Tally, Time};

use super::replay::Run;
use super::report::{Innocent, Regression, Size, Starts};
use super::*;
use crate::evidence::Reading;

const INTERVAL: i64 = 15;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    args: Args,
}

fn args(more: &[&str]) -> Args {
    let line = ["backtest", "--file", "canary.yaml"].iter().chain(more);
    Line::try_parse_from(line).unwrap().args
}

const CANARY: &str = "
apiVersion: sluice.dev/v1alpha1
kind: Canary
metadata: {name: web, namespace: shop}
spec: {targetRef: {kind: Deployment, name: web.app}, service: {name: web}}
";
const POLICY: &str = "
apiVersion: sluice.dev/v1alpha1
kind: ClusterCanaryPolicy
metadata: {name: default}
spec:
  metrics: {address: http://prometheus.monitoring:9090}
  steps: [{weight: 5%, bake: 1m}, {weight: 50%, bake: 1m}]
  slos:
  - {name: availability, objective: 99.9%, availability: {}}
  - {name: latency, objective: 99%, latency: {threshold: 250ms}}
";

fn chosen(text: &str, more: &[&str]) -> anyhow::Result<Chosen> {
    let mut found = files::Found::default();
    found.take(text)?;
    found.chosen(&args(more))
}

fn at(second: i64) -> Time {
    Time::from_timestamp(1_700_000_000 + second, 0).unwrap()
}

/// So many readings of 100 requests a second, of which some fail, and 1 of 200 is slow.
fn past(readings: usize, errors: f64) -> Vec<Reading> {
    let mut dice = Random::new(7);
    let mut reading = |index: usize| {
        let total = dice.poisson(1_500.0);
        let (bad, slow) = (dice.binomial(total, errors), dice.binomial(total, 0.005));
        let tally = |bad| Tally {
            good: total - bad,
            total,
        };
        Reading {
            at: at(INTERVAL * i64::try_from(index).unwrap()),
            growth: Some(Counts {
                requests: total,
                unanswered: 0,
                slos: vec![tally(bad), tally(slow)],
            }),
        }
    };
    (0..readings).map(&mut reading).collect()
}

fn plan() -> Plan {
    let chosen = chosen(&format!("{CANARY}---{POLICY}"), &[]).unwrap();
    judged(&chosen).unwrap().0
}

fn runs(readings: &[Reading], count: usize, worse: Worse) -> Vec<Run> {
    let plan = plan();
    let (interval, longest) = (TimeDelta::seconds(INTERVAL), TimeDelta::minutes(30));
    let replay = Replay::new(&plan, readings, interval, longest, 1);
    let (starts, _) = replay.starts(count);
    let numbered = starts.iter().enumerate();
    numbered
        .map(|(number, start)| replay.run(*start, number, worse))
        .collect()
}

fn ended(runs: &[Run], end: &End) -> usize {
    runs.iter()
        .filter(|run| run.end.as_ref() == Some(end))
        .count()
}

#[test]
fn what_is_like_the_past_is_promoted_and_what_is_worse_is_found() {
    let past = past(960, 0.000_5);
    let innocent = runs(&past, 60, Worse::Not);
    assert_eq!(innocent.len(), 60);
    assert!(ended(&innocent, &End::Failed) <= 1, "{innocent:?}");
    assert!(ended(&innocent, &End::Promoted) >= 50, "{innocent:?}");
    for worse in [Worse::Errors(0.5), Worse::Slow(0.5)] {
        let found = runs(&past, 60, worse);
        assert_eq!(ended(&found, &End::Failed), 60, "{worse:?}");
        let late = found
            .iter()
            .find(|run| run.ended - run.exposed.unwrap() > TimeDelta::minutes(2));
        assert_eq!(late, None, "{worse:?}");
    }
    let small = runs(&past, 60, Worse::Errors(0.000_1));
    assert!(ended(&small, &End::Failed) <= 3, "too small to be found");
}

#[test]
fn the_same_seed_gives_the_same_rollouts() {
    let past = past(400, 0.001);
    let run = || runs(&past, 10, Worse::Errors(0.003));
    assert_eq!(run(), run());
}

#[test]
fn a_past_without_requests_holds_and_calls_a_person() {
    let mut past = past(400, 0.0);
    for reading in &mut past {
        reading.growth = Some(Counts {
            slos: vec![Tally::default(); 2],
            ..Counts::default()
        });
    }
    let held = runs(&past, 5, Worse::Not);
    assert!(
        held.iter().all(|run| run.end.is_none() && run.called),
        "{held:?}"
    );
    assert!(
        held.iter()
            .all(|run| run.waiting.as_deref() == Some("NoTraffic")),
        "{held:?}"
    );
}

#[test]
fn starts_without_data_are_left_out_and_counted() {
    let mut past = past(400, 0.0);
    for reading in past.iter_mut().take(150) {
        reading.growth = None;
    }
    let plan = plan();
    let (interval, longest) = (TimeDelta::seconds(INTERVAL), TimeDelta::minutes(25));
    let replay = Replay::new(&plan, &past, interval, longest, 1);
    let (starts, left_out) = replay.starts(100);
    assert_eq!(starts.len() + left_out, 100);
    // Starts are in the first 300 readings, half of which have no data.
    assert!((45..=55).contains(&left_out), "{left_out}");
    assert!(starts.iter().all(|start| *start >= 150));
}

#[test]
fn a_gap_in_mid_rollout_fails_nothing() {
    let mut past = past(400, 0.0);
    for reading in past.iter_mut().skip(8).take(20) {
        reading.growth = None;
    }
    let plan = plan();
    let interval = TimeDelta::seconds(INTERVAL);
    let replay = Replay::new(&plan, &past, interval, TimeDelta::minutes(30), 1);
    let run = replay.run(0, 0, Worse::Not);
    assert_eq!(run.end, Some(End::Promoted), "{run:?}");
    let whole = Replay::new(&plan, &past[30..], interval, TimeDelta::minutes(30), 1);
    let sooner = whole.run(0, 0, Worse::Not);
    assert!(
        run.ended - run.started > sooner.ended - sooner.started + interval * 15,
        "{run:?}"
    );
}

#[test]
fn files_are_put_together_as_the_controller_does() {
    let both = format!("{CANARY}---{POLICY}");
    let found = chosen(&both, &["--prometheus", "http://localhost:9090"]).unwrap();
    assert_eq!(
        (found.namespace.as_str(), found.service.as_str()),
        ("shop", "web")
    );
    assert_eq!(found.metrics.address, "http://localhost:9090");
    assert_eq!(found.secrets, "sluice-system");
    let bases: Vec<_> = found.bases.iter().map(String::as_str).collect();
    assert_eq!(bases, ["web", "web-app", "web.app"]);
    let alone = chosen(POLICY, &["--namespace", "shop", "--service", "web"]).unwrap();
    assert_eq!(alone.sections.steps.unwrap().len(), 2);

    let error = |text: &str, more: &[&str]| format!("{:#}", chosen(text, more).unwrap_err());
    assert!(error(CANARY, &[]).contains("--prometheus"));
    assert!(error(POLICY, &[]).contains("--namespace"));
    assert!(error(&format!("{CANARY}---{CANARY}"), &[]).contains("two Canaries"));
    let other = both.replace("name: default", "name: strict");
    assert!(error(&other, &[]).contains("none of those given is called default"));
    let named = CANARY.replace(
        "spec: {",
        "spec: {policyRef: {kind: CanaryPolicy, name: fast}, ",
    );
    assert!(error(&named, &[]).contains("CanaryPolicy fast"));
}

#[test]
fn times_are_read() {
    let now = at(0);
    let ago = |text| now - when::time(text, now).unwrap();
    assert_eq!(ago("now"), TimeDelta::zero());
    assert_eq!(ago("7d"), TimeDelta::days(7));
    assert_eq!(ago("1h30m"), TimeDelta::minutes(90));
    assert_eq!(ago("2023-11-14T22:13:10Z"), TimeDelta::seconds(10));
    for wrong in ["yesterday", "7w", "0s", ""] {
        assert!(when::time(wrong, now).is_err(), "{wrong}");
    }
}

#[test]
fn a_report_is_told() {
    let report = Report {
        service: "shop/web".to_owned(),
        from: at(0),
        to: at(604_800),
        interval_seconds: 15,
        readings: 40_320,
        gaps: 13,
        queries: 41,
        counted_under: BTreeSet::from(["web-bcdfghjk".to_owned(), "web-lmnpqrst".to_owned()]),
        requests: 60_480_000,
        slos: vec![report::Slo {
            name: "availability".to_owned(),
            objective_ppm: Some(999_000),
            good: 60_450_000,
            total: 60_480_000,
        }],
        slos_left_out: vec!["checkouts".to_owned()],
        starts: Starts {
            asked: 200,
            left_out: 3,
            run: 197,
            apart: 150,
            longest_seconds: 7_200,
        },
        innocent: Innocent {
            failed: 0,
            interval: (0.0, 0.019_1),
            interval_apart: (0.0, 0.025),
            promoted: 190,
            promoted_after: (Some(480), Some(525)),
            held: BTreeMap::from([("IncidentElsewhere".to_owned(), 7)]),
            given_up: 0,
            called: 9,
        },
        regressions: vec![Regression {
            kind: "errors",
            within: vec![300, 900],
            sizes: vec![
                Size {
                    extra: 0.003,
                    found: vec![0.1, 0.62],
                    promoted: 0.38,
                },
                Size {
                    extra: 0.01,
                    found: vec![0.8, 1.0],
                    promoted: 0.0,
                },
            ],
            smallest: vec![None, Some(0.01)],
        }],
    };
    assert_eq!(text::of(&report), include_str!("tests/report.txt"));
}

#[test]
fn the_smallest_that_is_found_is_one_from_which_on_all_are() {
    let plan = plan();
    let wanted = wanted(
        &args(&[]),
        &chosen(&format!("{CANARY}---{POLICY}"), &[]).unwrap(),
        &plan,
    );
    let run = |end: End, seconds: i64| Run {
        started: at(0),
        ended: at(seconds),
        exposed: Some(at(0)),
        end: Some(end),
        waiting: None,
        called: false,
    };
    let worse = vec![
        (Worse::Errors(0.01), vec![run(End::Failed, 100)]),
        (Worse::Errors(0.1), vec![run(End::Promoted, 100)]),
        (Worse::Errors(0.5), vec![run(End::Failed, 400)]),
    ];
    let mut report = Report::of(&plan, &wanted.unwrap(), &History::default(), &worse[0].1);
    let within = [300, 600, 9_000].map(TimeDelta::seconds);
    report.find(&worse, &within, TimeDelta::hours(2));
    let errors = &report.regressions[0];
    assert_eq!(
        errors.within,
        [300, 600],
        "the last is longer than anything was followed"
    );
    assert_eq!(errors.smallest, [None, Some(0.5)]);
    assert_eq!(report.regressions.len(), 1);
}
