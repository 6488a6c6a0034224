//! What the verdicts must never get wrong.

use chrono::{DateTime, TimeDelta};

use super::share::contradiction;
use super::*;
use crate::{Indicator, Plan, Slo, Weight};

fn at(second: i64) -> Time {
    DateTime::from_timestamp(1_700_000_000 + second, 0).unwrap_or_default()
}

fn counts(total: u64, bad: u64) -> Counts {
    Counts {
        unanswered: 0,
        requests: total,
        slos: vec![Tally {
            good: total - bad,
            total,
        }],
    }
}

/// A window with so many events, so many of them bad: of the candidate, and of the stable revision.
fn window(candidate: (u64, u64), stable: (u64, u64)) -> Window {
    Window {
        stable: counts(stable.0, stable.1),
        candidate: counts(candidate.0, candidate.1),
        until: Some(at(60)),
    }
}

fn plan(objective_ppm: Option<u32>) -> Plan {
    Plan {
        slos: vec![Slo {
            name: "availability".to_owned(),
            objective_ppm,
            indicator: Indicator::Availability,
        }],
        steps: Vec::new(),
        min_requests: 200,
        inconclusive_after: TimeDelta::minutes(10),
        inconclusive_action: crate::Action::Hold,
        progress_deadline: TimeDelta::hours(1),
        rollback_window: 3,
        drain_delay: TimeDelta::minutes(1),
        settle: TimeDelta::seconds(2),
    }
}

/// The verdict on a window that is both the whole and the fresh data.
fn verdict(objective_ppm: Option<u32>, candidate: (u64, u64), stable: (u64, u64)) -> Verdict {
    let window = window(candidate, stable);
    let plan = plan(objective_ppm);
    let findings = judge(&plan, &window, Some(&window), &Silence::default());
    findings.into_iter().next().map_or(
        Verdict::Inconclusive(Why::NoTraffic { anywhere: false }),
        |f| f.verdict,
    )
}

fn fails(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Fail(_))
}

#[test]
fn equal_revisions_pass() {
    assert_eq!(verdict(None, (1_000, 1), (19_000, 19)), Verdict::Pass);
    assert_eq!(
        verdict(Some(999_000), (1_000, 1), (19_000, 19)),
        Verdict::Pass
    );
    assert_eq!(verdict(None, (1_000, 0), (19_000, 0)), Verdict::Pass);
}

#[test]
fn half_of_the_requests_bad_fails_after_a_few() {
    let fewest = (1..100).find(|n| fails(&verdict(None, (2 * n, *n), (1_000, 1))));
    assert!(
        fewest.is_some_and(|bad| (3..=5).contains(&bad)),
        "{fewest:?} bad requests"
    );
}

#[test]
fn two_bad_events_never_fail() {
    assert!(!fails(&verdict(None, (2, 2), (1_000_000, 0))));
    assert!(!fails(&verdict(Some(999_999), (2, 2), (1_000_000, 0))));
}

#[test]
fn an_incident_that_hits_both_revisions_does_not_fail() {
    for bad in [10, 100, 500, 1_000] {
        let verdict = verdict(Some(999_000), (1_000, bad), (19_000, 19 * bad));
        let why = Why::Incident {
            slo: "availability".to_owned(),
        };
        assert_eq!(verdict, Verdict::Inconclusive(why), "{bad} of 1000 bad");
    }
}

#[test]
fn without_an_objective_an_incident_is_no_regression() {
    assert_eq!(verdict(None, (1_000, 300), (19_000, 5_700)), Verdict::Pass);
}

#[test]
fn an_objective_that_is_met_forgives_being_worse_than_a_perfect_stable_one() {
    // 0.5 % is significantly more than nothing, and less than the 1 % that the objective allows.
    assert!(!fails(&verdict(Some(990_000), (10_000, 50), (190_000, 0))));
    assert!(fails(&verdict(None, (10_000, 50), (190_000, 0))));
}

#[test]
fn an_objective_alone_fails_where_nothing_compares() {
    assert!(fails(&verdict(Some(999_000), (1_000, 100), (0, 0))));
}

#[test]
fn nothing_to_compare_with_and_no_objective_is_inconclusive() {
    let why = Why::NoComparison {
        slo: "availability".to_owned(),
    };
    let lonely = verdict(None, (1_000, 500), (0, 0));
    assert_eq!(lonely, Verdict::Inconclusive(why));
}

#[test]
fn a_stable_revision_with_little_traffic_is_no_comparison() {
    // One bad request of 19 says nothing of what the stable revision does.
    assert!(!fails(&verdict(None, (100_000, 6_000), (19, 0))));
}

#[test]
fn nothing_is_proven_without_data() {
    let full = window((1_000, 0), (19_000, 0));
    let stale = Silence {
        stale: true,
        problem: Some("connection refused".to_owned()),
    };
    let pass = |all: &Window, fresh: Option<&Window>, silence: &Silence| {
        let findings = judge(&plan(None), all, fresh, silence);
        findings
            .iter()
            .all(|finding| finding.verdict == Verdict::Pass)
    };
    let none = Window::default();
    assert!(
        pass(&full, Some(&full), &Silence::default()),
        "the base of this test"
    );
    assert!(!pass(&full, None, &Silence::default()), "not proven yet");
    assert!(!pass(&full, Some(&full), &stale), "the source fell silent");
    assert!(!pass(&none, Some(&none), &Silence::default()), "no data");
    assert!(
        !pass(&full, Some(&none), &Silence::default()),
        "no traffic at this weight"
    );
    let few = window((199, 0), (19_000, 0));
    assert!(
        !pass(&few, Some(&few), &Silence::default()),
        "less than minRequests"
    );
}

#[test]
fn silence_does_not_hide_a_regression() {
    let bad = window((1_000, 300), (19_000, 19));
    let stale = Silence {
        stale: true,
        problem: None,
    };
    let findings = judge(&plan(None), &bad, None, &stale);
    assert!(findings.iter().all(|finding| fails(&finding.verdict)));
}

fn evidence(seconds: &[i64]) -> Evidence {
    let sample = |second: &i64| Sample {
        at: at(*second),
        stable: counts(second.unsigned_abs() * 19, 0),
        candidate: counts(second.unsigned_abs(), 0),
    };
    Evidence {
        samples: seconds.iter().map(sample).collect(),
        stale_after: TimeDelta::seconds(45),
        ..Evidence::default()
    }
}

#[test]
fn a_window_to_fail_in_reaches_back_and_one_to_pass_in_does_not() {
    let evidence = evidence(&[0, 15, 30, 45]);
    let requests = |window: &Window| window.candidate.requests;
    assert_eq!(requests(&evidence.at_least_since(at(20))), 30);
    assert_eq!(requests(&evidence.only_since(at(20))), 15);
    assert_eq!(requests(&evidence.latest_since(at(0), 1)), 15);
    assert_eq!(requests(&evidence.latest_since(at(40), 5)), 0);
    assert_eq!(requests(&evidence.only_since(at(50))), 0);
    assert_eq!(requests(&evidence.at_least_since(at(-50))), 45);
}

#[test]
fn a_counter_that_starts_anew_loses_events_and_invents_none() {
    let mut evidence = evidence(&[0, 15, 30]);
    if let Some(last) = evidence.samples.last_mut() {
        last.candidate = counts(3, 0);
    }
    assert_eq!(evidence.only_since(at(10)).candidate.requests, 0);
}

#[test]
fn silence_begins_after_a_while() {
    let evidence = evidence(&[0, 15]);
    assert!(!evidence.is_stale(at(60)));
    assert!(evidence.is_stale(at(61)));
    assert!(Evidence::default().is_stale(at(0)));
}

#[test]
fn a_share_is_contradicted_by_many_requests_alone() {
    let five = Weight::from_percent(5);
    assert_eq!(
        contradiction(&window((9, 0), (190, 0)), five),
        None,
        "too few to tell"
    );
    assert_eq!(contradiction(&window((50, 0), (950, 0)), five), None);
    assert_eq!(
        contradiction(&window((60, 0), (940, 0)), five),
        None,
        "chance"
    );
    let half = contradiction(&window((500, 0), (500, 0)), five);
    assert_eq!(half, Some(Weight::from_percent(50)));
    let nothing = contradiction(&window((0, 0), (1_000, 0)), five);
    assert_eq!(nothing, Some(Weight::ZERO));
    let rest = contradiction(&window((999, 0), (1, 0)), Weight::WHOLE);
    assert_eq!(rest, Some(Weight::from_ppm(999_000)));
}

#[test]
fn a_candidate_that_hangs_fails_though_no_answer_was_bad() {
    let hanging = |requests, unanswered| Counts {
        requests,
        unanswered,
        slos: vec![Tally {
            good: requests - unanswered,
            total: requests - unanswered,
        }],
    };
    let window = |candidate| Window {
        stable: hanging(9_000, 9),
        candidate,
        until: Some(at(60)),
    };
    let verdicts = |window: &Window| -> Vec<Verdict> {
        let findings = judge(
            &plan(Some(990_000)),
            window,
            Some(window),
            &Silence::default(),
        );
        findings
            .into_iter()
            .map(|finding| finding.verdict)
            .collect()
    };
    let failed = verdicts(&window(hanging(1_000, 900)));
    assert!(
        failed
            .iter()
            .any(|verdict| matches!(verdict, Verdict::Fail(_)))
    );
    // Clients give up on healthy services, too.
    assert_eq!(verdicts(&window(hanging(1_000, 1))), [Verdict::Pass]);
}
