//! Percentages and durations.

use chrono::TimeDelta;
use serde_json::json;
use sluice_crds::{Duration, Percent, PolicySpec};

use super::fuzz;
use crate::parse::plan;

#[test]
fn a_percentage_is_between_nothing_and_all() {
    let examples = ["5%", "99.95%", "0.0001%", "100%"].map(|text| json!(text));
    fuzz(&examples, |text| {
        let percent = Percent::new(text.as_str().unwrap_or_default());
        if let Ok(ppm) = percent.ppm() {
            assert!(ppm <= 1_000_000);
            assert_eq!(Percent::from_ppm(ppm).ppm(), Ok(ppm));
        }
    });
}

#[test]
fn a_duration_is_never_negative() {
    let examples = ["1m30s", "250ms", "99999h99999m", "0s"].map(|text| json!(text));
    fuzz(&examples, |text| {
        let duration = Duration::new(text.as_str().unwrap_or_default());
        if let Ok(delta) = duration.delta() {
            assert!(delta >= TimeDelta::zero());
            if let Ok(millis) = u32::try_from(delta.num_milliseconds()) {
                assert_eq!(Duration::from_millis(millis).delta(), Ok(delta));
            }
        }
    });
}

#[test]
fn a_policy_is_a_plan_or_told_by_its_field() {
    fuzz(&[super::examples::policy()], |policy| {
        let Ok(policy) = serde_json::from_value::<PolicySpec>(policy.clone()) else {
            return;
        };
        let own = PolicySpec::default();
        let sections = plan::resolve(&own, Some(&policy));
        assert!(plan::interval(&sections) >= TimeDelta::zero());
        match plan::parse(&sections) {
            Ok(plan) => assert!(plan.drain_delay >= TimeDelta::zero()),
            Err(error) => {
                assert!(error.field.starts_with("spec."), "{error}");
                assert!(!plan::is_own(&own, &error), "{error}");
            }
        }
    });
}
