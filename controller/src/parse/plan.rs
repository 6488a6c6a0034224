//! A policy's sections become a [`Plan`].

mod steps;

use chrono::TimeDelta;
use sluice_core::evidence::COMPARED_FROM;
use sluice_core::{Action, ErrorBudget, Indicator, Plan, Slo, Step, Weight};
use sluice_crds::{Duration, InconclusiveAction, Percent, PolicySpec, Source};

use crate::evidence::{check_threshold, counted_by};
use crate::observe::Observed;
use crate::observe::observed::Policy;

use super::mesh;

/// Why a policy is no plan: the field, what is wrong, and the fix.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct PlanError {
    /// The path of the field, as in `spec.steps[1].weight`.
    pub field: String,
    /// What is wrong and how to mend it.
    pub problem: String,
}

/// The sections that hold for a Canary: its own, else its policy's, else the built-in ones.
#[must_use]
pub fn resolve(own: &PolicySpec, policy: Option<&PolicySpec>) -> PolicySpec {
    let resolved = match policy {
        Some(policy) => own.clone().or(policy.clone()),
        None => own.clone(),
    };
    resolved.or(PolicySpec::built_in())
}

/// The sections in force now.
#[must_use]
pub fn in_force(observed: &Observed) -> PolicySpec {
    let policy = match &observed.policy {
        Policy::Found { spec, .. } => Some(spec.as_ref()),
        Policy::BuiltIn | Policy::Missing(_) => None,
    };
    PolicySpec {
        mesh: Some(mesh::said(observed)),
        ..resolve(&observed.canary.spec.policy, policy)
    }
}

/// Whether the error is in a Canary's own sections: then they are wrong without their policy, too.
#[must_use]
pub fn is_own(own: &PolicySpec, error: &PlanError) -> bool {
    parse(&resolve(own, None)).as_ref() == Err(error)
}

/// The plan that resolved sections describe.
///
/// # Errors
/// What the schema could not refuse, with the field and the fix.
pub fn parse(sections: &PolicySpec) -> Result<Plan, PlanError> {
    let built_in = PolicySpec::built_in();
    let inconclusive = sections
        .inconclusive
        .as_ref()
        .or(built_in.inconclusive.as_ref());
    let after = inconclusive.map(|inconclusive| &inconclusive.after);
    let action = inconclusive.map(|inconclusive| inconclusive.action);
    let slos = slos(sections)?;
    let (entry, steps) = steps::parse(sections)?;
    Ok(Plan {
        entry,
        steps: with_holdback(steps, &slos, sections)?,
        slos,
        min_requests: sections
            .min_requests
            .or(built_in.min_requests)
            .unwrap_or_default()
            .into(),
        inconclusive_after: duration("spec.inconclusive.after", after)?,
        inconclusive_action: match action {
            Some(InconclusiveAction::Rollback) => Action::Rollback,
            Some(InconclusiveAction::Hold) | None => Action::Hold,
        },
        progress_deadline: duration("spec.progressDeadline", sections.progress_deadline.as_ref())?,
        rollback_window: sections
            .rollback_window
            .and_then(|window| usize::try_from(window).ok())
            .unwrap_or_default(),
        drain_delay: duration("spec.drainDelay", sections.drain_delay.as_ref())?,
        settle: duration("spec.settle", sections.settle.as_ref())?,
        error_budget: error_budget(sections)?,
    })
}

/// How often the metrics are read.
#[must_use]
pub fn interval(sections: &PolicySpec) -> TimeDelta {
    let named = sections
        .metrics
        .as_ref()
        .and_then(|metrics| metrics.interval.as_ref());
    named
        .and_then(|interval| interval.delta().ok())
        .unwrap_or(TimeDelta::seconds(15))
}

/// The steps, and behind them the holdback. It may come from another object than the steps and the SLOs, so
/// that no schema can compare them.
fn with_holdback(
    mut steps: Vec<Step>,
    slos: &[Slo],
    sections: &PolicySpec,
) -> Result<Vec<Step>, PlanError> {
    let Some(holdback) = &sections.holdback else {
        return Ok(steps);
    };
    let field = "spec.holdback.weight";
    let wrong = |problem: String| PlanError {
        field: field.to_owned(),
        problem,
    };
    let share = Weight::from_ppm(percent(field, &holdback.weight)?);
    let bake = duration("spec.holdback.for", Some(&holdback.r#for))?;
    let last = steps.last().map(Step::weight).unwrap_or_default();
    if share.rest() <= last {
        return Err(wrong(format!(
            "{share} leave the candidate {}, which is not above the last step's {last}: hold back less than {}",
            share.rest(),
            last.rest()
        )));
    }
    let relative = |slo: &&Slo| slo.objective_ppm.is_none() && slo.indicator != Indicator::Value;
    if let Some(slo) = slos.iter().find(relative)
        && share < COMPARED_FROM
    {
        return Err(wrong(format!(
            "the SLO {} has no objective, and with {share} the stable revision gets too few requests to compare \
             with: hold back {COMPARED_FROM} or more, or set spec.slos with an objective for each",
            slo.name
        )));
    }
    steps.push(Step::holding_back(share, bake));
    Ok(steps)
}

/// The SLOs; where none is given, the candidate must be no worse than the stable revision.
fn slos(sections: &PolicySpec) -> Result<Vec<Slo>, PlanError> {
    let Some(slos) = &sections.slos else {
        let name = "availability".to_owned();
        return Ok(vec![Slo {
            name,
            objective_ppm: None,
            indicator: Indicator::Availability,
        }]);
    };
    let source = sections.source.unwrap_or(Source::IstioWaypoint);
    let parsed = slos.iter().enumerate().map(|(index, slo)| {
        let field = |name: &str| format!("spec.slos[{index}].{name}");
        let objective = slo.objective.as_ref();
        let objective_ppm = objective
            .map(|o| percent(&field("objective"), o))
            .transpose()?;
        let indicator = match &slo.latency {
            None if slo.events.is_some() => Indicator::Events,
            None if slo.value.is_some() => Indicator::Value,
            None => match &slo.connections {
                Some(connections) => counted_by(connections.source),
                None => Indicator::Availability,
            },
            Some(latency) => {
                let name = field("latency.threshold");
                Indicator::Latency {
                    threshold_ms: threshold(source, &name, &latency.threshold)?,
                }
            }
        };
        Ok(Slo {
            name: slo.name.clone(),
            objective_ppm,
            indicator,
        })
    });
    parsed.collect()
}

/// A threshold in milliseconds. Only at a bucket's boundary the share of faster requests is known.
fn threshold(source: Source, field: &str, threshold: &Duration) -> Result<u64, PlanError> {
    let delta = duration(field, Some(threshold))?;
    let ms = u64::try_from(delta.num_milliseconds()).unwrap_or_default();
    check_threshold(source, ms).map_err(|error| PlanError {
        field: field.to_owned(),
        problem: error.to_string(),
    })?;
    Ok(ms)
}

fn error_budget(sections: &PolicySpec) -> Result<Option<ErrorBudget>, PlanError> {
    let Some(budget) = &sections.error_budget else {
        return Ok(None);
    };
    let period = budget.period.delta().map_err(|error| PlanError {
        field: "spec.errorBudget.period".to_owned(),
        problem: error.to_string(),
    })?;
    let per_release_ppm = percent("spec.errorBudget.perRelease", &budget.per_release)?;
    Ok(Some(ErrorBudget {
        period,
        per_release_ppm,
    }))
}

fn percent(field: &str, percent: &Percent) -> Result<u32, PlanError> {
    percent.ppm().map_err(|error| PlanError {
        field: field.to_owned(),
        problem: error.to_string(),
    })
}

fn duration(field: &str, duration: Option<&Duration>) -> Result<TimeDelta, PlanError> {
    let Some(duration) = duration else {
        return Ok(TimeDelta::zero());
    };
    duration.delta().map_err(|error| PlanError {
        field: field.to_owned(),
        problem: error.to_string(),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use super::*;
    use sluice_crds::{Holdback, Latency, Slo as SloSpec};

    fn with_threshold(threshold: &str) -> PolicySpec {
        let latency = Some(Latency {
            threshold: Duration::new(threshold),
        });
        let slo = SloSpec {
            name: "fast".to_owned(),
            objective: None,
            availability: None,
            latency,
            events: None,
            value: None,
            connections: None,
        };
        resolve(
            &PolicySpec {
                slos: Some(vec![slo]),
                ..PolicySpec::default()
            },
            None,
        )
    }

    #[test]
    fn the_built_in_values_are_a_plan() {
        let plan = parse(&resolve(&PolicySpec::default(), None)).unwrap();
        let weights: Vec<_> = plan
            .steps
            .iter()
            .map(|step| step.weight().to_string())
            .collect();
        assert_eq!(weights, ["5%", "25%", "50%"]);
        assert_eq!(plan.slos.len(), 1, "the gate that needs no number");
        assert_eq!(plan.min_requests, 200);
    }

    #[test]
    fn a_threshold_between_two_buckets_names_both() {
        let error = parse(&with_threshold("300ms")).map_err(|error| error.to_string());
        let message = error.err().unwrap_or_default();
        assert!(
            message.starts_with("spec.slos[0].latency.threshold: "),
            "{message}"
        );
        assert!(message.contains("250ms or 500ms"), "{message}");
        assert!(parse(&with_threshold("250ms")).is_ok());
    }

    #[test]
    fn a_holdback_is_one_more_step() {
        let holdback = |weight: &str| PolicySpec {
            holdback: Some(Holdback {
                weight: Percent::new(weight),
                r#for: Duration::new("1h"),
            }),
            ..PolicySpec::default()
        };
        let plan = parse(&resolve(&holdback("10%"), None)).unwrap();
        let last = plan.holdback().unwrap();
        assert_eq!(plan.steps.len(), 4);
        assert_eq!(last.weight(), Weight::from_percent(90));
        assert_eq!(last.bake(), TimeDelta::hours(1));
        let error = |weight: &str| {
            let parsed = parse(&resolve(&holdback(weight), None));
            parsed.unwrap_err().to_string()
        };
        let above = error("50%");
        assert!(above.contains("not above the last step's 50%"), "{above}");
        let relative = error("1%");
        assert!(
            relative.starts_with("spec.holdback.weight: the SLO availability has no objective")
        );
        let slo = SloSpec {
            objective: Some(Percent::new("99.9%")),
            ..with_threshold("250ms").slos.unwrap().remove(0)
        };
        let own = PolicySpec {
            slos: Some(vec![slo]),
            ..holdback("1%")
        };
        assert!(parse(&resolve(&own, None)).is_ok());
    }

    #[test]
    fn a_budget_is_of_days_and_a_share() {
        let with = |period: &str, share: &str| {
            parse(&PolicySpec {
                error_budget: Some(sluice_crds::ErrorBudget {
                    period: sluice_crds::Days::new(period),
                    per_release: Percent::new(share),
                }),
                ..resolve(&PolicySpec::default(), None)
            })
        };
        let budget = with("30d", "5%").unwrap().error_budget.unwrap();
        assert_eq!(budget.period, TimeDelta::days(30));
        assert_eq!(budget.per_release_ppm, 50_000);
        let field = |period, share| with(period, share).unwrap_err().field;
        assert_eq!(field("720h", "5%"), "spec.errorBudget.period");
        assert_eq!(field("30d", "5"), "spec.errorBudget.perRelease");
    }

    #[test]
    fn an_error_is_the_canarys_own_only_in_its_own_sections() {
        let wrong = |delay: &str| PolicySpec {
            drain_delay: Some(Duration::new(delay)),
            ..PolicySpec::default()
        };
        let own = PolicySpec::default();
        let error = parse(&resolve(&own, Some(&wrong("1d")))).unwrap_err();
        assert!(!is_own(&own, &error));
        let own = wrong("1w");
        let error = parse(&resolve(&own, Some(&wrong("1d")))).unwrap_err();
        assert!(is_own(&own, &error));
        assert!(
            error.to_string().starts_with("spec.drainDelay: \"1w\""),
            "{error}"
        );
    }

    #[test]
    fn a_section_of_the_canary_replaces_that_of_the_policy() {
        let own = PolicySpec {
            min_requests: Some(7),
            ..PolicySpec::default()
        };
        let policy = PolicySpec {
            min_requests: Some(9),
            rollback_window: Some(1),
            ..PolicySpec::default()
        };
        let plan = parse(&resolve(&own, Some(&policy))).unwrap();
        assert_eq!((plan.min_requests, plan.rollback_window), (7, 1));
    }
}
