//! Conditions: what a decision means to kstatus, Flux, Argo CD and a person.

use std::fmt::Write as _;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;
use sluice_core::evidence::Why;
use sluice_core::waiting::Holdback;
use sluice_core::{Decision, Phase, Waiting};
use sluice_crds::{ConditionType, Reason};

use super::status::Told;

/// The longest message that is written; the API takes 32,768 bytes, a person far less.
const LONGEST_MESSAGE: usize = 1024;

/// What a condition says, before it has a time.
#[derive(Clone, Debug, PartialEq)]
pub struct Claim {
    /// Which one it is.
    pub kind: ConditionType,
    /// True, False or Unknown.
    pub status: &'static str,
    /// Why, in one word.
    pub reason: String,
    /// The same for a person.
    pub message: String,
}

/// The conditions of a decision. `before` are those so far: a condition keeps the time of its last
/// change of status.
#[must_use]
pub fn of(
    told: &Told<'_>,
    generation: Option<i64>,
    before: &[Condition],
    now: sluice_core::Time,
) -> Vec<Condition> {
    let now = Timestamp::from_second(now.timestamp()).unwrap_or_default();
    let mut claims = claims(told);
    claims.extend(told.foresight.cloned());
    let gates = ConditionType::GatesEffective.as_str();
    // After a start nothing is known anew at first: it stays as it was told.
    let kept = before
        .iter()
        .filter(|old| old.type_ == gates && told.foresight.is_none())
        .map(|old| Condition {
            observed_generation: generation,
            ..old.clone()
        });
    let conditions = claims.into_iter().map(|claim| {
        let kind = claim.kind.as_str();
        let known = before
            .iter()
            .find(|old| old.type_ == kind && old.status == claim.status);
        Condition {
            type_: kind.to_owned(),
            status: claim.status.to_owned(),
            reason: claim.reason,
            message: claim.message.chars().take(LONGEST_MESSAGE).collect(),
            observed_generation: generation,
            last_transition_time: known.map_or(Time(now), |old| old.last_transition_time.clone()),
        }
    });
    conditions.chain(kept).collect()
}

/// The conditions so far, with the API server's words where it refused a write after which nothing was
/// decided anew.
#[must_use]
pub fn refused(
    before: &[Condition],
    words: &str,
    generation: Option<i64>,
    now: sluice_core::Time,
) -> Vec<Condition> {
    let now = Time(Timestamp::from_second(now.timestamp()).unwrap_or_default());
    let ready = ConditionType::Ready.as_str();
    let known = before
        .iter()
        .find(|old| old.type_ == ready && old.status == "False");
    let told = Condition {
        type_: ready.to_owned(),
        status: "False".to_owned(),
        reason: Reason::WriteRefused.as_str().to_owned(),
        message: words.chars().take(LONGEST_MESSAGE).collect(),
        observed_generation: generation,
        last_transition_time: known.map_or(now, |old| old.last_transition_time.clone()),
    };
    let others = before.iter().filter(|old| old.type_ != ready).cloned();
    std::iter::once(told).chain(others).collect()
}

/// The conditions so far, where nothing more is written: kstatus' own say so, the others stay as they were told.
///
/// What is suspended between two rollouts serves as before. A rollout in between goes on by a person alone.
#[must_use]
pub fn suspended(
    before: &[Condition],
    decision: &Decision,
    generation: Option<i64>,
    now: sluice_core::Time,
) -> Vec<Condition> {
    let now = Time(Timestamp::from_second(now.timestamp()).unwrap_or_default());
    let rollout = decision.state.rollout.as_ref();
    let mut message = Waiting::Suspended.to_string();
    if let Some(rollout) = rollout.filter(|rollout| !rollout.weight.is_zero()) {
        // Writing to a String cannot fail.
        _ = write!(
            message,
            "; {} keeps {} of the requests",
            rollout.candidate, rollout.weight
        );
    }
    let told = |kind: ConditionType, status: &str| {
        let kind = kind.as_str();
        let known = before
            .iter()
            .find(|old| old.type_ == kind && old.status == status);
        Condition {
            type_: kind.to_owned(),
            status: status.to_owned(),
            reason: Reason::Suspended.as_str().to_owned(),
            message: message.clone(),
            observed_generation: generation,
            last_transition_time: known
                .map_or_else(|| now.clone(), |old| old.last_transition_time.clone()),
        }
    };
    // Suspended before anything of ours served, nothing is ready by our doing.
    let ready = if decision.state.stable.is_some() {
        "True"
    } else {
        "False"
    };
    let mut conditions = match rollout {
        None => vec![told(ConditionType::Ready, ready)],
        Some(_) => vec![
            told(ConditionType::Ready, "False"),
            told(ConditionType::Stalled, "True"),
        ],
    };
    let of_kstatus = [
        ConditionType::Ready,
        ConditionType::Reconciling,
        ConditionType::Stalled,
    ];
    let others = before
        .iter()
        .filter(|old| of_kstatus.iter().all(|kind| kind.as_str() != old.type_));
    conditions.extend(others.cloned());
    conditions
}

fn claims(told: &Told<'_>) -> Vec<Claim> {
    let decision = told.decision;
    let (reason, message) = match &told.refused {
        Some(refused) => (Reason::WriteRefused.as_str().to_owned(), refused.clone()),
        None => explain(decision),
    };
    let stalled = is_stalled(decision.waiting.as_ref());
    // A rejected template leaves a healthy service behind; one without a waypoint is not ours to steer.
    let unmeshed = matches!(decision.waiting, Some(Waiting::Mesh { .. }));
    let at_rest = matches!(decision.phase, Phase::Succeeded | Phase::Failed) && !unmeshed;
    let ready = if at_rest { "True" } else { "False" };
    let claim = |kind, status| Claim {
        kind,
        status,
        reason: reason.clone(),
        message: message.clone(),
    };
    let mut claims = vec![claim(
        ConditionType::Ready,
        if stalled { "False" } else { ready },
    )];
    if stalled {
        claims.push(claim(ConditionType::Stalled, "True"));
    } else if !at_rest {
        claims.push(claim(ConditionType::Reconciling, "True"));
    }
    let promoted = match decision.phase {
        Phase::Succeeded => "True",
        Phase::Finalising if decision.state.rollout.is_none() => "True",
        Phase::Failed => "False",
        _ => "Unknown",
    };
    claims.push(claim(ConditionType::Promoted, promoted));
    claims
}

/// Whether nothing goes on without a person.
fn is_stalled(waiting: Option<&Waiting>) -> bool {
    match waiting {
        Some(Waiting::Blocked { reason, .. }) => reason != Reason::TooManyRollouts.as_str(),
        Some(
            Waiting::TargetMissing
            | Waiting::Contested { .. }
            | Waiting::Around { .. }
            | Waiting::Evidence { overdue: true, .. }
            | Waiting::Holdback(Holdback { overdue: true, .. }),
        ) => true,
        _ => false,
    }
}

/// Reason and message of a decision.
fn explain(decision: &Decision) -> (String, String) {
    if let Some(waiting) = &decision.waiting {
        return (reason(waiting), sentence(decision, waiting));
    }
    let (reason, message) = resting(decision);
    (reason.as_str().to_owned(), message)
}

fn resting(decision: &Decision) -> (Reason, String) {
    let serving = decision.state.stable.as_ref().map(ToString::to_string);
    let serving = serving.unwrap_or_else(|| "nothing".to_owned());
    match decision.phase {
        Phase::Succeeded => (Reason::Promoted, format!("{serving} serves all requests")),
        Phase::Failed => (Reason::Rejected, format!("{serving} serves all requests")),
        Phase::Promoting => (
            Reason::Promoting,
            "the candidate gets all requests".to_owned(),
        ),
        Phase::Finalising => (Reason::Finalising, format!("{serving} serves all requests")),
        Phase::Initializing => (
            Reason::Initializing,
            "the first revision is made".to_owned(),
        ),
        Phase::Waiting | Phase::Progressing | Phase::Holding => {
            (Reason::Progressing, "the rollout goes on".to_owned())
        }
    }
}

/// The message: where the rollout is, and what it waits for.
fn sentence(decision: &Decision, waiting: &Waiting) -> String {
    match &decision.state.rollout {
        Some(rollout) if rollout.first_weight_at.is_some() => format!(
            "{} has {} of the requests: {waiting}",
            rollout.candidate, rollout.weight
        ),
        Some(rollout) if !rollout.gated && decision.state.stable.is_some() => format!(
            "the service goes back to {}, without gates: {waiting}",
            rollout.candidate
        ),
        None if is_advice(waiting) => format!("{}; {waiting}", resting(decision).1),
        _ => waiting.to_string(),
    }
}

/// Whether nothing is waited for but a person, and the service does not depend on that.
fn is_advice(waiting: &Waiting) -> bool {
    matches!(
        waiting,
        Waiting::SizeKept(_)
            | Waiting::ReplicasInGit { .. }
            | Waiting::Autoscaler { .. }
            | Waiting::SizeContested { .. }
    )
}

/// The reason that a condition says while this is waited for.
pub(crate) fn reason(waiting: &Waiting) -> String {
    let reason = match waiting {
        Waiting::Blocked { reason, .. } => return reason.clone(),
        Waiting::AutoscalerLeaves { meanwhile, .. } => return reason(meanwhile),
        Waiting::Suspended => Reason::Suspended,
        Waiting::TargetMissing => Reason::TargetNotFound,
        Waiting::TargetUnsettled => Reason::TargetNotReady,
        Waiting::Creating { .. } | Waiting::Pods { .. } | Waiting::Admission(_) => {
            Reason::RevisionNotReady
        }
        Waiting::Around { .. } => Reason::AroundWaypoint,
        Waiting::StableNotReady { .. } => Reason::StableNotReady,
        Waiting::ScaledToZero(_) => Reason::ScaledToZero,
        Waiting::Mesh { .. } => Reason::WaypointNotBound,
        Waiting::Settle { .. } | Waiting::RouteAcceptance { .. } => Reason::RouteNotAccepted,
        Waiting::Share { .. } | Waiting::Measuring => Reason::WeightNotProven,
        Waiting::Bake { .. } => Reason::Baking,
        Waiting::Evidence { why, .. } => inconclusive(why),
        Waiting::Approval(_) => Reason::AwaitingApproval,
        Waiting::Holdback(holdback) => holdback
            .why
            .as_ref()
            .map_or(Reason::HoldingBack, inconclusive),
        Waiting::Drain(_) => Reason::Draining,
        Waiting::Rejected { .. } => Reason::Rejected,
        Waiting::HandOver { .. } | Waiting::Removal | Waiting::LeftServing { .. } => {
            Reason::Finalising
        }
        Waiting::SizeKept(_) | Waiting::ReplicasInGit { .. } => Reason::ReplicasInGit,
        Waiting::Autoscaler { .. } => Reason::AutoscalerOnTarget,
        Waiting::SizeContested { .. } => Reason::ReplicasContested,
        Waiting::Contested { .. } => Reason::RouteContested,
    };
    reason.as_str().to_owned()
}

fn inconclusive(why: &Why) -> Reason {
    match why {
        Why::NoData(_)
        | Why::Stale { .. }
        | Why::NothingCounted { .. }
        | Why::NoConnection { .. } => Reason::MetricsUnavailable,
        Why::Unproven => Reason::WeightNotProven,
        Why::NoTraffic { .. } => Reason::NoTraffic,
        Why::TooFewRequests { .. } | Why::TooFewValues { .. } => Reason::TooFewRequests,
        Why::NoComparison { .. } => Reason::NothingToCompare,
        Why::Unclear { .. } => Reason::EvidenceUnclear,
        Why::Incident { .. } => Reason::IncidentElsewhere,
    }
}
