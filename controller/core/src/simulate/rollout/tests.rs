#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use chrono::TimeDelta;

use super::*;
use crate::{Action, Indicator, Slo, Step, Tally};

const SCRAPE: i64 = 15;

fn at(second: i64) -> Time {
    Time::from_timestamp(1_700_000_000 + second, 0).unwrap()
}

fn plan(action: Action) -> Plan {
    let step = |percent| Step::weighted(Weight::from_percent(percent), TimeDelta::minutes(1));
    Plan {
        entry: Vec::new(),
        steps: [5, 25, 50].map(step).into(),
        slos: vec![Slo {
            name: "availability".to_owned(),
            objective_ppm: Some(999_000),
            indicator: Indicator::Availability,
        }],
        min_requests: 200,
        inconclusive_after: TimeDelta::minutes(10),
        inconclusive_action: action,
        progress_deadline: TimeDelta::hours(1),
        rollback_window: 3,
        drain_delay: TimeDelta::minutes(1),
        settle: TimeDelta::seconds(10),
        error_budget: None,
    }
}

/// Readings for two hours, each with so many requests, of which those of the candidate are bad in this share.
fn run(action: Action, requests: u64, bad: u64) -> (Rollout, i64) {
    let unread = Evidence {
        lag: TimeDelta::seconds(SCRAPE),
        stale_after: TimeDelta::seconds(4 * SCRAPE),
        ..Evidence::default()
    };
    let mut rollout = Rollout::start(&plan(action), unread, None, at(0));
    let mut second = 0;
    while rollout.end().is_none() && second < 7_200 {
        rollout.pass(at(second));
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a few requests"
        )]
        let candidate = (requests as f64 * rollout.share()) as u64;
        let counts = |total: u64, bad: u64| Counts {
            requests: total,
            unanswered: 0,
            slos: vec![Tally {
                good: total - bad,
                total,
            }],
        };
        let stable = counts(requests - candidate, 0);
        let candidate = counts(candidate, candidate * bad / 100);
        rollout.read(at(second - SCRAPE), &stable, &candidate);
        second += SCRAPE;
    }
    (rollout, second)
}

#[test]
fn a_good_candidate_is_promoted_when_its_steps_are_over() {
    let (rollout, second) = run(Action::Hold, 1_500, 0);
    assert_eq!(rollout.end(), Some(&End::Promoted));
    // Three minutes of bakes; each must be covered by data, and each weight settles first.
    assert!((180..=400).contains(&second), "{second}");
    assert!(!rollout.called());
}

#[test]
fn a_bad_candidate_fails_within_a_few_scrapes() {
    let (rollout, second) = run(Action::Hold, 1_500, 50);
    assert_eq!(rollout.end(), Some(&End::Failed));
    let first = rollout.first_weight_at().unwrap();
    assert!(
        at(second) - first <= TimeDelta::seconds(4 * SCRAPE),
        "{second}"
    );
}

#[test]
fn without_requests_a_person_is_called_or_it_is_given_up() {
    let (held, _) = run(Action::Hold, 0, 0);
    assert_eq!(held.end(), None);
    assert!(held.called());
    assert!(matches!(held.waiting(), Some(Waiting::Evidence { .. })));
    let (given_up, _) = run(Action::Rollback, 0, 0);
    assert_eq!(given_up.end(), Some(&End::GivenUp));
}
