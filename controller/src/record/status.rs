//! A decision as the Canary's status.

use chrono::TimeDelta;
use serde_json::{Value, json};
use sluice_core::evidence::Exhibit;
use sluice_core::{Decision, Note, PastTraffic, Phase, Stage, Time, Waiting};
use sluice_crds::{CanaryStatus, ConditionType, HistoryEntry, Outcome, Reason, Traffic, labels};

use super::conditions::{self, Claim};
use super::evidence;
use crate::observe::Observed;
use crate::parse::{Pinned, state};

/// The longest time for which a new reason is held back, so that a state of a second or two costs no
/// write.
const PATIENCE: TimeDelta = TimeDelta::seconds(3);
/// The longest time for which a new message is held back that differs in numbers alone: it counts
/// requests.
const LONG_PATIENCE: TimeDelta = TimeDelta::seconds(30);

/// What there is to tell.
pub struct Told<'a> {
    /// What was decided.
    pub decision: &'a Decision,
    /// The API server's words, where it refused a write.
    pub refused: Option<String>,
    /// Rollouts that ended and are in no status yet, oldest first.
    pub ended: &'a [HistoryEntry],
    /// What the gates will be able to do; `None` where nothing new is known of it.
    pub foresight: Option<&'a Claim>,
    /// The requests of the past, as far as they are known.
    pub traffic: Option<PastTraffic>,
}

/// The status of a decision.
#[must_use]
pub fn of(
    observed: &Observed,
    told: &Told<'_>,
    pinned: Option<&Pinned>,
    before: &CanaryStatus,
    now: Time,
) -> CanaryStatus {
    let decision = told.decision;
    let generation = observed.canary.metadata.generation;
    let mut status = state::write(&decision.state, pinned, before);
    status.observed_generation = generation;
    status.phase = Some(phase(decision.phase));
    status.conditions = conditions::of(told, generation, &before.conditions, now);
    status.traffic = told.traffic.map(traffic);
    status.replicas = Some(replicas(observed));
    status.selector = Some(format!("{}={}", labels::CANARY, observed.name));
    if let Some(Waiting::Rejected { revision, .. }) = &decision.waiting {
        status.candidate = Some(revision.to_string());
    }
    if let Some(rollout) = &mut status.rollout {
        rollout.inconclusive_since = match &decision.waiting {
            Some(Waiting::Evidence { since, .. }) => Some(*since),
            _ => None,
        };
        if !decision.findings.is_empty() {
            let exhibits = decision.findings.iter().map(Exhibit::from);
            rollout.evidence = exhibits.map(|exhibit| evidence::write(&exhibit)).collect();
            rollout.evidence_at = Some(now);
        }
    }
    for entry in told.ended {
        // A write whose answer was lost may have brought it there.
        if !status.history.contains(entry) {
            status.history.insert(0, entry.clone());
        }
    }
    status.history.truncate(CanaryStatus::MAX_HISTORY);
    status
}

/// The status of a Canary that was suspended: that it is, for this generation of it, and else as it was told last.
/// `None` where it says so already.
#[must_use]
pub fn suspended(
    decision: &Decision,
    generation: Option<i64>,
    stored: &CanaryStatus,
    now: Time,
) -> Option<CanaryStatus> {
    let ready = ConditionType::Ready.as_str();
    let mut conditions = stored.conditions.iter();
    let is_told = stored.observed_generation == generation
        && conditions.any(|told| told.type_ == ready && told.reason == Reason::Suspended.as_str());
    (!is_told).then(|| CanaryStatus {
        observed_generation: generation,
        conditions: conditions::suspended(&stored.conditions, decision, generation, now),
        ..stored.clone()
    })
}

/// When a status must be written: now, later unless it changes again, or not at all.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Due {
    /// It says the same.
    Never,
    /// Something happened.
    Now,
    /// Only its words changed; so long they may be held back.
    Within(TimeDelta),
}

/// Compares a status with the one that is stored. While a weight is being proven the step counts as
/// words: the route carries it already, and the proof writes it a moment later.
#[must_use]
pub fn due(decision: &Decision, stored: &CanaryStatus, next: &CanaryStatus) -> Due {
    // What is foretold is about the next rollout: from the one under way it goes along with whatever else is told.
    let (stored, next) = if next.rollout.is_some() {
        (&without_foresight(stored), &without_foresight(next))
    } else {
        (stored, next)
    };
    if comparable(stored) == comparable(next) {
        return Due::Never;
    }
    // A new weight that is not proven yet is no milestone: its proof is.
    let mut unproven = next.clone();
    if let (Some(old), Some(new)) = (&stored.rollout, &mut unproven.rollout) {
        new.step_since = new.step_since.or(old.step_since);
    }
    if milestones(stored) != milestones(&unproven) {
        return Due::Now;
    }
    if unworded(stored) == unworded(next) {
        // What a person must mend is another thing now; other messages count requests.
        let mended = matches!(
            decision.waiting,
            Some(Waiting::Blocked { .. } | Waiting::Mesh { .. })
        );
        return Due::Within(if mended { PATIENCE } else { LONG_PATIENCE });
    }
    let proving =
        decision.state.rollout.as_ref().filter(|rollout| {
            rollout.proven_at.is_none() && !matches!(rollout.stage, Stage::Prepare)
        });
    Due::Within(proving.map_or(PATIENCE, |rollout| rollout.plan.settle + PATIENCE))
}

fn without_foresight(status: &CanaryStatus) -> CanaryStatus {
    let mut status = status.clone();
    status.traffic = None;
    let foretold = ConditionType::GatesEffective.as_str();
    status
        .conditions
        .retain(|condition| condition.type_ != foretold);
    status
}

/// What is compared: all but the evidence, which is new at every scrape.
fn comparable(status: &CanaryStatus) -> Value {
    let mut status = status.clone();
    if let Some(rollout) = &mut status.rollout {
        rollout.evidence.clear();
        rollout.evidence_at = None;
    }
    json!(status)
}

/// All that is compared but the numbers in messages.
fn unworded(status: &CanaryStatus) -> Value {
    let mut status = status.clone();
    for condition in &mut status.conditions {
        condition
            .message
            .retain(|c| !c.is_ascii_digit() && c != '.');
    }
    comparable(&status)
}

/// What must not be lost by a crash, or is news for whoever watches.
fn milestones(status: &CanaryStatus) -> Value {
    let rollout = status.rollout.as_ref();
    let stalled = status
        .conditions
        .iter()
        .find(|condition| condition.type_ == "Stalled");
    // Since when is words: it changes at every scrape while a proxy is late.
    let draining = status.draining.iter().map(|drain| &drain.revision);
    json!({
        "generation": status.observed_generation,
        "phase": status.phase,
        "stable": status.stable,
        "candidate": status.candidate,
        "draining": draining.collect::<Vec<_>>(),
        "history": status.history,
        "adoption": status.adoption,
        "plan": status.plan,
        "started": rollout.map(|rollout| rollout.started_at.timestamp_micros()),
        "promoting": rollout.map(|rollout| rollout.promoting),
        "stalled": stalled.map(|condition| (&condition.status, &condition.reason)),
        "awaited": rollout.and_then(|rollout| rollout.approval_awaited_since).map(|at| at.timestamp_micros()),
        "approved": rollout.and_then(|rollout| rollout.approved_at).map(|at| at.timestamp_micros()),
        "proven": rollout.and_then(|rollout| rollout.step_since).map(|at| at.timestamp_micros()),
    })
}

fn phase(phase: Phase) -> sluice_crds::Phase {
    match phase {
        Phase::Initializing => sluice_crds::Phase::Initializing,
        Phase::Waiting => sluice_crds::Phase::Waiting,
        Phase::Progressing => sluice_crds::Phase::Progressing,
        Phase::Holding => sluice_crds::Phase::Holding,
        Phase::Promoting => sluice_crds::Phase::Promoting,
        Phase::Finalising => sluice_crds::Phase::Finalising,
        Phase::Succeeded => sluice_crds::Phase::Succeeded,
        Phase::Failed => sluice_crds::Phase::Failed,
    }
}

/// Pods that the revisions want, for whoever scales the Canary.
fn replicas(observed: &Observed) -> i32 {
    let wanted = observed.workloads.iter().map(|workload| {
        workload
            .data
            .pointer("/spec/replicas")
            .and_then(Value::as_i64)
            .unwrap_or_default()
    });
    i32::try_from(wanted.sum::<i64>()).unwrap_or(i32::MAX)
}

fn traffic(traffic: PastTraffic) -> Traffic {
    Traffic {
        requests_per_day: traffic.per_day,
        measured_seconds: u64::try_from(traffic.over.num_seconds()).unwrap_or_default(),
    }
}

/// What the history keeps of a note.
#[must_use]
pub fn history(note: &Note, at: Time) -> Option<HistoryEntry> {
    let (revision, outcome, reason) = match note {
        Note::Adopted(revision) => (revision, Outcome::Promoted, "took over from the target"),
        Note::Promoted(revision) => (revision, Outcome::Promoted, "took all requests"),
        Note::Superseded(revision) => (revision, Outcome::Superseded, "the template changed"),
        Note::Rejected {
            revision,
            reason,
            ordered,
        } => {
            let outcome = if *ordered {
                Outcome::Aborted
            } else {
                Outcome::RolledBack
            };
            (revision, outcome, reason.as_str())
        }
        Note::Started { .. }
        | Note::RouteRestored { .. }
        | Note::Obeyed(_)
        | Note::Void(_)
        | Note::ApprovalAwaited { .. }
        | Note::Approved { .. }
        | Note::Released { .. }
        | Note::TargetRestored { .. }
        | Note::LeftServing(_)
        | Note::AutoscalerLeft { .. } => return None,
    };
    let reason = reason.chars().take(1024).collect();
    Some(HistoryEntry {
        revision: revision.to_string(),
        outcome,
        at,
        reason,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use sluice_core::{State, World, decide};
    use sluice_crds::{Draining, PolicySpec};

    use super::*;
    use crate::parse;

    #[test]
    fn that_something_drains_is_told_at_once_and_that_it_begins_anew_by_and_by() {
        let at = |second| Time::from_timestamp(second, 0).unwrap();
        let plan = parse::plan::parse(&PolicySpec::built_in()).unwrap();
        let decision = decide(&plan, &State::default(), &World::default(), at(0));
        let since = |second| CanaryStatus {
            draining: vec![Draining {
                revision: "web-a".to_owned(),
                since: at(second),
            }],
            ..CanaryStatus::default()
        };
        let due = |stored, next| due(&decision, &stored, &next);
        assert_eq!(due(CanaryStatus::default(), since(0)), Due::Now);
        assert_eq!(due(since(0), since(15)), Due::Within(PATIENCE));
        assert_eq!(due(since(15), CanaryStatus::default()), Due::Now);
        assert_eq!(due(since(15), since(15)), Due::Never);
    }
}
