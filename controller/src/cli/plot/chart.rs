//! The series that are drawn.

use sluice_core::{Tally, Time};

use crate::cli::timeline::{Moment, Timeline};

/// Seconds since the beginning, and a value.
pub(super) type Series = Vec<(f64, f64)>;

/// What is drawn.
pub(super) struct Chart {
    pub(super) begin: Time,
    pub(super) end: Time,
    /// From one to the other.
    pub(super) seconds: f64,
    /// The candidate's, between 0 and 1.
    pub(super) weight: Series,
    pub(super) slos: Vec<Slo>,
}

/// What is drawn of an SLO.
pub(super) struct Slo {
    pub(super) name: String,
    /// Against the candidate.
    pub(super) evidence: Series,
    /// As much of it as is proof.
    pub(super) proof: f64,
    /// The candidate's share of bad events since its first weight, between 0 and 1.
    pub(super) candidate: Series,
    /// The stable revision's.
    pub(super) stable: Series,
}

impl Chart {
    /// `None` where nothing happened.
    pub(super) fn of(timeline: &Timeline) -> Option<Self> {
        let (first, last) = (timeline.moments.first()?, timeline.moments.last()?);
        let begin = first.at;
        let since = |moment: &Moment| (moment.at - begin).as_seconds_f64();
        let weights = timeline.moments.iter();
        let weight = weights.map(|moment| (since(moment), moment.weight.fraction()));
        let mut slos: Vec<Slo> = Vec::new();
        for moment in &timeline.moments {
            for finding in &moment.findings {
                let index = slos.iter().position(|slo| slo.name == finding.slo);
                let index = index.unwrap_or_else(|| {
                    slos.push(Slo::new(&finding.slo, finding.proof));
                    slos.len() - 1
                });
                if let Some(slo) = slos.get_mut(index) {
                    let at = since(moment);
                    slo.evidence.push((at, real(finding.against.evidence())));
                    slo.candidate.push((at, bad(finding.candidate)));
                    slo.stable.push((at, bad(finding.stable)));
                }
            }
        }
        Some(Self {
            begin,
            end: last.at,
            seconds: since(last),
            weight: weight.collect(),
            slos,
        })
    }
}

impl Slo {
    fn new(name: &str, proof: u64) -> Self {
        Self {
            name: name.to_owned(),
            evidence: Vec::new(),
            proof: real(proof),
            candidate: Vec::new(),
            stable: Vec::new(),
        }
    }
}

fn bad(tally: Tally) -> f64 {
    if tally.total == 0 {
        0.0
    } else {
        real(tally.bad()) / real(tally.total)
    }
}

#[allow(clippy::cast_precision_loss, reason = "a picture is not that fine")]
fn real(number: u64) -> f64 {
    number as f64
}
