//! Whether a step has passed: everything that it requires holds at the same time.

use crate::evidence::{Verdict, Why};
use crate::plan::Requirement;
use crate::state::{Consent, Rollout};
use crate::waiting::Waiting;

use super::prove::{is_measured, is_proven};
use super::turn::Turn;
use super::{approval, holdback};

/// Whether everything that a step requires holds; says what does not.
pub(super) fn passed(turn: &mut Turn<'_>, rollout: &mut Rollout, step: usize) -> bool {
    if !rollout.gated {
        return true;
    }
    if !is_proven(turn, rollout) {
        return false;
    }
    let Some((proven_at, step)) = rollout.proven_at.zip(rollout.plan.steps.get(step)) else {
        return rollout.plan.steps.get(step).is_none();
    };
    // The data must cover the whole bake as well; a source that fell silent is another matter.
    let evidence = &turn.world.evidence;
    let first = evidence.samples.first().filter(|_| step.is_gated());
    let since = first.map_or(proven_at, |first| first.at.max(proven_at));
    let baked = if step.holdback {
        holdback::ends(turn, rollout, step, since)
    } else {
        since + step.bake()
    };
    let covered = !step.is_gated()
        || evidence.is_stale(turn.now) && evidence.was_read()
        || evidence.samples.last().is_some_and(|last| last.at >= baked)
            && is_measured(turn, rollout);
    if turn.now < baked || !covered {
        if step.holdback {
            holdback::goes_on(turn, rollout, baked, None);
        } else {
            turn.wait(Waiting::Bake { until: baked });
        }
        if turn.now < baked {
            turn.wake(baked);
        }
        return false;
    }
    let holdback = step.holdback;
    let asks = step.requires.contains(&Requirement::Approval);
    let doubt = step
        .is_gated()
        .then(|| doubt(turn, rollout, baked))
        .flatten();
    // A person is asked once the evidence passed, and from then on whatever becomes of it: it must pass again
    // before the step does.
    let is_asked = asks && (doubt.is_none() || rollout.consent.is_some());
    if is_asked && !approval::is_given(turn, rollout, doubt.clone()) {
        return false;
    }
    let Some(why) = doubt else {
        return true;
    };
    if holdback {
        holdback::goes_on(turn, rollout, baked, Some(why));
    } else {
        stays_open(turn, rollout, baked, why);
    }
    false
}

/// Says that evidence is missing since the bake, or since a person was no longer waited for.
fn stays_open(turn: &mut Turn<'_>, rollout: &Rollout, baked: crate::Time, why: Why) {
    let since = match rollout.consent {
        Some(Consent::Given { at }) => baked.max(at),
        _ => baked,
    };
    let overdue_at = since + rollout.plan.inconclusive_after;
    let overdue = turn.now >= overdue_at;
    if !overdue {
        turn.wake(overdue_at);
    }
    turn.wait(Waiting::Evidence {
        why,
        since,
        overdue,
    });
}

/// Why a step's evidence does not pass it; `None` when it does.
fn doubt(turn: &Turn<'_>, rollout: &Rollout, baked: crate::Time) -> Option<Why> {
    let evidence = &turn.world.evidence;
    let of_candidate = evidence.candidate.as_ref() == Some(&rollout.candidate);
    // The data must cover the whole bake: a scrape from before its end does not.
    let covered = evidence.samples.last().is_some_and(|last| last.at >= baked);
    let fresh_findings = of_candidate && !turn.findings.is_empty();
    if !fresh_findings || !covered {
        return Some(evidence.silence(turn.now).why());
    }
    turn.findings
        .iter()
        .find_map(|finding| match &finding.verdict {
            Verdict::Pass => None,
            Verdict::Inconclusive(why) => Some(why.clone()),
            Verdict::Fail(_) => Some(Why::NoData(None)),
        })
}
