//! One step of a rollout.

use kube::KubeSchema;
use kube::core::Rule;
use serde::{Deserialize, Serialize};

use crate::approval::Approval;
use crate::quantity::{Duration, PERCENT_SHAPE, Percent, between_0_and_100};

/// The most steps that a list may have.
pub(crate) const MOST_STEPS: u32 = 50;

/// One step of a rollout: a share of the traffic, held for a time and judged; or an approval.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.weight) || has(self.approval)")
        .message("a step needs a weight and a bake, as in {weight: \"5%\", bake: 1m}, or an approval: {}"),
    validation = Rule::new("!has(self.weight) || has(self.bake) || has(self.approval)")
        .message("a step with a weight needs a bake, as in {weight: \"5%\", bake: 1m}, or an approval: {}"),
    validation = Rule::new("has(self.weight) || !has(self.bake)")
        .message("a bake belongs to a step with a weight: an approval alone waits at the weight before it"),
)]
pub struct Step {
    /// The share of requests that the candidate gets, as in "5%", with at most 4 decimals.
    /// Above "0%" and below "100%": the whole share comes by promotion, after the last step.
    /// A step with an approval alone has none: the weight stays what it was, 0% before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = between_0_and_100(
        "weight must be above 0% and below 100%: leave out the last step to 100%, promotion is it"
    ))]
    pub weight: Option<Percent>,

    /// How long the candidate keeps this weight before the step may pass, as in "1m".
    /// Time counts from when the weight is proven to be in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bake: Option<Duration>,

    /// The rollout goes on from here only when the Canary's `spec.approved` names the candidate. With a weight:
    /// once that has baked and passed. Alone: at the weight of the step before, or with its pods ready and no
    /// requests where there is none. The candidate is judged meanwhile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<Approval>,
}

/// The rule that every step's weight is above the one before.
///
/// Weights that are no percentages pass: the type's own rule has already named them.
pub(crate) fn rising_weights() -> Rule {
    let number = |step: &str| format!("double({step}.weight.replace('%', ''))");
    // isSorted() lets equal neighbours pass, so each weight must also be there only once.
    Rule::new(format!(
        "!self.all(s, !has(s.weight) || s.weight.matches('{PERCENT_SHAPE}')) || \
         (self.map(s, has(s.weight), {}).isSorted() && \
         self.all(a, !has(a.weight) || self.exists_one(b, has(b.weight) && {} == {})))",
        number("s"),
        number("a"),
        number("b"),
    ))
    .message(
        "steps must have rising weights: each step's weight above the one before, \
         as in 1%, 10%, 50%",
    )
}

/// The rule that some step gives the candidate requests.
pub(crate) fn some_weight() -> Rule {
    Rule::new("self.exists(s, has(s.weight))")
        .message("steps must have a weight somewhere: without one nothing would be judged")
}

/// The rule that no weight asks for two approvals. What comes right behind another approval must have a weight.
///
/// CEL walks a list without its indices, hence those of every step but the last that a list may have are written out.
pub(crate) fn one_approval_a_weight() -> Rule {
    let indices: Vec<_> = (1..MOST_STEPS).map(|index| index.to_string()).collect();
    Rule::new(format!(
        "[{}].all(i, i >= self.size() || !has(self[i].approval) || has(self[i].weight) || \
         !has(self[i - 1].approval))",
        indices.join(",")
    ))
    .message(
        "an approval is waited for at this weight already: leave one of two approvals in a row out, or put a \
         weight between them",
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use super::*;

    #[test]
    fn yaml_survives_a_round_trip() {
        for yaml in [
            "weight: 2.5%\nbake: 1m30s\n",
            "approval: {}\n",
            "weight: 50%\napproval: {}\n",
        ] {
            let step: Step = serde_yaml_ng::from_str(yaml).unwrap();
            assert_eq!(serde_yaml_ng::to_string(&step).unwrap(), yaml);
        }
    }
}
