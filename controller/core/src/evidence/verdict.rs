//! Judging the SLOs of a plan: Pass, Fail or Inconclusive.
//!
//! A Fail takes proof ([`super::trial`]): of [`FALSE_ALARMS`] of all rollouts whose candidate is innocent at
//! most one is failed, looked at after every scrape, all SLOs together. A Pass is no proof that a release is
//! good, which nobody can give; it says that enough requests were seen since the present weight is in
//! force and that they leave no doubt ([`super::doubt`]).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::budget::{Bill, Spending};
use super::doubt::{Comparison, doubt};
use super::explain::explain;
use super::trial::{Against, Terms, Trial};
use super::{Evidence, Lack, Takes, Tally, Why, Window};
use crate::{Indicator, Plan, Slo, Time};

/// Of so many rollouts of innocent candidates at most one is failed.
const FALSE_ALARMS: u32 = 100;
/// A value was looked at too rarely to pass below this many windows.
const FEWEST_VALUES: u64 = 3;
/// Connections that last are few: a healthy candidate may be served by a single one for hours, and one whose
/// connections fail has a new one for every attempt. So many over the rollout are enough, if none fails.
const FEWEST_CONNECTIONS: u64 = 1;
/// Without an objective, what is forgiven of a candidate: of its answers one in a thousand may be bad...
const TOLERATED: f64 = 0.001;
/// ...and one in a hundred slow, given up by the client, or lost with its connection: that depends on more than the
/// candidate.
const TOLERATED_SLOW: f64 = 0.01;

/// What was found of one SLO.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
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
    pub against: Against,
    /// The evidence that is proof, of both.
    pub proof: u64,
    /// What is missing to a Pass, where that can be counted.
    pub lack: Option<Lack>,
    /// What the candidate cost of the error budget, where that is limited and the traffic of the past is known.
    pub spending: Option<Spending>,
    /// What follows.
    pub verdict: Verdict,
}

/// What follows from the events.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
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
    /// It passed every step, and this is its holdback: what was in doubt before was cleared then, as an incident
    /// is once it is over. Where the stable revision has next to no traffic that cannot be told again.
    pub passed: bool,
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
        fresh: since.proven.map(|at| Fresh::of(evidence, at)),
        // It is read on another beat, and missed only after so long: a sample may lack as much.
        fresh_below: since
            .proven
            .and_then(|at| at.checked_add_signed(evidence.stale_after))
            .map(|at| Fresh::of(evidence, at)),
        passed: since.passed,
        pace: since.proven.and_then(|at| evidence.pace_since(at)),
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
        for (index, (slo, trial)) in plan.slos.iter().zip(&mut trials).enumerate() {
            let (candidate, stable) = (scrape.candidate.slo(index), scrape.stable.slo(index));
            if slo.indicator.is_layer4() {
                let requests = (scrape.candidate.requests, scrape.stable.requests);
                trial.carried(candidate, stable, requests);
            } else {
                trial.scrape(candidate, stable);
            }
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
        Indicator::Latency { .. } | Indicator::Connections | Indicator::Flows => TOLERATED_SLOW,
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
    /// Those since its present weight is proven, and of these what is surely so on layer 4.
    fresh: Option<Fresh>,
    fresh_below: Option<Fresh>,
    passed: bool,
    /// Requests of the candidate in a second since then.
    pace: Option<f64>,
    silence: Silence,
    gaps: &'a BTreeMap<String, String>,
}

/// The events since the present weight is proven, and the same scrape by scrape.
struct Fresh {
    all: Window,
    scrapes: Vec<Window>,
}

impl Fresh {
    fn of(evidence: &Evidence, since: Time) -> Self {
        Self {
            all: evidence.only_since(since),
            scrapes: evidence.scrapes_only_since(since),
        }
    }
}

impl Case<'_> {
    fn finding(&self, index: usize, slo: &Slo, trial: &Trial, proof: u32) -> Finding {
        let (candidate, stable) = (self.all.candidate.slo(index), self.all.stable.slo(index));
        let verdict = if trial.is_proven() {
            let whole = Comparison::of(&tallies(&self.scrapes, index));
            let stable = whole.is_relative().then_some(stable);
            Verdict::Fail(explain(
                slo.indicator.noun(),
                slo.objective_ppm,
                candidate,
                stable,
            ))
        } else {
            match self.obstacle(index, slo, trial) {
                Some(why) => Verdict::Inconclusive(why),
                None => Verdict::Pass,
            }
        };
        Finding {
            slo: slo.name.clone(),
            objective_ppm: slo.objective_ppm,
            candidate,
            stable,
            against: trial.against(),
            proof: proof.into(),
            lack: match &verdict {
                Verdict::Inconclusive(why) => why.lack(self.pace),
                Verdict::Pass | Verdict::Fail(_) => None,
            },
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
    fn obstacle(&self, index: usize, slo: &Slo, trial: &Trial) -> Option<Why> {
        if self.silence.stale {
            return Some(self.silence.why());
        }
        let layer4 = slo.indicator.is_layer4();
        let fresh = if layer4 {
            &self.fresh_below
        } else {
            &self.fresh
        };
        let Some(fresh) = fresh else {
            return Some(Why::Unproven);
        };
        if let Some(gap) = self.gaps.get(&slo.name) {
            return Some(Why::NoData(Some(gap.clone())));
        }
        let (all, requests) = (&self.all, fresh.all.candidate.requests);
        if requests == 0 {
            let anywhere = all.stable.requests > 0 || all.candidate.requests > 0;
            return Some(Why::NoTraffic { anywhere });
        }
        let (candidate, counted) = (fresh.all.candidate.slo(index), all.candidate.slo(index));
        let is_value = slo.indicator == Indicator::Value;
        if candidate.total < FEWEST_VALUES && is_value {
            let (slo, have) = (slo.name.clone(), candidate.total);
            let need = FEWEST_VALUES;
            return Some(Why::TooFewValues { slo, have, need });
        }
        if layer4 && counted.total < FEWEST_CONNECTIONS {
            let (slo, indicator) = (slo.name.clone(), slo.indicator);
            let requests = all.candidate.requests;
            return Some(Why::NoConnection {
                slo,
                indicator,
                requests,
            });
        }
        if candidate.total == 0 && !layer4 {
            let slo = slo.name.clone();
            return Some(Why::NothingCounted { slo, requests });
        }
        let have = if is_value || layer4 {
            all.candidate.requests
        } else {
            all.candidate.requests.min(counted.total)
        };
        let need = self.plan.min_requests;
        if have < need {
            return Some(Why::TooFewRequests { have, need });
        }
        // What was in doubt before a holdback was cleared then.
        let before = (!self.passed).then_some(&self.scrapes);
        let before = before.map(|scrapes| tallies(scrapes, index));
        let fresh = tallies(&fresh.scrapes, index);
        doubt(slo, before.as_deref(), &fresh, trial).map(|doubt| doubt.why(slo, counted))
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
            against: trial.against(),
            proof: proof.into(),
            lack: None,
            spending: None,
            verdict: Verdict::Fail(explain("requests", None, candidate, Some(stable))),
        })
    }
}

/// The events of one SLO scrape by scrape: of the candidate, and of the stable revision.
fn tallies(scrapes: &[Window], index: usize) -> Vec<(Tally, Tally)> {
    let both = |scrape: &Window| (scrape.candidate.slo(index), scrape.stable.slo(index));
    scrapes.iter().map(both).collect()
}

/// Whether the source fell silent, and what it said.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Silence {
    /// No sample for too long.
    pub stale: bool,
    /// When the last one was, if there ever was one.
    pub since: Option<Time>,
    /// Why, verbatim.
    pub problem: Option<String>,
}

impl Silence {
    /// Why nothing follows from what there is.
    pub(crate) fn why(&self) -> Why {
        match (&self.problem, self.since) {
            (None, Some(since)) if self.stale => Why::Stale { since },
            (problem, _) => Why::NoData(problem.clone()),
        }
    }
}

impl Evidence {
    /// Whether the source fell silent, and what it said.
    #[must_use]
    pub fn silence(&self, now: Time) -> Silence {
        Silence {
            stale: self.is_stale(now),
            since: self.samples.last().map(|sample| sample.at),
            problem: self.problem.clone(),
        }
    }
}
