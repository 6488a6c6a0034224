use super::*;
use crate::{Action, Indicator, Slo};

const SCRAPE: TimeDelta = TimeDelta::seconds(15);

fn plan(weights: &[u32]) -> Plan {
    let steps = weights.iter().map(|weight| {
        let bake = TimeDelta::minutes(2);
        Step::weighted(Weight::from_percent(*weight), bake)
    });
    Plan {
        entry: Vec::new(),
        steps: steps.collect(),
        slos: vec![Slo {
            name: "availability".to_owned(),
            objective_ppm: Some(999_000),
            indicator: Indicator::Availability,
        }],
        min_requests: 200,
        inconclusive_after: TimeDelta::minutes(10),
        inconclusive_action: Action::Hold,
        progress_deadline: TimeDelta::hours(1),
        rollback_window: 3,
        drain_delay: TimeDelta::minutes(1),
        settle: TimeDelta::seconds(2),
        error_budget: None,
    }
}

/// Of a week.
fn power(weights: &[u32], requests_per_hour: u64) -> Power {
    let traffic = PastTraffic {
        per_day: requests_per_hour * 24,
        over: TimeDelta::days(7),
    };
    Power::of(&plan(weights), traffic, SCRAPE).unwrap()
}

#[test]
fn with_many_requests_gates_decide() {
    let power = power(&[5, 25, 50], 360_000);
    assert!(power.is_effective());
    assert_eq!(
        power.to_string(),
        "at 100 requests/s, 5% needs 40 s to reach minRequests (200), and 30 s to fail a candidate of whose \
         requests half are bad"
    );
}

#[test]
fn with_few_the_weight_that_would_do_is_named() {
    let power = power(&[1, 25], 10_800);
    assert!(!power.is_effective());
    assert_eq!(
        power.to_string(),
        "at 3.0 requests/s, 1% needs 1 h 51 min to reach minRequests (200), and 3 min to fail a candidate \
         of whose requests half are bad; a rollout waits 12 min, then a person is called. At 25% it takes 4 min \
         27 s and 45 s"
    );
}

/// A step that would do comes too late: the first one must be left.
#[test]
fn the_first_step_decides() {
    assert!(power(&[25, 1], 10_800).is_effective());
    assert!(!power(&[1], 10_800).is_effective());
}

#[test]
fn without_requests_nothing_decides() {
    let power = power(&[5, 50], 0);
    assert!(!power.is_effective());
    assert_eq!(
        power.to_string(),
        "there were no requests, without which no gate decides"
    );
}

#[test]
fn odd_traffic_is_no_power() {
    let traffic = PastTraffic {
        per_day: u64::MAX,
        over: TimeDelta::zero(),
    };
    for scrape in [TimeDelta::zero(), TimeDelta::MAX] {
        let power = Power::of(&plan(&[5]), traffic, scrape).unwrap();
        assert!(power.to_string().starts_with("at "), "{power}");
    }
    assert_eq!(Power::of(&plan(&[]), traffic, SCRAPE), None);
}

/// An objective that allows more takes longer to be missed for sure.
#[test]
fn a_lenient_objective_takes_longer_to_fail() {
    let (strict, mut lenient) = (plan(&[5]), plan(&[5]));
    lenient.slos[0].objective_ppm = Some(900_000);
    let traffic = PastTraffic::measured(100.0, TimeDelta::days(7));
    let found = |plan: &Plan| {
        Power::of(plan, traffic, SCRAPE).unwrap().steps[0]
            .found
            .unwrap()
    };
    assert!(found(&strict) < found(&lenient));
}
