//! The rollout under way: judge, prove, pass on to the next stage.

use crate::Weight;
use crate::decision::Note;
use crate::evidence::{Finding, Since, Verdict, judge};
use crate::state::{Rollout, Stage};
use crate::waiting::Waiting;

use super::pass::passed;
use super::prove::{is_measured, is_proven, stable_unready, unbound, unsettle};
use super::turn::Turn;
use super::{approval, around, budget, deadline, end, holdback};

pub(super) fn run(turn: &mut Turn<'_>) {
    let Some(mut rollout) = turn.state.rollout.take() else {
        return;
    };
    if turn
        .revision(&rollout.candidate)
        .is_none_or(|revision| revision.record.is_none())
    {
        turn.wait(creating(turn, &rollout));
    }
    unsettle(turn, &mut rollout);
    budget::pin(turn, &mut rollout);
    if let Some((reason, order)) = failure(turn, &rollout) {
        if may_reject(turn, &rollout) {
            end::reject(turn, &rollout, reason, order.as_deref());
            return;
        }
        // Its traffic does not wait for a snapshot to write the verdict on, which may be refused.
        if turn.state.stable.is_some() {
            if !rollout.weight.is_zero() {
                rollout.restart(turn.now);
            }
            turn.state.rollout = Some(rollout);
            return;
        }
    }
    obey_promote(turn, &mut rollout);
    let around = around::callers(turn, &rollout);
    if let Some(waiting) = &around {
        turn.wait(waiting.clone());
    }
    let aim = aim(turn, &mut rollout);
    turn.aim = holdback::size(&rollout, aim);
    track_readiness(turn, &mut rollout);
    if aim.1 > rollout.weight {
        if around.is_some() {
            // Nobody is to blame for the time until a person mends it.
            rollout.passed_at = Some(turn.now);
        } else {
            match obstacle(turn, &rollout) {
                Some(waiting) => turn.wait(waiting),
                None if rollout.stage == Stage::Prepare
                    && !approval::may_enter(turn, &mut rollout) => {}
                None => grow(turn, &mut rollout, aim),
            }
        }
    } else if rollout.stage == Stage::Promote && is_proven(turn, &mut rollout) {
        if is_measured(turn, &rollout) && !is_being_stored(turn, &rollout) {
            end::promote(turn, &rollout);
            return;
        }
        turn.wait(Waiting::Measuring);
    }
    deadline::run(turn, rollout);
}

/// The stage and the weight that the candidate is to be sized for.
fn aim(turn: &mut Turn<'_>, rollout: &mut Rollout) -> (Stage, Weight) {
    match rollout.stage {
        Stage::Prepare => next(rollout, None),
        Stage::Promote => (Stage::Promote, Weight::WHOLE),
        Stage::Step(step) => {
            if passed(turn, rollout, step) {
                rollout.passed_at.get_or_insert(turn.now);
                next(rollout, Some(step))
            } else {
                rollout.passed_at = None;
                (rollout.stage, rollout.weight)
            }
        }
    }
}

/// The first revision is never taken back once it has the traffic: nothing else has pods for sure. And
/// while its snapshot is about to be made there is nothing to write the verdict on.
pub(super) fn may_reject(turn: &Turn<'_>, rollout: &Rollout) -> bool {
    !is_being_stored(turn, rollout) && (turn.state.stable.is_some() || rollout.weight.is_zero())
}

/// Whether the candidate's snapshot is about to be made.
fn is_being_stored(turn: &Turn<'_>, rollout: &Rollout) -> bool {
    let target = turn.world.target.as_ref();
    turn.world.record(&rollout.candidate).is_none()
        && target.is_some_and(|target| target.revision == rollout.candidate)
}

/// Why the candidate must go, and by which order.
fn failure(turn: &mut Turn<'_>, rollout: &Rollout) -> Option<(String, Option<String>)> {
    turn.findings = findings(turn, rollout).unwrap_or_default();
    if let Some(order) = ordered(turn, rollout, "abort") {
        return Some(("aborted by an order".to_owned(), Some(order)));
    }
    first_fail(&turn.findings)
}

/// What the SLOs say of a candidate that is judged.
fn findings(turn: &Turn<'_>, rollout: &Rollout) -> Option<Vec<Finding>> {
    let since = Since {
        first_weight: rollout.first_weight_at?,
        proven: rollout.proven_at,
        passed: rollout.is_holding_back(),
    };
    let evidence = &turn.world.evidence;
    let expected = rollout.expected_requests;
    let judged = rollout.gated && evidence.candidate.as_ref() == Some(&rollout.candidate);
    judged.then(|| judge(&rollout.plan, evidence, since, expected, turn.now))
}

fn first_fail(findings: &[Finding]) -> Option<(String, Option<String>)> {
    findings.iter().find_map(|finding| match &finding.verdict {
        Verdict::Fail(text) => Some((format!("{}: {text}", finding.slo), None)),
        Verdict::Pass | Verdict::Inconclusive(_) => None,
    })
}

/// What a person ordered for the candidate.
fn ordered(turn: &Turn<'_>, rollout: &Rollout, verb: &str) -> Option<String> {
    let stable = turn.state.stable.as_ref();
    turn.world.order(verb, &rollout.candidate, stable)
}

fn obey_promote(turn: &mut Turn<'_>, rollout: &mut Rollout) {
    let Some(order) = ordered(turn, rollout, "promote") else {
        return;
    };
    rollout.gated = false;
    if rollout.stage != Stage::Promote {
        turn.notes.push(Note::Obeyed(order));
        rollout.stage = Stage::Promote;
        // However long it was held before, from here on it moves.
        rollout.progressed_at = turn.now;
    }
}

/// The stage behind `step`, and its weight. Without gates there is nothing to judge at a step.
fn next(rollout: &Rollout, step: Option<usize>) -> (Stage, Weight) {
    let index = step.map_or(0, |step| step.saturating_add(1));
    let steps = rollout.plan.steps.iter().enumerate().skip(index);
    let growing = steps.filter(|(_, step)| step.weight() > rollout.weight);
    match growing
        .map(|(index, step)| (Stage::Step(index), step.weight()))
        .next()
    {
        Some(stage) if rollout.gated => stage,
        _ => (Stage::Promote, Weight::WHOLE),
    }
}

/// Notes since when the candidate has all pods that its aim needs.
fn track_readiness(turn: &Turn<'_>, rollout: &mut Rollout) {
    if pods_missing(turn, rollout).is_some() || unbound(turn, &rollout.candidate).is_some() {
        rollout.ready_since = None;
    } else if rollout.ready_since.is_none() {
        rollout.ready_since = Some(turn.now);
    }
}

fn pods_missing(turn: &Turn<'_>, rollout: &Rollout) -> Option<Waiting> {
    let wanted = turn.aim.pods(turn.full());
    let revision = turn.revision(&rollout.candidate)?;
    let live = revision.workload.as_ref().filter(|w| !w.going);
    let Some(workload) = live else {
        return Some(creating(turn, rollout));
    };
    let endpoints = revision
        .service
        .as_ref()
        .map_or(0, |service| service.endpoints);
    let ready = workload.ready.min(endpoints);
    (ready < wanted || workload.replicas < wanted).then(|| Waiting::Pods {
        revision: rollout.candidate.clone(),
        ready,
        wanted,
        problem: workload.problem.clone(),
    })
}

/// The candidate's objects are not all there yet, and what is known of the reason.
fn creating(turn: &Turn<'_>, rollout: &Rollout) -> Waiting {
    let revision = rollout.candidate.clone();
    let workload = turn.revision(&revision).and_then(|r| r.workload.as_ref());
    let going = workload.is_some_and(|workload| workload.going);
    let problem = if going {
        Some(format!(
            "the Deployment {revision} of before is still being deleted"
        ))
    } else {
        turn.world.refused.clone()
    };
    Waiting::Creating { revision, problem }
}

/// What keeps the candidate from getting more traffic.
fn obstacle(turn: &mut Turn<'_>, rollout: &Rollout) -> Option<Waiting> {
    // Going back, and an order to promote, wait for nobody.
    let waits = rollout.gated || turn.state.stable.is_none();
    if let Some(blocked) = turn.world.blocked.as_ref().filter(|_| waits) {
        return Some(Waiting::from(blocked));
    }
    if let Some(waiting) = stable_unready(turn, rollout) {
        return Some(waiting);
    }
    // Its weight would be taken for older than the route until then; the note is put right first.
    let route = turn.world.route.as_ref();
    if route.is_some_and(|route| route.written_before(turn.now).is_none()) {
        return Some(Waiting::RouteAcceptance { problem: None });
    }
    if turn.full() == 0 {
        return Some(Waiting::ScaledToZero(rollout.candidate.clone()));
    }
    if turn
        .revision(&rollout.candidate)
        .and_then(|revision| revision.service.as_ref())
        .is_none_or(|service| service.outdated)
    {
        return Some(creating(turn, rollout));
    }
    if let Some(waiting) = pods_missing(turn, rollout) {
        return Some(waiting);
    }
    if let Some(waiting) = unbound(turn, &rollout.candidate) {
        return Some(waiting);
    }
    let settled = rollout.ready_since.unwrap_or(turn.now) + rollout.plan.settle;
    let until = turn
        .mesh_behind_until()
        .map_or(settled, |until| until.max(settled));
    if turn.now < until {
        turn.wake(until);
        return Some(Waiting::Settle { until });
    }
    None
}

/// Puts a larger weight in force; its clock starts anew.
fn grow(turn: &mut Turn<'_>, rollout: &mut Rollout, (stage, weight): (Stage, Weight)) {
    rollout.stage = stage;
    rollout.weight = weight;
    rollout.weight_at = turn.now;
    rollout.proven_at = None;
    rollout.passed_at = None;
    rollout.consent = None;
    rollout.progressed_at = turn.now;
    rollout.first_weight_at.get_or_insert(turn.now);
    turn.wake(turn.now + rollout.plan.settle);
}
