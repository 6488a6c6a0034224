//! What was found, in numbers that are kept: in the status while a rollout is under way, with the verdict on
//! the snapshot for as long as there is one.

use serde::{Deserialize, Serialize};

use super::{Against, Finding, Lack, Tally, Verdict};
use crate::{Time, Weight};

/// The longest text that is kept, in characters: the status and an annotation have room for 17 of them.
const LONGEST: usize = 250;

/// What was found of one SLO.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Exhibit {
    /// The SLO's name.
    pub slo: String,
    /// Its objective, in parts per million of good events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objective_ppm: Option<u32>,
    /// The candidate's events since it first got traffic.
    pub candidate: Tally,
    /// The stable revision's events over the same scrapes.
    pub stable: Tally,
    /// The evidence against the candidate.
    pub against: Against,
    /// The evidence that is proof, of both.
    pub proof: u64,
    /// What follows.
    pub verdict: Opinion,
    /// Why, in words; empty for a Pass.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
    /// What is missing to a Pass, where that can be counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<Lack>,
    /// What it cost of the error budget, of how much it may, as in "1.2% of 5%", where that is limited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spending: Option<String>,
}

/// A verdict in one word.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Opinion {
    /// See [`Verdict::Pass`].
    Pass,
    /// See [`Verdict::Fail`].
    Fail,
    /// See [`Verdict::Inconclusive`].
    Inconclusive,
}

/// What a verdict was based on.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Grounds {
    /// The share of the requests that the revision had.
    pub weight: Weight,
    /// When it first got any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_weight_at: Option<Time>,
    /// What was found of each SLO.
    pub evidence: Vec<Exhibit>,
}

impl From<&Finding> for Exhibit {
    fn from(finding: &Finding) -> Self {
        let (verdict, why) = match &finding.verdict {
            Verdict::Pass => (Opinion::Pass, String::new()),
            Verdict::Fail(words) => (Opinion::Fail, words.clone()),
            Verdict::Inconclusive(why) => (Opinion::Inconclusive, why.to_string()),
        };
        Self {
            slo: finding.slo.clone(),
            objective_ppm: finding.objective_ppm,
            candidate: finding.candidate,
            stable: finding.stable,
            against: finding.against,
            proof: finding.proof,
            verdict,
            why: why.chars().take(LONGEST).collect(),
            missing: finding.lack,
            spending: finding.spending.map(|spending| spending.to_string()),
        }
    }
}
