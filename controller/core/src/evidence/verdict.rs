//! Judging a ratio: Pass, Fail or Inconclusive.
//!
//! A share of bad events is held against a reference by the Chernoff bound for a binomial tail: with
//! `n` events of which a share `p` is bad, and a reference share `q < p`,
//! `P(that many or more | q) <= exp(-n * KL(p || q))`, where
//! `KL(p || q) = p ln(p/q) + (1-p) ln((1-p)/(1-q))` (Hoeffding 1963, theorem 1). We call
//! `n * KL(p || q)` the *strength* of the evidence, in nats.
//!
//! - Against the objective, `q` is the share of bad events that it allows.
//! - Against the stable revision, only bad events are looked at: if both revisions were equally good,
//!   the candidate's share of them would be its share of the events. An incident that hits both leaves
//!   that share as it is, so it cancels out.

use crate::evidence::{Tally, Window};
use crate::{Plan, Time};

/// Strength from which a regression counts as proven: chance alone goes that far in less than one of
/// 10,000 looks. Every scrape is a look, hence so few.
const FAIL_STRENGTH: f64 = 9.21;
/// Strength below which a ratio counts as no worse than its reference: chance alone goes that far in
/// one of five looks.
const PASS_STRENGTH: f64 = 1.61;
/// Fewer bad events than this never fail a revision, whatever the ratio.
const FEWEST_BAD: u64 = 3;
/// The stable revision is a fair comparison from so many events on...
const FEWEST_COMPARED: u64 = 20;
/// ...and from this fraction of the candidate's events on.
const COMPARED_FRACTION: u64 = 20;

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

/// Why nothing follows.
#[derive(Clone, Debug, PartialEq)]
pub enum Why {
    /// The source gives nothing: its error, verbatim.
    NoData(Option<String>),
    /// The candidate got no request since its weight is in force.
    NoTraffic {
        /// Whether there was any request at all in this rollout.
        anywhere: bool,
    },
    /// The candidate got requests, and the source counted none of them for this SLO: no answer, or no
    /// histogram.
    NothingCounted {
        /// The SLO.
        slo: String,
        /// Requests of the candidate.
        requests: u64,
    },
    /// Fewer requests than `minRequests`.
    TooFewRequests {
        /// Of the candidate, over the rollout.
        have: u64,
        /// `minRequests`.
        need: u64,
    },
    /// There is no objective, and the stable revision got too little traffic to compare with.
    NoComparison {
        /// The SLO.
        slo: String,
    },
    /// Worse than it should be, but chance may explain it.
    Unclear {
        /// The SLO.
        slo: String,
        /// Bad events of the candidate.
        bad: u64,
        /// All its events.
        total: u64,
    },
    /// The objective is missed, but not because of the candidate: the stable revision misses it too.
    Incident {
        /// The SLO.
        slo: String,
    },
}

impl std::fmt::Display for Why {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoData(Some(problem)) => write!(f, "the metrics source gives no data: {problem}"),
            Self::NoData(None) => write!(f, "the metrics source gives no data"),
            Self::NoTraffic { anywhere } => {
                write!(
                    f,
                    "the candidate got no request since its weight is in force"
                )?;
                if !anywhere {
                    write!(f, ", nor did the stable revision: is the waypoint scraped?")?;
                }
                Ok(())
            }
            Self::NothingCounted { slo, requests } => write!(
                f,
                "{slo}: the candidate got {requests} requests, and none was counted"
            ),
            Self::TooFewRequests { have, need } => {
                write!(
                    f,
                    "the candidate got {have} of the {need} requests that minRequests asks"
                )
            }
            Self::NoComparison { slo } => write!(
                f,
                "{slo} has no objective, and the stable revision gets too little traffic to compare"
            ),
            Self::Unclear { slo, bad, total } => {
                write!(
                    f,
                    "{slo}: {bad} of {total} requests were bad, which chance may explain"
                )
            }
            Self::Incident { slo } => {
                write!(f, "{slo}: the stable revision misses the objective as well")
            }
        }
    }
}

/// Judges every SLO of a plan.
///
/// `all` holds the events since the candidate first got traffic; a regression in it fails. `fresh`
/// holds those since the present weight is proven; only with it anything passes. `stale` says that
/// the source fell silent, `problem` why.
#[must_use]
pub fn judge(plan: &Plan, all: &Window, fresh: Option<&Window>, silence: &Silence) -> Vec<Finding> {
    let slos = plan.slos.iter().enumerate();
    let findings = slos.map(|(index, slo)| {
        let candidate = all.candidate.slo(index);
        let stable = all.stable.slo(index);
        let whole = Comparison::of(slo.objective_ppm, candidate, stable);
        let recent = fresh.map(|window| {
            Comparison::of(
                slo.objective_ppm,
                window.candidate.slo(index),
                window.stable.slo(index),
            )
        });
        let failed = [Some(&whole), recent.as_ref()]
            .into_iter()
            .flatten()
            .find(|c| c.fails());
        let verdict = match failed {
            Some(comparison) => Verdict::Fail(comparison.explain()),
            None => pass(
                plan,
                &slo.name,
                &whole,
                recent.as_ref(),
                (all, fresh),
                silence,
            ),
        };
        Finding {
            slo: slo.name.clone(),
            objective_ppm: slo.objective_ppm,
            candidate,
            stable,
            verdict,
        }
    });
    findings.chain(unanswered(all)).collect()
}

/// A candidate that hangs answers nothing bad. Clients give up on healthy services too, so only the
/// comparison with the stable revision tells.
fn unanswered(all: &Window) -> Option<Finding> {
    let (candidate, stable) = (all.candidate.answers(), all.stable.answers());
    let comparison = Comparison::of(None, candidate, stable);
    comparison.fails().then(|| Finding {
        slo: "answers".to_owned(),
        objective_ppm: None,
        candidate,
        stable,
        verdict: Verdict::Fail(comparison.explain()),
    })
}

/// Whether the source fell silent, and what it said.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Silence {
    /// No sample for too long.
    pub stale: bool,
    /// Why, verbatim.
    pub problem: Option<String>,
}

impl super::Evidence {
    /// Whether the source fell silent, and what it said.
    #[must_use]
    pub fn silence(&self, now: Time) -> Silence {
        Silence {
            stale: self.is_stale(now),
            problem: self.problem.clone(),
        }
    }
}

fn pass(
    plan: &Plan,
    slo: &str,
    whole: &Comparison,
    recent: Option<&Comparison>,
    (all, fresh): (&Window, Option<&Window>),
    silence: &Silence,
) -> Verdict {
    let (Some(recent), Some(fresh)) = (recent, fresh) else {
        return Verdict::Inconclusive(Why::NoData(silence.problem.clone()));
    };
    if silence.stale {
        return Verdict::Inconclusive(Why::NoData(silence.problem.clone()));
    }
    if fresh.candidate.requests == 0 {
        let anywhere = all.stable.requests > 0 || all.candidate.requests > 0;
        return Verdict::Inconclusive(Why::NoTraffic { anywhere });
    }
    if recent.candidate.total == 0 {
        let requests = fresh.candidate.requests;
        return Verdict::Inconclusive(Why::NothingCounted {
            slo: slo.to_owned(),
            requests,
        });
    }
    let have = all.candidate.requests.min(whole.candidate.total);
    if have < plan.min_requests {
        return Verdict::Inconclusive(Why::TooFewRequests {
            have,
            need: plan.min_requests,
        });
    }
    for comparison in [whole, recent] {
        if let Some(why) = comparison.doubt(slo) {
            return Verdict::Inconclusive(why);
        }
    }
    Verdict::Pass
}

/// One ratio held against its references.
struct Comparison {
    candidate: Tally,
    stable: Tally,
    objective_ppm: Option<u32>,
    /// Strength of the evidence that the objective is missed.
    absolute: Option<f64>,
    /// Strength of the evidence that the candidate is worse than the stable revision; `None` where
    /// the two cannot be compared.
    relative: Option<f64>,
}

impl Comparison {
    fn of(objective_ppm: Option<u32>, candidate: Tally, stable: Tally) -> Self {
        let comparable = stable.total >= FEWEST_COMPARED
            && stable.total.saturating_mul(COMPARED_FRACTION) >= candidate.total;
        let allowed = |ppm: u32| f64::from(1_000_000_u32.saturating_sub(ppm)) / 1e6;
        let bad = candidate.bad().saturating_add(stable.bad());
        let total = candidate.total.saturating_add(stable.total);
        Self {
            candidate,
            stable,
            objective_ppm,
            absolute: objective_ppm
                .map(|ppm| strength(candidate.bad(), candidate.total, allowed(ppm))),
            relative: comparable
                .then(|| strength(candidate.bad(), bad, ratio(candidate.total, total))),
        }
    }

    fn fails(&self) -> bool {
        let proven = |strength: f64| strength >= FAIL_STRENGTH;
        self.candidate.bad() >= FEWEST_BAD
            && match (self.absolute, self.relative) {
                (Some(absolute), Some(relative)) => proven(absolute) && proven(relative),
                (Some(one), None) | (None, Some(one)) => proven(one),
                (None, None) => false,
            }
    }

    /// Why a ratio that does not fail does not pass either.
    fn doubt(&self, slo: &str) -> Option<Why> {
        let doubtful = |strength: f64| strength > PASS_STRENGTH;
        let slo = slo.to_owned();
        match (self.absolute, self.relative) {
            (None, None) => Some(Why::NoComparison { slo }),
            (Some(absolute), Some(relative)) if doubtful(absolute) && !doubtful(relative) => {
                Some(Why::Incident { slo })
            }
            (Some(one), _) | (None, Some(one)) if doubtful(one) => Some(Why::Unclear {
                slo,
                bad: self.candidate.bad(),
                total: self.candidate.total,
            }),
            _ => None,
        }
    }

    fn explain(&self) -> String {
        let (candidate, stable) = (self.candidate, self.stable);
        let (good, total, share) = (candidate.good, candidate.total, percent(candidate));
        let objective = self.objective_ppm.map(|ppm| {
            let objective = percent(Tally {
                good: ppm.into(),
                total: 1_000_000,
            });
            format!(", the objective is {objective}")
        });
        let compared = self
            .relative
            .map(|_| format!(", the stable revision had {}", percent(stable)));
        format!(
            "{good} of {total} requests were good ({share}){}{}",
            objective.unwrap_or_default(),
            compared.unwrap_or_default()
        )
    }
}

/// Strength of the evidence, in nats, that more than a share `allowed` is bad; 0 where it is not.
fn strength(bad: u64, total: u64, allowed: f64) -> f64 {
    if bad == 0 || total == 0 {
        return 0.0;
    }
    let share = ratio(bad, total);
    if share <= allowed {
        return 0.0;
    }
    // An allowance of nothing at all would make one bad event infinitely strong evidence.
    let allowed = allowed.clamp(1e-9, 1.0 - 1e-9);
    let rest = if share < 1.0 {
        (1.0 - share) * ((1.0 - share) / (1.0 - allowed)).ln()
    } else {
        0.0
    };
    count(total) * (share * (share / allowed).ln() + rest)
}

fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        0.0
    } else {
        count(part) / count(whole)
    }
}

/// A count of events as a real number. Above 2^53 the last digits are lost, which no ratio notices.
#[allow(clippy::cast_precision_loss)]
fn count(events: u64) -> f64 {
    events as f64
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
