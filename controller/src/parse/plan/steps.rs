//! The steps of a policy, and where they ask for an approval.
//!
//! An approval alone is no step of its own: it is one more thing that the weight before it requires, or the entry
//! where there is none.

use sluice_core::{Requirement, Step, Weight};
use sluice_crds::{PolicySpec, Step as StepSpec};

use super::{PlanError, duration, percent};

/// What the candidate's first traffic requires, and the steps.
pub(super) fn parse(sections: &PolicySpec) -> Result<(Vec<Requirement>, Vec<Step>), PlanError> {
    let mut entry = Vec::new();
    let mut steps: Vec<Step> = Vec::new();
    for (index, spec) in sections.steps.iter().flatten().enumerate() {
        if let Some(step) = weighted(index, spec)? {
            steps.push(step);
        }
        if spec.approval.is_none() {
            continue;
        }
        let (at, requires) = match steps.last_mut() {
            Some(step) => (step.weight(), &mut step.requires),
            None => (Weight::ZERO, &mut entry),
        };
        if requires.contains(&Requirement::Approval) {
            return Err(PlanError {
                field: format!("spec.steps[{index}].approval"),
                problem: format!(
                    "an approval is waited for at {at} already: leave one of them out, or put a weight between \
                     them"
                ),
            });
        }
        requires.push(Requirement::Approval);
    }
    if steps.is_empty() && !entry.is_empty() {
        return Err(PlanError {
            field: "spec.steps".to_owned(),
            problem: "no step has a weight: without one nothing would be judged".to_owned(),
        });
    }
    Ok((entry, steps))
}

/// The step of a weight, if it has one. Without a bake it passes as soon as the evidence does.
fn weighted(index: usize, spec: &StepSpec) -> Result<Option<Step>, PlanError> {
    let Some(weight) = &spec.weight else {
        return Ok(None);
    };
    let weight = percent(&format!("spec.steps[{index}].weight"), weight)?;
    let bake = duration(&format!("spec.steps[{index}].bake"), spec.bake.as_ref())?;
    Ok(Some(Step::weighted(Weight::from_ppm(weight), bake)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use super::*;

    fn sections(steps: &str) -> PolicySpec {
        serde_yaml_ng::from_str(&format!("steps: {steps}")).unwrap()
    }

    /// The weights, with a `!` where an approval is asked for.
    fn brief(steps: &str) -> String {
        let (entry, steps) = parse(&sections(steps)).unwrap();
        let mark = |requires: &[Requirement]| {
            let asks = requires.contains(&Requirement::Approval);
            if asks { "!" } else { "" }
        };
        let steps = steps
            .iter()
            .map(|step| format!("{}{}", step.weight(), mark(&step.requires)));
        format!("0%{} {}", mark(&entry), steps.collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn an_approval_belongs_to_the_weight_before_it() {
        let steps =
            "[{approval: {}}, {weight: 5%, bake: 1m}, {approval: {}}, {weight: 50%, approval: {}}]";
        assert_eq!(brief(steps), "0%! 5%! 50%!");
        let steps = "[{weight: 5%, bake: 1m, approval: {}}, {weight: 50%, bake: 1m}]";
        assert_eq!(brief(steps), "0% 5%! 50%");
    }

    #[test]
    fn two_approvals_at_one_weight_are_refused_by_name() {
        let two = parse(&sections(
            "[{weight: 5%, bake: 1m, approval: {}}, {approval: {}}]",
        ));
        let error = two.unwrap_err().to_string();
        assert!(error.starts_with("spec.steps[1].approval: an approval is waited for at 5%"));
        assert_eq!(
            parse(&sections("[{approval: {}}]")).unwrap_err().field,
            "spec.steps"
        );
    }
}
