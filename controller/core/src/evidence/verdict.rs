//! Judging the SLOs of a plan: Pass, Fail or Inconclusive.
//!
//! A Fail takes proof ([`super::trial`]): of [`FALSE_ALARMS`] of all rollouts whose candidate is innocent at
//! most one is failed, looked at after every scrape, all SLOs together. A Pass is no proof that a release is
//! good, which nobody can give; it says that enough requests were seen since the present weight is in
//! force and that they leave no doubt ([`super::doubt`]).

use std::collections::BTreeMap;

use super::budget::{Bill, Spending};
use super::doubt::{Comparison, Doubt};
use super::traffic::Takes;
use super::trial::{Terms, Trial};
use super::{Evidence, Tally, Why, Window};
use crate::{Indicator, Plan, Slo, Time};

/// Of so many rollouts of innocent candidates at most one is failed.
const FALSE_ALARMS: u32 = 100;
/// With so much evidence against it, nothing passes. Of innocent candidates one in three gets so far at any
/// time, far fewer at the time when they could pass.
const DOUBTFUL: f64 = 3.0;
/// A value was looked at too rarely to pass below this many windows.
const FEWEST_VALUES: u64 = 3;
/// An incident is over when nothing was left of it in so many scrapes: at 15 s, for two minutes.
const INCIDENT_SCRAPES: usize = 8;
/// Without an objective, what is forgiven of a candidate: of its answers one in a thousand may be bad...
const TOLERATED: f64 = 0.001;
/// ...and one in a hundred slow, or given up by the client: that depends on more than the candidate.
const TOLERATED_SLOW: f64 = 0.01;

/// What was found of one SLO.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// The SLO's name.
    pub slo: String,
    /// Its objective, in parts per million of good events.
    pub objective_ppm: Option<u32>,
    /// The candidate's events since it first got traffic.
    pub candidate: Tally,
    /// The stable revision's events over the same scrapes.
    pub stable: Tally,
    /// The evidence against the candidate now; without any it is 1 or less.
    pub evidence: u64,
    /// The evidence that is proof.
    pub proof: u64,
    /// What the candidate cost of the error budget, where that is limited and the traffic of the past is known.
    pub spending: Option<Spending>,
    /// What follows.
    pub verdict: Verdict,
}

/// What follows from the events.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// Enough events, and no sign of a regression.
    Pass,
    /// A regression that chance does not explain, in words.
    Fail(String),
    /// Neither.
    Inconclusive(Why),
}

/// Which data a candidate is judged by.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Since {
    /// When it first got traffic: whatever happens after that can fail it.
    pub first_weight: Time,
    /// When its present weight was proven; only what happened after that can pass it.
    pub proven: Option<Time>,
}

/// Judges every SLO of a plan. `expected` are the requests that its error budget is for.
#[must_use]
pub fn judge(
    plan: &Plan,
    evidence: &Evidence,
    since: Since,
    expected: Option<u64>,
    now: Time,
) -> Vec<Finding> {
    let case = Case {
        plan,
        all: evidence.at_least_since(since.first_weight),
        scrapes: evidence.scrapes_at_least_since(since.first_weight),
        fresh: since.proven.map(|at| evidence.only_since(at)),
        fresh_scrapes: since
            .proven
            .map_or_else(Vec::new, |at| evidence.scrapes_only_since(at)),
        silence: evidence.silence(now),
        gaps: &evidence.gaps,
    };
    let proof = proof(plan);
    let mut trials = trials(plan);
    let mut bills: Vec<_> = plan
        .slos
        .iter()
        .map(|slo| Bill::of(plan, slo, expected))
        .collect();
    let mut answers = Trial::new(Terms {
        allowed: TOLERATED_SLOW,
        stated: false,
        proof: f64::from(proof),
    });
    for scrape in &case.scrapes {
        for (index, trial) in trials.iter_mut().enumerate() {
            trial.scrape(scrape.candidate.slo(index), scrape.stable.slo(index));
        }
        for (index, bill) in bills.iter_mut().enumerate() {
            if let Some(bill) = bill {
                bill.scrape(scrape.candidate.slo(index), scrape.stable.slo(index));
            }
        }
        answers.scrape(scrape.candidate.answers(), scrape.stable.answers());
    }
    let slos = plan.slos.iter().zip(trials.iter().zip(&bills)).enumerate();
    let findings = slos.map(|(index, (slo, (trial, bill)))| {
        let finding = case.finding(index, slo, trial, proof);
        case.charge(finding, bill.as_ref())
    });
    findings.chain(case.unanswered(&answers, proof)).collect()
}

/// The trials of a plan's SLOs, in their order, without evidence yet.
pub(super) fn trials(plan: &Plan) -> Vec<Trial> {
    let proof = proof(plan);
    plan.slos.iter().map(|slo| terms(slo, proof)).collect()
}

/// The evidence that is proof: false alarms are divided among the SLOs and the answers.
fn proof(plan: &Plan) -> u32 {
    let trials = u32::try_from(plan.slos.len())
        .unwrap_or(u32::MAX)
        .saturating_add(1);
    FALSE_ALARMS.saturating_mul(trials)
}

fn terms(slo: &Slo, proof: u32) -> Trial {
    let tolerated = match slo.indicator {
        Indicator::Availability | Indicator::Events | Indicator::Value => TOLERATED,
        Indicator::Latency { .. } => TOLERATED_SLOW,
    };
    let allowed = |ppm: u32| f64::from(1_000_000_u32.saturating_sub(ppm)) / 1e6;
    Trial::new(Terms {
        allowed: slo.objective_ppm.map_or(tolerated, allowed),
        stated: slo.objective_ppm.is_some(),
        proof: f64::from(proof),
    })
}

/// What the SLOs of one candidate have in common.
struct Case<'a> {
    plan: &'a Plan,
    /// The events since the candidate first got traffic, and the same scrape by scrape.
    all: Window,
    scrapes: Vec<Window>,
    /// Those since its present weight is proven.
    fresh: Option<Window>,
    fresh_scrapes: Vec<Window>,
    silence: Silence,
    gaps: &'a BTreeMap<String, String>,
}

impl Case<'_> {
    fn finding(&self, index: usize, slo: &Slo, trial: &Trial, proof: u32) -> Finding {
        let (candidate, stable) = (self.all.candidate.slo(index), self.all.stable.slo(index));
        let whole = compare(&self.scrapes, index);
        let verdict = if trial.is_proven() {
            let stable = whole.is_relative().then_some(stable);
            let what = match slo.indicator {
                Indicator::Availability | Indicator::Latency { .. } => "requests",
                Indicator::Events => "events",
                Indicator::Value => "values",
            };
            Verdict::Fail(explain(what, slo.objective_ppm, candidate, stable))
        } else {
            match self.obstacle(index, slo, &whole, trial) {
                Some(why) => Verdict::Inconclusive(why),
                None => Verdict::Pass,
            }
        };
        Finding {
            slo: slo.name.clone(),
            objective_ppm: slo.objective_ppm,
            candidate,
            stable,
            evidence: whole_number(trial.evidence()),
            proof: proof.into(),
            spending: None,
            verdict,
        }
    }

    /// Adds what the candidate cost. Too much is a Fail, whatever is proven.
    fn charge(&self, finding: Finding, bill: Option<&Bill>) -> Finding {
        let Some((bill, limit)) = bill.zip(self.plan.error_budget) else {
            return finding;
        };
        let spending = bill.spending();
        let (candidate, stable) = (finding.candidate, finding.stable);
        let verdict = match finding.verdict {
            Verdict::Pass | Verdict::Inconclusive(_) if bill.is_spent() => {
                let stable = Some(stable).filter(|stable| stable.total > 0);
                let events = explain("requests", finding.objective_ppm, candidate, stable);
                let (spent, allowed) = (spending.spent(), spending.allowed());
                let period = Takes(Some(limit.period));
                Verdict::Fail(format!(
                    "{events}; what was bad spent {spent} of the error budget of {period}, of which a release \
                     may spend {allowed}"
                ))
            }
            verdict => verdict,
        };
        Finding {
            spending: Some(spending),
            verdict,
            ..finding
        }
    }

    /// What keeps an SLO from passing.
    fn obstacle(&self, index: usize, slo: &Slo, whole: &Comparison, trial: &Trial) -> Option<Why> {
        let Some(fresh) = self.fresh.as_ref().filter(|_| !self.silence.stale) else {
            return Some(Why::NoData(self.silence.problem.clone()));
        };
        if let Some(gap) = self.gaps.get(&slo.name) {
            return Some(Why::NoData(Some(gap.clone())));
        }
        let (all, requests) = (&self.all, fresh.candidate.requests);
        if requests == 0 {
            let anywhere = all.stable.requests > 0 || all.candidate.requests > 0;
            return Some(Why::NoTraffic { anywhere });
        }
        let candidate = fresh.candidate.slo(index);
        let is_value = slo.indicator == Indicator::Value;
        if candidate.total < FEWEST_VALUES && is_value {
            let (slo, have) = (slo.name.clone(), candidate.total);
            let need = FEWEST_VALUES;
            return Some(Why::TooFewValues { slo, have, need });
        }
        if candidate.total == 0 {
            let slo = slo.name.clone();
            return Some(Why::NothingCounted { slo, requests });
        }
        let counted = all.candidate.slo(index);
        let have = if is_value {
            all.candidate.requests
        } else {
            all.candidate.requests.min(counted.total)
        };
        let need = self.plan.min_requests;
        if have < need {
            return Some(Why::TooFewRequests { have, need });
        }
        self.doubt(index, slo, whole, trial)
            .map(|doubt| doubt.why(&slo.name, counted))
    }

    /// Whether the candidate looks worse than it should, long before that is proven. What it was up to in an
    /// incident is forgiven once that is over, if it did as the stable revision did.
    fn doubt(&self, index: usize, slo: &Slo, whole: &Comparison, trial: &Trial) -> Option<Doubt> {
        let fresh = compare(&self.fresh_scrapes, index);
        let latest = self.fresh_scrapes.len().saturating_sub(INCIDENT_SCRAPES);
        let latest = compare(self.fresh_scrapes.get(latest..).unwrap_or_default(), index);
        let over_time = [whole, &fresh].into_iter();
        let over_time = over_time.filter_map(|comparison| comparison.doubt(slo.objective_ppm));
        let incident = latest.doubt(slo.objective_ppm);
        // Too little of late to tell that it is over: values and rare events are few.
        let unknown = !latest.is_relative();
        over_time
            .filter(|doubt| unknown || !matches!(doubt, Doubt::Incident))
            .chain(incident.filter(|doubt| matches!(doubt, Doubt::Incident)))
            .chain((trial.evidence() >= DOUBTFUL).then_some(Doubt::Worse))
            .next()
    }

    /// A candidate that hangs answers nothing bad. Clients give up on healthy services too, so only the
    /// comparison with the stable revision tells.
    fn unanswered(&self, trial: &Trial, proof: u32) -> Option<Finding> {
        let (candidate, stable) = (self.all.candidate.answers(), self.all.stable.answers());
        trial.is_proven().then(|| Finding {
            slo: "answers".to_owned(),
            objective_ppm: None,
            candidate,
            stable,
            evidence: whole_number(trial.evidence()),
            proof: proof.into(),
            spending: None,
            verdict: Verdict::Fail(explain("requests", None, candidate, Some(stable))),
        })
    }
}

/// The ratios of one SLO over some scrapes.
fn compare(scrapes: &[Window], index: usize) -> Comparison {
    let tallies = |scrape: &Window| (scrape.candidate.slo(index), scrape.stable.slo(index));
    Comparison::of(scrapes.iter().map(tallies))
}

/// Whether the source fell silent, and what it said.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Silence {
    /// No sample for too long.
    pub stale: bool,
    /// Why, verbatim.
    pub problem: Option<String>,
}

impl Evidence {
    /// Whether the source fell silent, and what it said.
    #[must_use]
    pub fn silence(&self, now: Time) -> Silence {
        Silence {
            stale: self.is_stale(now),
            problem: self.problem.clone(),
        }
    }
}

fn explain(
    what: &str,
    objective_ppm: Option<u32>,
    candidate: Tally,
    stable: Option<Tally>,
) -> String {
    let (good, total, share) = (candidate.good, candidate.total, percent(candidate));
    let objective = objective_ppm.map(|ppm| {
        let objective = percent(Tally {
            good: ppm.into(),
            total: 1_000_000,
        });
        format!(", the objective is {objective}")
    });
    let compared = stable.map(|stable| format!(", the stable revision had {}", percent(stable)));
    format!(
        "{good} of {total} {what} were good ({share}){}{}",
        objective.unwrap_or_default(),
        compared.unwrap_or_default()
    )
}

/// Evidence in whole numbers, rounded down: nobody needs more of it.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn whole_number(evidence: f64) -> u64 {
    evidence as u64
}

/// The share of good events as a percentage with three decimals, rounded down: 99.9996 % is not 100 %.
#[must_use]
pub fn percent(tally: Tally) -> String {
    match tally.good_ppm() {
        Some(ppm) => {
            let thousandths = ppm / 10;
            format!("{}.{:03}%", thousandths / 1000, thousandths % 1000)
        }
        None => "no data".to_owned(),
    }
}
