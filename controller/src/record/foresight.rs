//! Whether the gates will be able to decide, told before a rollout starts: the condition `GatesEffective`.
//!
//! It hinders nothing, and `Ready` does not depend on it. It says something else only when the plan changes, or
//! the traffic does so by more than a tenth.

use chrono::TimeDelta;
use sluice_core::evidence::budget::limits;
use sluice_core::evidence::power::Power;
use sluice_core::{PastTraffic, Plan};
use sluice_crds::{ConditionType, Reason};

use super::conditions::Claim;
use crate::evidence::Known;
use crate::subscription::NO_ADDRESS;

/// What is told of what.
#[derive(Clone, Debug, PartialEq)]
pub struct Premise {
    /// The plan of the rollout under way, or of the next one.
    pub plan: Plan,
    /// How often the metrics are read; `None` where no server is named.
    pub interval: Option<TimeDelta>,
    /// The traffic of the past, as it was told last.
    pub traffic: Option<PastTraffic>,
    /// What the source said of it when it was asked last.
    pub known: Known,
}

/// The condition of a premise, worked out once: it plays through thousands of scrapes.
#[derive(Debug, Default)]
pub struct Foresight {
    of: Option<(Premise, Option<Claim>)>,
}

impl Foresight {
    /// What follows from a premise; `None` where nothing does yet, and what was told before still holds.
    pub fn claim(&mut self, premise: Premise) -> Option<Claim> {
        match &self.of {
            Some((of, claim)) if *of == premise => claim.clone(),
            _ => {
                let claim = claim(&premise);
                self.of = Some((premise, claim.clone()));
                claim
            }
        }
    }
}

fn claim(premise: &Premise) -> Option<Claim> {
    let Premise {
        plan,
        interval,
        traffic,
        known,
    } = premise;
    let (status, reason, message) = match (interval, traffic) {
        (None, _) => unknown(plan, Reason::MetricsNotConfigured, NO_ADDRESS),
        (Some(interval), Some(traffic)) => {
            let power = Power::of(plan, *traffic, *interval)?;
            let (status, reason) = if power.is_effective() {
                ("True", Reason::GatesDecide)
            } else {
                ("False", Reason::TooFewRequests)
            };
            (status, reason, format!("{power}{}", budget(plan, *traffic)))
        }
        (Some(_), None) => match known {
            Known::NotYet | Known::Traffic(_) => return None,
            Known::Nothing => {
                let why = "the source has counted none of the Service's requests yet";
                unknown(plan, Reason::TrafficUnknown, why)
            }
            Known::Problem(problem) => unknown(plan, Reason::MetricsUnavailable, problem),
        },
    };
    Some(Claim {
        kind: ConditionType::GatesEffective,
        status,
        reason: reason.as_str().to_owned(),
        message,
    })
}

fn unknown(plan: &Plan, reason: Reason, why: &str) -> (&'static str, Reason, String) {
    let budget = plan
        .error_budget
        .map_or("", |_| "; until it is, errorBudget stops nothing");
    let message = format!("the traffic of the past is not known: {why}{budget}");
    ("Unknown", reason, message)
}

/// What a release may cost, in requests.
fn budget(plan: &Plan, traffic: PastTraffic) -> String {
    let Some(budget) = plan.error_budget else {
        return String::new();
    };
    let expected = traffic.expected(budget.period);
    if expected == 0 {
        return "; without requests errorBudget stops nothing".to_owned();
    }
    let limits = limits(plan, expected).into_iter();
    let limits = limits
        .map(|(slo, bad)| format!("{bad} bad requests more than the stable revision in {slo}"));
    let limits = limits.collect::<Vec<_>>();
    if limits.is_empty() {
        return "; errorBudget stops nothing: it takes an SLO of availability or latency with an objective"
            .to_owned();
    }
    format!("; errorBudget lets a release have {}", limits.join(", "))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use sluice_core::ErrorBudget;
    use sluice_crds::PolicySpec;

    use super::*;
    use crate::parse;

    fn premise(per_second: Option<f64>, known: Known) -> Premise {
        Premise {
            plan: parse::plan::parse(&PolicySpec::built_in()).unwrap(),
            interval: Some(TimeDelta::seconds(15)),
            traffic: per_second.map(|rate| PastTraffic::measured(rate, TimeDelta::hours(3))),
            known,
        }
    }

    fn told(premise: Premise) -> (String, String, String) {
        let claim = Foresight::default().claim(premise).unwrap();
        (claim.status.to_owned(), claim.reason, claim.message)
    }

    #[test]
    fn gates_decide_where_there_are_requests_enough() {
        let (status, reason, message) = told(premise(Some(100.0), Known::NotYet));
        assert_eq!((status.as_str(), reason.as_str()), ("True", "GatesDecide"));
        assert!(
            message.starts_with("at 100 requests/s (measured over 3 h), 5% needs "),
            "{message}"
        );
        let (status, reason, message) = told(premise(Some(0.1), Known::NotYet));
        assert_eq!(
            (status.as_str(), reason.as_str()),
            ("False", "TooFewRequests")
        );
        assert!(message.contains("then a person is called"), "{message}");
    }

    #[test]
    fn what_is_not_known_is_told_as_such() {
        assert_eq!(
            Foresight::default().claim(premise(None, Known::NotYet)),
            None
        );
        let (status, reason, _) = told(premise(None, Known::Nothing));
        assert_eq!(
            (status.as_str(), reason.as_str()),
            ("Unknown", "TrafficUnknown")
        );
        let (_, reason, message) = told(premise(None, Known::Problem("no route".to_owned())));
        assert_eq!(reason, "MetricsUnavailable");
        assert!(message.ends_with("no route"), "{message}");
        let blind = Premise {
            interval: None,
            ..premise(None, Known::NotYet)
        };
        assert_eq!(told(blind).1, "MetricsNotConfigured");
        // What was known once is not forgotten by an outage.
        let (status, ..) = told(premise(Some(100.0), Known::Problem("no route".to_owned())));
        assert_eq!(status, "True");
    }

    #[test]
    fn a_budget_is_told_in_requests() {
        let with = |per_second, objective: Option<u32>| {
            let mut premise = premise(per_second, Known::Nothing);
            premise.plan.error_budget = Some(ErrorBudget {
                period: TimeDelta::days(30),
                per_release_ppm: 50_000,
            });
            premise
                .plan
                .slos
                .iter_mut()
                .for_each(|slo| slo.objective_ppm = objective);
            told(premise).2
        };
        let message = with(Some(100.0), Some(999_000));
        let wanted = "; errorBudget lets a release have 12900 bad requests more than the stable revision in availability";
        assert!(message.ends_with(wanted), "{message}");
        assert!(with(Some(100.0), None).contains("errorBudget stops nothing"));
        assert!(with(None, Some(999_000)).contains("until it is, errorBudget stops nothing"));
        assert!(with(Some(0.0), Some(999_000)).contains("errorBudget stops nothing"));
    }
}
