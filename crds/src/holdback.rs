//! A last step, in which a small share stays with the stable revision.

use kube::KubeSchema;
use kube::core::Rule;
use serde::{Deserialize, Serialize};

use crate::quantity::{Duration, PERCENT_SHAPE, Percent, between_0_and_100, positive};

/// A small share of the requests stays with the stable revision after the last step: for that long what is
/// wrong shows beside it, and the way back is warm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Holdback {
    /// The share of requests that the stable revision keeps, as in "1%". The candidate's must be above
    /// the last step's. Below "10%" every SLO needs an objective: there are too few requests of the
    /// stable revision to compare with.
    #[x_kube(validation = between_0_and_100(
        "weight must be above 0% and below 100%: it is what the stable revision keeps"
    ))]
    pub weight: Percent,

    /// For how long, as in "1h", from when the weight is proven to be in force. A newer template ends
    /// it early; missing evidence prolongs it, whatever inconclusive and progressDeadline say.
    #[x_kube(validation = positive("for must be longer than 0, as in \"1h\": leave out holdback for none"))]
    pub r#for: Duration,
}

/// The rule that a holdback leaves the candidate more than the last step of the same object.
///
/// Weights that are no percentages pass: the type's own rule has already named them.
pub(crate) fn above_the_last_step() -> Rule {
    let number = |percent: &str| format!("double({percent}.replace('%', ''))");
    let is_percent = |percent: &str| format!("{percent}.matches('{PERCENT_SHAPE}')");
    let (kept, last) = (
        "self.holdback.weight",
        "self.steps[size(self.steps) - 1].weight",
    );
    Rule::new(format!(
        "!has(self.holdback) || !has(self.steps) || size(self.steps) == 0 || \
         !has({last}) || !{} || !{} || {} + {} < 100.0",
        is_percent(kept),
        is_percent(last),
        number(kept),
        number(last),
    ))
    .message(
        "holdback.weight must leave the candidate more than the last step gives it: as in 1% after 50%, \
         which is a step of 99%",
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use super::*;

    #[test]
    fn yaml_survives_a_round_trip() {
        let yaml = "weight: 1%\nfor: 1h\n";
        let holdback: Holdback = serde_yaml_ng::from_str(yaml).unwrap();
        assert_eq!(holdback.weight.ppm(), Ok(10_000));
        assert_eq!(holdback.r#for, Duration::new("1h"));
        assert_eq!(serde_yaml_ng::to_string(&holdback).unwrap(), yaml);
    }
}
