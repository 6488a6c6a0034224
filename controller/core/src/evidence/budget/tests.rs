//! What is charged, and what is not.

use chrono::TimeDelta;
use proptest::prelude::*;

use super::*;
use crate::{Action, ErrorBudget, Indicator};

/// One SLO of 99.9 %, of whose budget for 30 days a release may spend 5 %.
fn plan() -> Plan {
    Plan {
        entry: Vec::new(),
        slos: vec![Slo {
            name: "availability".to_owned(),
            objective_ppm: Some(999_000),
            indicator: Indicator::Availability,
        }],
        steps: Vec::new(),
        min_requests: 200,
        inconclusive_after: TimeDelta::minutes(10),
        inconclusive_action: Action::Hold,
        progress_deadline: TimeDelta::hours(1),
        rollback_window: 3,
        drain_delay: TimeDelta::minutes(1),
        settle: TimeDelta::seconds(2),
        error_budget: Some(ErrorBudget {
            period: TimeDelta::days(30),
            per_release_ppm: 50_000,
        }),
    }
}

/// Two million requests allow 2,000 bad ones, and a release 100 of them.
const EXPECTED: u64 = 2_000_000;

fn bill() -> Bill {
    let plan = plan();
    Bill::of(&plan, &plan.slos[0], Some(EXPECTED)).unwrap()
}

fn tally((total, bad): (u64, u64)) -> Tally {
    Tally {
        good: total - bad.min(total),
        total,
    }
}

fn scrape(bill: &mut Bill, candidate: (u64, u64), stable: (u64, u64)) {
    bill.scrape(tally(candidate), tally(stable));
}

/// What `times` scrapes like this one cost.
fn cost(times: usize, candidate: (u64, u64), stable: (u64, u64)) -> f64 {
    let mut bill = bill();
    for _ in 0..times {
        scrape(&mut bill, candidate, stable);
    }
    bill.cost
}

#[test]
fn what_the_stable_revision_would_have_had_is_not_charged() {
    // 1 % of the stable revision's are bad: of the candidate's 1,000 it would have been 10.
    let cost = cost(5, (1_000, 30), (9_000, 90));
    assert!((cost - 100.0).abs() < 1e-9, "{cost}");
}

#[test]
fn as_much_as_a_release_may_cost_is_too_much() {
    let mut bill = bill();
    for _ in 0..99 {
        scrape(&mut bill, (10, 1), (90, 0));
    }
    assert!(!bill.is_spent());
    assert_eq!(bill.spending().to_string(), "4.9% of 5%");
    scrape(&mut bill, (10, 1), (90, 0));
    assert!(bill.is_spent());
    assert_eq!(bill.spending().to_string(), "5% of 5%");
}

#[test]
fn an_incident_in_both_costs_nothing() {
    assert!(cost(100, (1_000, 500), (9_000, 4_500)).abs() < 1e-9);
}

#[test]
fn nothing_is_saved_up_while_the_stable_revision_is_the_worse_one() {
    let mut bill = bill();
    for _ in 0..100 {
        scrape(&mut bill, (1_000, 0), (9_000, 4_500));
    }
    scrape(&mut bill, (1_000, 100), (9_000, 0));
    assert!(bill.is_spent());
}

#[test]
fn where_the_candidate_has_all_traffic_the_objective_is_what_it_is_held_to() {
    // 1,000 requests may have one bad one.
    let cost = cost(10, (1_000, 6), (0, 0));
    assert!((cost - 50.0).abs() < 1e-9, "{cost}");
}

/// Of a few requests a minute the stable revision gets none in most scrapes.
#[test]
fn a_scrape_without_the_stable_revision_waits_for_one_with_it() {
    let mut bill = bill();
    for _ in 0..100 {
        scrape(&mut bill, (1, 1), (1, 1));
        scrape(&mut bill, (1, 1), (0, 0));
    }
    assert!(bill.cost < 1.0 + 1e-9, "{}", bill.cost);
}

#[test]
fn two_bad_requests_are_none() {
    let plan = plan();
    let mut bill = Bill::of(&plan, &plan.slos[0], Some(1)).unwrap();
    scrape(&mut bill, (10, 2), (90, 0));
    assert!(!bill.is_spent());
    scrape(&mut bill, (10, 1), (90, 0));
    assert!(bill.is_spent());
    assert_eq!(limits(&plan, 1), [("availability".to_owned(), 3)]);
    assert_eq!(limits(&plan, EXPECTED), [("availability".to_owned(), 100)]);
}

#[test]
fn there_is_a_limit_only_where_it_can_be_told() {
    let with = |change: fn(&mut Plan), expected| {
        let mut plan = plan();
        change(&mut plan);
        Bill::of(&plan, &plan.slos[0], expected).is_some()
    };
    assert!(with(|_| {}, Some(1)));
    assert!(!with(|_| {}, None), "past traffic that is not known");
    assert!(!with(|plan| plan.error_budget = None, Some(1)));
    assert!(!with(|plan| plan.slos[0].objective_ppm = None, Some(1)));
    let events = |plan: &mut Plan| plan.slos[0].indicator = Indicator::Events;
    assert!(!with(events, Some(1)), "counted in other things");
    let connections = |plan: &mut Plan| plan.slos[0].indicator = Indicator::Connections;
    assert!(!with(connections, Some(1)), "one carries many requests");
    let flows = |plan: &mut Plan| plan.slos[0].indicator = Indicator::Flows;
    assert!(!with(flows, Some(1)), "nor are these requests");
}

#[test]
fn what_is_spent_has_two_digits() {
    let text = |spent_ppm| {
        let spending = Spending {
            spent_ppm,
            allowed_ppm: 2_500,
        };
        spending.to_string()
    };
    assert_eq!(text(0), "0% of 0.25%");
    assert_eq!(text(12), "0.0012% of 0.25%");
    assert_eq!(text(12_345), "1.2% of 0.25%");
    assert_eq!(text(1_234_567), "120% of 0.25%");
    // Nothing was expected, and something came.
    assert!(text(u64::MAX).ends_with("% of 0.25%"));
}

proptest! {
    /// Whatever happens: never less than nothing, never more than the candidate's bad events.
    #[test]
    fn nobody_owes_more_than_he_broke(
        scrapes in proptest::collection::vec(((0_u64..2_000, 0_u64..2_000), (0_u64..2_000, 0_u64..2_000)), 0..60)
    ) {
        let mut bill = bill();
        let mut bad = 0;
        let mut spent = false;
        for (candidate, stable) in scrapes {
            scrape(&mut bill, candidate, stable);
            bad += tally(candidate).bad();
            prop_assert!(bill.cost >= 0.0 && bill.cost <= count(bad) + 1e-6, "{} of {bad}", bill.cost);
            spent |= bill.cost >= bill.most();
            prop_assert_eq!(bill.is_spent(), spent && bad >= 3);
        }
    }

    /// The same revision under two names: the route picks at random which of the bad requests are whose. However
    /// bad they are, what is charged stays within what chance makes of it.
    #[test]
    fn a_candidate_like_the_stable_revision_owes_what_chance_makes_of_it(
        seed in any::<u64>(), percent in 1_u64..60, share in 2_u64..50
    ) {
        let (mut bill, mut random, mut bad) = (bill(), seed, 0_u64);
        for _ in 0..40 {
            let mut parts = [(0, 0); 2];
            for _ in 0..200 {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let (whose, what) = ((random >> 33) % 100, (random >> 40) % 100);
                let part = &mut parts[usize::from(whose >= share)];
                part.0 += 1;
                part.1 += u64::from(what < percent);
                bad += u64::from(what < percent && whose < share);
            }
            scrape(&mut bill, parts[0], parts[1]);
        }
        let chance = 8.0 * count(bad.max(1)).sqrt() + 3.0;
        prop_assert!(bill.cost <= chance, "{} of {bad}", bill.cost);
    }
}
