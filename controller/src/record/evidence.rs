//! What was found of an SLO, as the status keeps it, and back.

use sluice_core::Tally;
use sluice_core::evidence::{Against, Exhibit, Lack, Opinion};
use sluice_crds::{Evidence, Verdict};

/// For the status. The objective is in the pinned plan.
#[must_use]
pub fn write(exhibit: &Exhibit) -> Evidence {
    Evidence {
        slo: exhibit.slo.clone(),
        good: exhibit.candidate.good,
        total: exhibit.candidate.total,
        stable_good: exhibit.stable.good,
        stable_total: exhibit.stable.total,
        against_objective: exhibit.against.objective,
        against_stable: exhibit.against.stable,
        proof: exhibit.proof,
        error_budget: exhibit.spending.clone(),
        verdict: match exhibit.verdict {
            Opinion::Pass => Verdict::Pass,
            Opinion::Fail => Verdict::Fail,
            Opinion::Inconclusive => Verdict::Inconclusive,
        },
        why: Some(exhibit.why.clone()).filter(|why| !why.is_empty()),
        missing_events: exhibit.missing.map(|lack| lack.events),
        missing_seconds: exhibit.missing.and_then(|lack| lack.seconds),
    }
}

/// From the status; the objective is that of the pinned plan.
#[must_use]
pub fn read(evidence: &Evidence, objective_ppm: Option<u32>) -> Exhibit {
    Exhibit {
        slo: evidence.slo.clone(),
        objective_ppm,
        candidate: Tally {
            good: evidence.good,
            total: evidence.total,
        },
        stable: Tally {
            good: evidence.stable_good,
            total: evidence.stable_total,
        },
        against: Against {
            objective: evidence.against_objective,
            stable: evidence.against_stable,
        },
        proof: evidence.proof,
        verdict: match evidence.verdict {
            Verdict::Pass => Opinion::Pass,
            Verdict::Fail => Opinion::Fail,
            Verdict::Inconclusive => Opinion::Inconclusive,
        },
        why: evidence.why.clone().unwrap_or_default(),
        missing: evidence.missing_events.map(|events| Lack {
            events,
            seconds: evidence.missing_seconds,
        }),
        spending: evidence.error_budget.clone(),
    }
}
