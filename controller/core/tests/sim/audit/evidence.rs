//! 2. A candidate's weight grows only after a Pass on data gathered since its present weight was in force.
//! 5. Inconclusive never promotes. A metrics outage alone never fails a rollout before its deadline.

use chrono::TimeDelta;
use sluice_core::{Action, Counts, Effect, RevisionName, Sample, Time, Weight};

use super::{Look, holdback};

/// 2: it baked, the data covers the bake, and shows no regression.
pub(super) fn passes(look: &Look<'_>) -> Result<(), (u8, String)> {
    let Some((candidate, held)) = look.grown_candidate().filter(|(_, held)| !held.is_zero()) else {
        return Ok(());
    };
    let facts = look.facts;
    if look.seen.blocked.is_some() {
        return Err((2, format!("{candidate} grows beside another route")));
    }
    let Some(since) = facts.weight_at else {
        return Err((
            2,
            format!("{candidate} grows, and its weight was never written"),
        ));
    };
    let step = facts.plan.steps.iter().find(|step| step.weight() == held);
    // A newer template ends a holdback early.
    let target = look.seen.target.as_ref();
    let newer = target.is_some_and(|target| target.revision != *candidate);
    let step = step.filter(|step| !(step.holdback && newer));
    let baked = since + step.map(sluice_core::Step::bake).unwrap_or_default();
    if look.now < baked {
        return Err((
            2,
            format!("{candidate} leaves {held} before its bake ended"),
        ));
    }
    let samples = &look.seen.evidence.samples;
    if samples.last().is_none_or(|last| last.at < baked) {
        return Err((2, format!("{candidate} leaves {held} on data from before")));
    }
    match regression(look, candidate) {
        Some(text) => Err((2, format!("{candidate} leaves {held} in spite of {text}"))),
        None => Ok(()),
    }
}

/// 5: there was data, it is fresh, and it is enough; and only data fails.
pub(super) fn conclusive(look: &Look<'_>) -> Result<(), (u8, String)> {
    rejects_with_reason(look)?;
    let Some((candidate, held)) = look.grown_candidate().filter(|(_, held)| !held.is_zero()) else {
        return Ok(());
    };
    let evidence = &look.seen.evidence;
    if evidence.is_stale(look.now) || evidence.candidate.as_ref() != Some(candidate) {
        return Err((5, format!("{candidate} leaves {held} without metrics")));
    }
    let samples = &evidence.samples;
    let fresh = look.facts.weight_at.and_then(|at| bounds(samples, at));
    if fresh.is_none_or(|(base, last)| last.candidate.requests == base.candidate.requests) {
        return Err((5, format!("{candidate} leaves {held} without traffic")));
    }
    // Over the rollout, even if the candidate lost its weight in between.
    let rollout = look.before.rollout.as_ref();
    let first = rollout.and_then(|rollout| rollout.first_weight_at);
    let before = samples
        .iter()
        .rev()
        .find(|sample| first.is_some_and(|first| sample.at <= first));
    let base = before
        .or(samples.first())
        .map_or(0, |sample| sample.candidate.requests);
    let requests = samples
        .last()
        .map_or(0, |last| last.candidate.requests - base);
    if requests < look.facts.plan.min_requests {
        return Err((5, format!("{candidate} leaves {held} on too few requests")));
    }
    Ok(())
}

/// A verdict needs bad events, an order, or a deadline that is really over.
fn rejects_with_reason(look: &Look<'_>) -> Result<(), (u8, String)> {
    let facts = look.facts;
    for effect in &look.decision.effects {
        let Effect::Remember { revision, record } = effect else {
            continue;
        };
        let evidence = &look.seen.evidence;
        let last = evidence.samples.last();
        let bad = last.is_some_and(|last| bad(&last.candidate) >= 3);
        let waited = |at: Option<Time>| at.map_or(TimeDelta::zero(), |at| look.now - at);
        // A write whose answer was lost cannot be known as long as the caches lag behind it, and no more once others
        // deleted what it wrote.
        let route = look.seen.route.as_ref();
        let rollout = look.before.rollout.as_ref();
        let started = rollout.map(|rollout| rollout.started_at);
        let unknown = route.map_or_else(
            || rollout.is_none_or(|rollout| rollout.weight.is_zero()),
            |route| {
                let has = route.weight(revision);
                route.foreign_writer.is_none() && has < facts.weight(revision)
            },
        );
        let grew = facts
            .grown_at
            .filter(|_| !facts.weight(revision).is_zero() && !unknown)
            .or(started);
        let allowed = match record.reason.as_str() {
            _ if !record.is_rejected() => true,
            _ if is_ordered(look, revision) => true,
            reason if reason.starts_with("no progress") => {
                let deadline = facts.plan.progress_deadline;
                let hindered = facts.hindered_at;
                waited(grew) >= deadline && hindered.is_none_or(|at| look.now - at >= deadline / 2)
            }
            reason if reason.starts_with("inconclusive") => {
                facts.plan.inconclusive_action == Action::Rollback
                    && (unknown || !holdback::is_reached(facts, revision))
                    && waited(grew) >= facts.plan.inconclusive_after
                    && waited(facts.awaited_at.or(grew)) >= facts.plan.inconclusive_after
            }
            _ => bad && evidence.candidate.as_ref() == Some(revision),
        };
        if !allowed {
            return Err((5, format!("{revision} is rejected: {}", record.reason)));
        }
    }
    Ok(())
}

/// Whether a person ordered the revision away.
fn is_ordered(look: &Look<'_>, revision: &RevisionName) -> bool {
    super::approval::is_ordered(look.seen.orders.abort.as_ref(), revision)
}

/// What scrapes must show together where a candidate goes bad late. Proof is 200 with one SLO. The money is spread over
/// five accounts, and of what was kept back until then about a two-thousandth is put in play in a scrape: after 40 of
/// them and four larger weights a twentieth is left, of which an 80th is added.
const BEYOND_DOUBT: f64 = 200.0 * 5.0 * 2000.0;

/// What is allowed to be bad where the plan states no objective.
const TOLERATED: f64 = 0.001;

/// What is wrong with a candidate beyond any doubt, since it got its first weight: in three scrapes or more, with none
/// between them in which it kept within its objective, a fifth of its requests was bad, and almost none of the stable
/// revision's, and together they show enough. What an earlier burst showed is not counted: it is made up for in the calm
/// behind it. What was bad in one scrape may be one burst too, so each shows no more than the stable revision's requests
/// in it can: that these alone were spared is so likely by chance. Of a stable revision that was down itself nothing is
/// claimed: what it did then speaks for the candidate, and is made up for by and by.
pub(super) fn regression(look: &Look<'_>, candidate: &RevisionName) -> Option<String> {
    let evidence = &look.seen.evidence;
    let followed = evidence.candidate.as_ref() == Some(candidate);
    if !followed || look.facts.weight(candidate).is_zero() {
        return None;
    }
    let (base, last) = bounds(&evidence.samples, look.facts.first_weight_at?)?;
    let allowed = allowed(look);
    let pairs = evidence.samples.windows(2);
    let mut in_a_row = Vec::new();
    for pair in pairs.filter(|pair| pair[0].at >= base.at) {
        if is_calm(&pair[0], &pair[1], allowed) {
            in_a_row.clear();
        }
        in_a_row.extend(shown(&pair[0], &pair[1], allowed));
    }
    let (requests, bad) = since(&last.candidate, &base.candidate);
    let (other_requests, other_bad) = since(&last.stable, &base.stable);
    let alone = other_bad * 50 < other_requests;
    let enough = in_a_row.len() >= 3 && in_a_row.iter().product::<f64>() >= BEYOND_DOUBT;
    (enough && alone).then(|| format!("{bad} bad of {requests} requests"))
}

/// The share of the requests that may be bad.
fn allowed(look: &Look<'_>) -> f64 {
    let objective = look.facts.plan.slos[0].objective_ppm;
    objective.map_or(TOLERATED, |ppm| 1.0 - f64::from(ppm) / 1e6)
}

/// Whether the candidate had requests in one scrape, and kept within what is allowed.
#[allow(clippy::cast_precision_loss)]
fn is_calm(earlier: &Sample, later: &Sample, allowed: f64) -> bool {
    let (requests, bad) = since(&later.candidate, &earlier.candidate);
    requests > 0 && (bad as f64) < requests as f64 * allowed
}

/// How many times as bad as the stable revision, and as is allowed, the candidate was in one scrape, as far as that
/// shows, if it was terrible, and alone: a Fail takes proof of both.
#[allow(clippy::cast_precision_loss)]
fn shown(earlier: &Sample, later: &Sample, allowed: f64) -> Option<f64> {
    let (requests, bad) = since(&later.candidate, &earlier.candidate);
    let (other_requests, other_bad) = since(&later.stable, &earlier.stable);
    let terrible = bad >= 5 && bad * 5 > requests;
    let alone = other_requests >= 50 && other_bad * 100 < other_requests;
    let takes_part = other_requests * 10 > requests;
    let like = (other_bad + 1) as f64 / (other_requests + 1) as f64;
    (terrible && alone && takes_part).then(|| bad as f64 / requests as f64 / like.max(allowed))
}

fn since(last: &Counts, base: &Counts) -> (u64, u64) {
    (last.requests - base.requests, bad(last) - bad(base))
}

fn bad(counts: &Counts) -> u64 {
    counts.slos[0].total - counts.slos[0].good
}

/// The samples that bound the events after `since`.
fn bounds(samples: &[Sample], since: Time) -> Option<(&Sample, &Sample)> {
    Some((
        samples.iter().find(|sample| sample.at >= since)?,
        samples.last()?,
    ))
}

/// Whether a decision leaves a revision without traffic.
pub(super) fn has_no_weight(look: &Look<'_>, candidate: &RevisionName) -> bool {
    if look.decision.effects.contains(&Effect::Unroute) {
        return true;
    }
    let routed = look.routing().map(|routing| &routing.weights);
    let weights = routed.or(look.seen.route.as_ref().map(|route| &route.weights));
    weights
        .and_then(|weights| weights.get(candidate))
        .is_none_or(|w| *w == Weight::ZERO)
}
