//! Whether a ratio looks worse than its reference, long before that is proven.
//!
//! To fail a release takes proof; to promote one, there must not even be a doubt. A share of bad events is
//! held against a reference by the Chernoff bound for a binomial tail: with `n` events of which a share `p`
//! is bad, and a reference share `q < p`, `P(that many or more | q) <= exp(-n * KL(p || q))`, where
//! `KL(p || q) = p ln(p/q) + (1-p) ln((1-p)/(1-q))` (Hoeffding 1963, theorem 1). We call `n * KL(p || q)` the
//! *strength* of the doubt, in nats. It takes events for independent, which they are not in a burst: then
//! there is doubt too soon, and a rollout waits for more requests where it need not.
//!
//! - Against the objective, `q` is the share of bad events that it allows.
//! - Against the stable revision, only bad events are looked at: if both revisions were equally good, the
//!   candidate's part of those of a scrape would be its part of the events. What it would be of all scrapes is
//!   added up scrape by scrape (as Mantel and Haenszel did, 1959), since the weight changes on the way. An
//!   incident that hits both leaves that part about as it is, so it cancels out.
//!
//! It does not do so exactly: what fails in an incident hangs together, and begins or ends a moment sooner for one
//! of the two. Once it is over, it is left out: of what happened while both revisions failed beyond doubt nothing can
//! be told of the release. Both must have, by one measure: left out by what the stable revision did alone, its bad
//! moments would go and the candidate's stay, and an innocent candidate would look worse with every scrape.

use super::real::{count, ratio};
use super::trial::Trial;
use super::{Tally, Why};
use crate::Slo;

/// With so much evidence against it, nothing passes. Of innocent candidates one in three gets so far at any
/// time, far fewer at the time when they could pass.
const DOUBTFUL: f64 = 3.0;
/// An incident is over when nothing was left of it in so many scrapes: at 15 s, for two minutes.
const INCIDENT_SCRAPES: usize = 8;
/// Strength with which each revision is worse than the stable one mostly is, in a scrape of an incident: chance alone
/// goes that far in less than one of a thousand.
const INCIDENT_STRENGTH: f64 = 7.0;

/// Strength below which a ratio counts as no worse than its reference: chance alone goes that far in
/// one of five looks.
const PASS_STRENGTH: f64 = 1.61;
/// The stable revision is a fair comparison from so many events on...
const FEWEST_COMPARED: u64 = 20;
/// ...and from this fraction of the candidate's events on.
const COMPARED_FRACTION: u64 = 20;

/// The ratios of both revisions over some scrapes.
#[derive(Default)]
pub(super) struct Comparison {
    candidate: Tally,
    stable: Tally,
    /// Bad events that the candidate would have if it were like the stable revision.
    expected: f64,
}

/// What a comparison says.
pub(super) enum Doubt {
    /// There is neither an objective nor enough traffic of the stable revision.
    NoComparison,
    /// The objective is missed, and the stable revision misses it as well.
    Incident,
    /// The candidate looks worse than it should.
    Worse,
}

impl Doubt {
    pub(super) fn why(&self, slo: &Slo, candidate: Tally) -> Why {
        let indicator = slo.indicator;
        let slo = slo.name.clone();
        match self {
            Self::NoComparison => Why::NoComparison { slo },
            Self::Incident => Why::Incident { slo },
            Self::Worse => Why::Unclear {
                slo,
                indicator,
                bad: candidate.bad(),
                total: candidate.total,
            },
        }
    }
}

impl Comparison {
    /// Of the events of the candidate and of the stable revision in every scrape.
    pub(super) fn of<'a>(scrapes: impl IntoIterator<Item = &'a (Tally, Tally)>) -> Self {
        let mut sum = Self::default();
        for &(candidate, stable) in scrapes {
            let bad = candidate.bad().saturating_add(stable.bad());
            let total = candidate.total.saturating_add(stable.total);
            sum.expected += count(bad) * ratio(candidate.total, total);
            sum.candidate = sum.candidate.and(candidate);
            sum.stable = sum.stable.and(stable);
        }
        sum
    }

    /// Whether the two revisions had enough events to be compared.
    pub(super) fn is_relative(&self) -> bool {
        self.stable.total >= FEWEST_COMPARED
            && self.stable.total.saturating_mul(COMPARED_FRACTION) >= self.candidate.total
    }

    /// Whether the candidate had no bad event.
    fn is_flawless(&self) -> bool {
        self.candidate.bad() == 0
    }

    /// What keeps ratios that do not fail from passing.
    fn doubt(&self, objective_ppm: Option<u32>) -> Option<Doubt> {
        let (candidate, stable) = (self.candidate, self.stable);
        let missed = objective_ppm.map(|ppm| {
            let allowed = f64::from(1_000_000_u32.saturating_sub(ppm)) / 1e6;
            strength(candidate.bad(), candidate.total, allowed) > PASS_STRENGTH
        });
        let worse = self.is_relative().then(|| {
            let bad = candidate.bad().saturating_add(stable.bad());
            let like = self.expected / count(bad.max(1));
            strength(candidate.bad(), bad, like) > PASS_STRENGTH
        });
        match (missed, worse) {
            (None, None) => Some(Doubt::NoComparison),
            (Some(true), Some(false)) => Some(Doubt::Incident),
            (Some(true), _) | (None, Some(true)) => Some(Doubt::Worse),
            _ => None,
        }
    }
}

/// Whether the candidate looks worse than it should, long before that is proven: in all scrapes, where these are
/// not cleared, and in those at its present weight. What it was up to in an incident is forgiven once that is over.
pub(super) fn doubt(
    slo: &Slo,
    all: Option<&[(Tally, Tally)]>,
    fresh: &[(Tally, Tally)],
    trial: &Trial,
) -> Option<Doubt> {
    let latest = fresh.len().saturating_sub(INCIDENT_SCRAPES);
    let latest = Comparison::of(fresh.get(latest..).unwrap_or_default());
    let over_time = all.into_iter().chain([fresh]).filter_map(|scrapes| {
        let comparison = outside_incidents(scrapes, trial.allowed());
        let doubt = comparison.doubt(slo.objective_ppm)?;
        // New connections may be too few to compare. Where none failed, there is nothing to compare either.
        let idle = slo.indicator.is_layer4() && comparison.is_flawless();
        (!idle || !matches!(doubt, Doubt::NoComparison)).then_some(doubt)
    });
    let incident = latest.doubt(slo.objective_ppm);
    // Too little of late to tell that it is over: values and rare events are few.
    let unknown = !latest.is_relative();
    over_time
        .filter(|doubt| unknown || !matches!(doubt, Doubt::Incident))
        .chain(incident.filter(|doubt| matches!(doubt, Doubt::Incident)))
        .chain((trial.evidence() >= DOUBTFUL).then_some(Doubt::Worse))
        .next()
}

/// The scrapes without those of an incident that is over, and without the ones beside them, in which one revision may
/// have met it and the other not yet, or no more. Where too little is left to compare, all of them.
fn outside_incidents(scrapes: &[(Tally, Tally)], allowed: f64) -> Comparison {
    let whole = Comparison::of(scrapes);
    // A stable revision that always misses its objective is in no incident.
    let usual = allowed.max(ratio(whole.stable.bad(), whole.stable.total));
    let fails = |one: Tally| strength(one.bad(), one.total, usual) > INCIDENT_STRENGTH;
    let hit = |&(candidate, stable): &(Tally, Tally)| fails(candidate) && fails(stable);
    let hits: Vec<bool> = scrapes.iter().map(hit).collect();
    let late = scrapes.len().saturating_sub(INCIDENT_SCRAPES);
    let calm = scrapes.iter().enumerate().filter(|&(at, _)| {
        let mut around = at.saturating_sub(1)..=at.saturating_add(1);
        at >= late || !around.any(|at| hits.get(at) == Some(&true))
    });
    let calm = Comparison::of(calm.map(|(_, scrape)| scrape));
    if calm.is_relative() { calm } else { whole }
}

/// Strength of the doubt, in nats, that more than a share `allowed` is bad; 0 where it is not.
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
