//! What a line of a bundle holds.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sluice_core::{Plan, RevisionName, Sample, State, Time};

/// The version of the format. Whoever changes the meaning of a line raises it.
pub const FORMAT: u32 = 1;

/// The first line.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Header {
    /// [`FORMAT`].
    pub bundle: u32,
    /// The version of Sluice that decided.
    pub sluice: String,
    /// The namespace of the Canary.
    pub namespace: String,
    /// Its name.
    pub canary: String,
    /// The candidate.
    pub candidate: RevisionName,
    /// When the rollout started.
    pub started_at: Time,
}

/// One decision, as what is new since the line before.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Line {
    pub(super) now: Time,
    /// So many decisions before this one were made faster than they could be written.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(super) missed: u64,
    /// Nothing if it is as before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) plan: Option<Plan>,
    /// Nothing if it is what the decision before left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) state: Option<State>,
    /// The fields that are new. The samples of the evidence are beside it.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub(super) world: Map<String, Value>,
    #[serde(default, skip_serializing_if = "Samples::is_empty")]
    pub(super) samples: Samples,
    /// The fields that are new.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub(super) decision: Map<String, Value>,
}

/// How the samples changed.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(super) struct Samples {
    /// The places of those that are gone, rising.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) gone: Vec<usize>,
    /// Those that came, behind all others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) new: Vec<Sample>,
}

impl Samples {
    fn is_empty(&self) -> bool {
        self.gone.is_empty() && self.new.is_empty()
    }

    /// What makes `after` of `before`.
    pub(super) fn between(before: &[Sample], after: &[Sample]) -> Self {
        let mut kept = 0;
        let mut gone = Vec::new();
        for (place, sample) in before.iter().enumerate() {
            if after.get(kept) == Some(sample) {
                kept += 1;
            } else {
                gone.push(place);
            }
        }
        let new = after.get(kept..).unwrap_or_default().to_vec();
        Self { gone, new }
    }

    /// Makes `after` of `before`.
    pub(super) fn apply(self, samples: &mut Vec<Sample>) {
        let mut place = 0;
        samples.retain(|_| {
            let keep = self.gone.binary_search(&place).is_err();
            place += 1;
            keep
        });
        samples.extend(self.new);
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes the field by reference"
)]
fn is_zero(number: &u64) -> bool {
    *number == 0
}
