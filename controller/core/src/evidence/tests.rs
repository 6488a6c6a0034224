//! What the verdicts must never get wrong.

mod holdback;
mod layer4;
mod own;

use chrono::{DateTime, TimeDelta};

use super::share::contradiction;
use super::*;
use crate::simulate::Random;
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
        entry: Vec::new(),
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
        error_budget: None,
    }
}

/// Events and bad events in one scrape: of the candidate, and of the stable revision.
type Scrape = ((u64, u64), (u64, u64));

/// One scrape in 15 seconds.
fn history(scrapes: impl IntoIterator<Item = Scrape>) -> Evidence {
    let mut sum = ((0, 0), (0, 0));
    let mut sample = |second, (candidate, stable): Scrape| {
        sum.0.0 += candidate.0;
        sum.0.1 += candidate.1;
        sum.1.0 += stable.0;
        sum.1.1 += stable.1;
        Sample {
            at: at(second),
            stable: counts(sum.1.0, sum.1.1),
            candidate: counts(sum.0.0, sum.0.1),
        }
    };
    let mut samples = vec![sample(0, ((0, 0), (0, 0)))];
    for (scrape, second) in scrapes.into_iter().zip((15..).step_by(15)) {
        samples.push(sample(second, scrape));
    }
    Evidence {
        samples,
        stale_after: TimeDelta::seconds(60),
        ..Evidence::default()
    }
}

/// The verdict on data that is all fresh.
fn verdict_on(objective_ppm: Option<u32>, evidence: &Evidence) -> Verdict {
    let since = Since {
        first_weight: at(0),
        proven: Some(at(0)),
        passed: false,
    };
    let now = evidence.samples.last().map_or(at(0), |last| last.at);
    let findings = judge(&plan(objective_ppm), evidence, since, None, now);
    findings.into_iter().next().map_or(
        Verdict::Inconclusive(Why::NoTraffic { anywhere: false }),
        |f| f.verdict,
    )
}

/// The verdict on ten scrapes that are all alike.
fn verdict(objective_ppm: Option<u32>, candidate: (u64, u64), stable: (u64, u64)) -> Verdict {
    let scrapes = std::iter::repeat_n((candidate, stable), 10);
    verdict_on(objective_ppm, &history(scrapes))
}

fn fails(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Fail(_))
}

#[test]
fn equal_revisions_pass() {
    assert_eq!(verdict(None, (100, 0), (1_900, 2)), Verdict::Pass);
    assert_eq!(
        verdict(Some(999_000), (1_000, 1), (19_000, 19)),
        Verdict::Pass
    );
    assert_eq!(verdict(None, (100, 0), (1_900, 0)), Verdict::Pass);
}

#[test]
fn half_of_the_requests_bad_fails_after_two_scrapes() {
    for objective in [None, Some(999_000), Some(990_000)] {
        let scrapes = |count| history(std::iter::repeat_n(((75, 37), (1_425, 1)), count));
        let fewest = (1..10).find(|count| fails(&verdict_on(objective, &scrapes(*count))));
        assert_eq!(fewest, Some(2), "{objective:?}");
    }
}

#[test]
fn two_bad_events_never_fail() {
    let scrapes = [((1, 1), (100_000, 0)), ((1, 1), (100_000, 0))];
    assert!(!fails(&verdict_on(None, &history(scrapes))));
    assert!(!fails(&verdict_on(Some(999_999), &history(scrapes))));
    let third = scrapes.into_iter().chain([((1, 1), (100_000, 0))]);
    assert!(fails(&verdict_on(None, &history(third))));
}

/// Requests of one scrape may all have failed for one reason: a burst is one piece of evidence.
#[test]
fn one_burst_is_no_proof() {
    let calm = || std::iter::repeat_n(((75, 0), (1_425, 1)), 10);
    let burst = calm().chain([((75, 75), (1_425, 1))]).chain(calm());
    let verdict = verdict_on(Some(990_000), &history(burst));
    assert!(
        matches!(verdict, Verdict::Inconclusive(Why::Unclear { .. })),
        "{verdict:?}"
    );
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
fn an_incident_that_is_over_holds_nothing_up() {
    let calm = |scrapes| std::iter::repeat_n(((75, 0), (1_425, 1)), scrapes);
    let incident = std::iter::repeat_n(((75, 22), (1_425, 430)), 8);
    let after = |scrapes| {
        let scrapes = calm(4).chain(incident.clone()).chain(calm(scrapes));
        verdict_on(Some(999_000), &history(scrapes))
    };
    let why = Why::Incident {
        slo: "availability".to_owned(),
    };
    assert_eq!(after(0), Verdict::Inconclusive(why.clone()));
    assert_eq!(after(7), Verdict::Inconclusive(why));
    assert_eq!(after(8), Verdict::Pass);
}

/// The candidate was hit one scrape sooner and a little harder: what fails in an incident hangs together.
#[test]
fn an_incident_that_hit_the_candidate_harder_holds_nothing_up_once_it_is_over() {
    let calm = |scrapes| std::iter::repeat_n(((100, 0), (100, 0)), scrapes);
    for objective in [None, Some(990_000)] {
        let incident = [
            ((100, 2), (100, 0)),
            ((100, 60), (100, 48)),
            ((100, 61), (100, 47)),
            ((100, 2), (100, 1)),
        ];
        let scrapes = calm(4).chain(incident);
        let during = verdict_on(objective, &history(scrapes.clone()));
        assert!(matches!(during, Verdict::Inconclusive(_)), "{during:?}");
        let after = verdict_on(objective, &history(scrapes.chain(calm(8))));
        assert_eq!(after, Verdict::Pass, "{objective:?}");
    }
}

/// Bad moments of the stable revision alone are no incident: without them an innocent candidate would look worse with
/// every scrape.
#[test]
fn innocent_candidates_of_a_service_that_always_fails_some_requests_pass() {
    let rollouts = 200;
    for share in [0.01, 0.05] {
        let mut random = Random::new(7);
        let mut bad = || (100, random.binomial(100, share));
        let mut scrapes = || (0..200).map(|_| (bad(), bad())).collect::<Vec<_>>();
        let held = (0..rollouts).filter(|_| verdict_on(None, &history(scrapes())) != Verdict::Pass);
        let held = held.count();
        assert!(held <= rollouts / 5, "{held} of {rollouts} at {share}");
    }
}

/// What is bad of the candidate alone after an incident is not forgiven with it.
#[test]
fn an_incident_hides_no_regression_that_outlasts_it() {
    let calm = std::iter::repeat_n(((100, 0), (100, 0)), 4);
    let incident = std::iter::repeat_n(((100, 50), (100, 50)), 2);
    let scrapes = calm.chain(incident);
    for count in 1..20 {
        let after = std::iter::repeat_n(((100, 3), (100, 0)), count);
        let verdict = verdict_on(Some(990_000), &history(scrapes.clone().chain(after)));
        assert_ne!(verdict, Verdict::Pass, "after {count}");
    }
}

/// Seen over the whole rollout 90 % of what the candidate got was bad, and half of what the stable revision
/// got: only because the incident came when they shared the traffic.
#[test]
fn an_incident_in_the_last_step_does_not_fail_by_simpsons_paradox() {
    let before = std::iter::repeat_n(((75, 0), (1_425, 1)), 4);
    let incident = std::iter::repeat_n(((750, 700), (750, 700)), 8);
    for objective in [None, Some(999_000)] {
        let scrapes = before.clone().chain(incident.clone());
        assert!(!fails(&verdict_on(objective, &history(scrapes.clone()))));
        let after = std::iter::repeat_n(((750, 0), (750, 1)), 8);
        let verdict = verdict_on(objective, &history(scrapes.chain(after)));
        assert_eq!(verdict, Verdict::Pass);
    }
}

#[test]
fn without_an_objective_an_incident_is_no_regression() {
    assert_eq!(verdict(None, (1_000, 300), (19_000, 5_700)), Verdict::Pass);
}

#[test]
fn an_objective_that_is_met_forgives_being_worse_than_a_perfect_stable_one() {
    // 0.5 % is significantly more than nothing, and less than the 1 % that the objective allows.
    assert!(!fails(&verdict(Some(990_000), (1_000, 5), (19_000, 0))));
    assert!(fails(&verdict(None, (1_000, 5), (19_000, 0))));
}

#[test]
fn an_objective_alone_fails_where_nothing_compares() {
    assert!(fails(&verdict(Some(999_000), (100, 10), (0, 0))));
}

#[test]
fn nothing_to_compare_with_and_no_objective_is_inconclusive() {
    let why = Why::NoComparison {
        slo: "availability".to_owned(),
    };
    let lonely = verdict(None, (100, 50), (0, 0));
    assert_eq!(lonely, Verdict::Inconclusive(why));
}

#[test]
fn a_stable_revision_with_little_traffic_is_no_comparison() {
    // One bad request of two says nothing of what the stable revision does.
    assert!(!fails(&verdict(None, (10_000, 600), (2, 0))));
}

#[test]
fn nothing_is_proven_without_data() {
    let full = history(std::iter::repeat_n(((100, 0), (1_900, 0)), 10));
    let pass = |evidence: &Evidence, proven, now| {
        let since = Since {
            first_weight: at(0),
            proven,
            passed: false,
        };
        let findings = judge(&plan(None), evidence, since, None, at(now));
        findings
            .iter()
            .all(|finding| finding.verdict == Verdict::Pass)
    };
    assert!(pass(&full, Some(at(0)), 150), "the base of this test");
    assert!(!pass(&full, None, 150), "not proven yet");
    assert!(!pass(&full, Some(at(0)), 300), "the source fell silent");
    assert!(!pass(&history([]), Some(at(0)), 0), "no data");
    assert!(
        !pass(&full, Some(at(150)), 150),
        "no traffic at this weight"
    );
    let few = history([((199, 0), (19_000, 0))]);
    assert!(!pass(&few, Some(at(0)), 15), "less than minRequests");
}

#[test]
fn silence_does_not_hide_a_regression() {
    let bad = history(std::iter::repeat_n(((100, 30), (1_900, 2)), 10));
    let since = Since {
        first_weight: at(0),
        proven: None,
        passed: false,
    };
    let findings = judge(&plan(None), &bad, since, None, at(3_600));
    assert!(findings.iter().all(|finding| fails(&finding.verdict)));
}

#[test]
fn the_evidence_is_told_and_so_is_what_would_be_proof() {
    let found = |bad| {
        let evidence = history(std::iter::repeat_n(((1_000, bad), (1_000, 1)), 2));
        let since = Since {
            first_weight: at(0),
            proven: Some(at(0)),
            passed: false,
        };
        let finding = judge(&plan(Some(999_000)), &evidence, since, None, at(30));
        finding
            .first()
            .map(|finding| (finding.against.evidence(), finding.proof))
    };
    assert_eq!(found(0), Some((0, 200)));
    assert!(found(10).is_some_and(|(evidence, _)| (3..200).contains(&evidence)));
    assert!(found(500).is_some_and(|(evidence, _)| evidence > 200));
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
    let verdicts = |requests: u64, unanswered: u64| -> Vec<Verdict> {
        let sample = |scrape: u64| Sample {
            at: at(15 * i64::try_from(scrape).unwrap_or_default()),
            stable: hanging(900 * scrape, scrape),
            candidate: hanging(requests * scrape, unanswered * scrape),
        };
        let evidence = Evidence {
            samples: (0..=10).map(sample).collect(),
            stale_after: TimeDelta::seconds(60),
            ..Evidence::default()
        };
        let since = Since {
            first_weight: at(0),
            proven: Some(at(0)),
            passed: false,
        };
        let findings = judge(&plan(Some(990_000)), &evidence, since, None, at(150));
        findings
            .into_iter()
            .map(|finding| finding.verdict)
            .collect()
    };
    let failed = verdicts(100, 90);
    assert!(
        failed
            .iter()
            .any(|verdict| matches!(verdict, Verdict::Fail(_)))
    );
    // Clients give up on healthy services, too.
    assert_eq!(verdicts(1_000, 1), [Verdict::Pass]);
}
