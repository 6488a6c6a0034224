//! One step of a rollout.

use kube::KubeSchema;
use kube::core::Rule;
use serde::{Deserialize, Serialize};

use crate::quantity::{Duration, PERCENT_SHAPE, Percent, between_0_and_100};

/// One step of a rollout: a share of the traffic, held for a time and judged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// The share of requests that the candidate gets, as in "5%", with at most 4 decimals.
    /// Above "0%" and below "100%": the whole share comes by promotion, after the last step.
    #[x_kube(validation = between_0_and_100(
        "weight must be above 0% and below 100%: leave out the last step to 100%, promotion is it"
    ))]
    pub weight: Percent,

    /// How long the candidate keeps this weight before the step may pass, as in "1m".
    /// Time counts from when the weight is proven to be in force.
    pub bake: Duration,
}

/// The rule that every step's weight is above the one before.
///
/// Weights that are no percentages pass: the type's own rule has already named them.
pub(crate) fn rising_weights() -> Rule {
    let number = |step: &str| format!("double({step}.weight.replace('%', ''))");
    // isSorted() lets equal neighbours pass, so each weight must also be there only once.
    Rule::new(format!(
        "!self.all(s, s.weight.matches('{PERCENT_SHAPE}')) || \
         (self.map(s, {}).isSorted() && self.all(a, self.exists_one(b, {} == {})))",
        number("s"),
        number("a"),
        number("b"),
    ))
    .message(
        "steps must have rising weights: each step's weight above the one before, \
         as in 1%, 10%, 50%",
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use super::*;

    #[test]
    fn yaml_survives_a_round_trip() {
        let yaml = "weight: 2.5%\nbake: 1m30s\n";
        let step: Step = serde_yaml_ng::from_str(yaml).unwrap();
        assert_eq!(step.weight.ppm(), Ok(25_000));
        assert_eq!(serde_yaml_ng::to_string(&step).unwrap(), yaml);
    }
}
