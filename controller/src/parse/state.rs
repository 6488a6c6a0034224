//! The Canary's status becomes a [`State`], and a state the part of the status that is read back.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use sluice_core::evidence::traffic::LONGEST;
use sluice_core::{
    Consent, PastTraffic, Restored, RevisionName, Rollout, Stage, State, Time, Weight,
};
use sluice_crds::{Adoption, CanaryStatus, Draining, Rollout as RolloutStatus};

use super::{Pinned, plan};

/// What the status remembers. What it cannot give back is rebuilt from the world.
#[must_use]
pub fn read(status: &CanaryStatus, now: Time) -> State {
    let rollout = status
        .rollout
        .as_ref()
        .and_then(|rollout| read_rollout(status, rollout, now));
    let adoption = status.adoption.as_ref();
    State {
        stable: status.stable.as_deref().map(RevisionName::from),
        rollout,
        draining: status
            .draining
            .iter()
            .map(|entry| (RevisionName::from(entry.revision.as_str()), entry.since))
            .collect(),
        left: BTreeMap::new(),
        target_left_at: adoption.and_then(|adoption| adoption.left_at),
        adopted_replicas: adoption
            .and_then(|adoption| u32::try_from(adoption.target_replicas).ok())
            .filter(|replicas| *replicas > 0),
        contest: None,
        released: adoption.is_some_and(|adoption| adoption.scaled_down),
        held_by: adoption.and_then(|adoption| adoption.held_by.clone()),
        restored: adoption
            .and_then(|adoption| adoption.restored.as_ref())
            .map(|restored| Restored {
                replicas: u32::try_from(restored.replicas).unwrap_or_default(),
                at: restored.at,
                seen: restored.seen,
            }),
    }
}

/// The traffic of the past, as it was told last.
#[must_use]
pub fn read_traffic(status: &CanaryStatus) -> Option<PastTraffic> {
    let traffic = status.traffic?;
    let over = TimeDelta::try_seconds(i64::try_from(traffic.measured_seconds).ok()?)?;
    Some(PastTraffic {
        per_day: traffic.requests_per_day,
        over: over.min(LONGEST),
    })
}

/// A rollout whose plan cannot be read any more is rebuilt as if the status were lost.
fn read_rollout(status: &CanaryStatus, rollout: &RolloutStatus, now: Time) -> Option<Rollout> {
    let plan = plan::parse(status.plan.as_ref()?).ok()?;
    let weight = status
        .weight
        .as_ref()
        .and_then(|weight| weight.ppm().ok())
        .unwrap_or_default();
    let step = status
        .step
        .and_then(|step| usize::try_from(step).ok()?.checked_sub(1));
    if step.is_some_and(|step| step >= plan.steps.len()) {
        // Of another plan: what is behind the last step would count as passed.
        return None;
    }
    let stage = match (step, rollout.first_weight_at) {
        _ if rollout.promoting => Stage::Promote,
        (Some(step), Some(_)) => Stage::Step(step),
        _ => Stage::Prepare,
    };
    Some(Rollout {
        candidate: RevisionName::from(rollout.candidate.as_str()),
        plan,
        gated: rollout.gated,
        stage,
        weight: Weight::from_ppm(weight),
        started_at: rollout.started_at,
        first_weight_at: rollout.first_weight_at,
        weight_at: now,
        proven_at: rollout.step_since,
        passed_at: None,
        progressed_at: rollout.progressed_at,
        expected_requests: rollout.expected_requests,
        consent: match (rollout.approved_at, rollout.approval_awaited_since) {
            (Some(at), _) => Some(Consent::Given { at }),
            (None, Some(since)) => Some(Consent::Awaited { since }),
            (None, None) => None,
        },
        ready_since: None,
    })
}

/// The part of the status that [`read`] understands. `pinned` is the plan of the last rollout as the
/// policy had it, `before` the status so far, whose history and evidence are kept.
#[must_use]
pub fn write(state: &State, pinned: Option<&Pinned>, before: &CanaryStatus) -> CanaryStatus {
    let mut status = CanaryStatus {
        stable: state.stable.as_ref().map(ToString::to_string),
        draining: state
            .draining
            .iter()
            .map(|(revision, since)| Draining {
                revision: revision.to_string(),
                since: *since,
            })
            .collect(),
        history: before.history.clone(),
        plan: pinned.map(|pinned| pinned.sections.clone()),
        own_route: pinned.is_some_and(|pinned| pinned.own_route),
        own_mesh: pinned.is_some_and(|pinned| pinned.own_mesh),
        adoption: adoption(state),
        ..CanaryStatus::default()
    };
    if let Some(rollout) = &state.rollout {
        let evidence = before.rollout.as_ref().filter(|old| {
            old.candidate == rollout.candidate.as_str() && old.started_at == rollout.started_at
        });
        status.candidate = Some(rollout.candidate.to_string());
        status.weight = Some(sluice_crds::Percent::from_ppm(rollout.weight.ppm()));
        status.rollout = Some(RolloutStatus {
            candidate: rollout.candidate.to_string(),
            started_at: rollout.started_at,
            first_weight_at: rollout.first_weight_at,
            step_since: rollout.proven_at,
            progressed_at: rollout.progressed_at,
            gated: rollout.gated,
            promoting: rollout.stage == Stage::Promote,
            expected_requests: rollout.expected_requests,
            inconclusive_since: None,
            approval_awaited_since: match rollout.consent {
                Some(Consent::Awaited { since }) => Some(since),
                _ => None,
            },
            approved_at: match rollout.consent {
                Some(Consent::Given { at }) => Some(at),
                _ => None,
            },
            evidence: evidence.map(|old| old.evidence.clone()).unwrap_or_default(),
            evidence_at: evidence.and_then(|old| old.evidence_at),
        });
        if rollout.gated {
            let steps = u32::try_from(rollout.plan.steps.len()).unwrap_or(u32::MAX);
            let step = match rollout.stage {
                Stage::Prepare => 0,
                Stage::Step(step) => u32::try_from(step).unwrap_or(u32::MAX).saturating_add(1),
                Stage::Promote => steps,
            };
            status.steps = Some(steps);
            status.step = Some(step);
            status.progress = Some(if rollout.is_holding_back() {
                "holdback".to_owned()
            } else {
                format!("{step}/{steps}")
            });
        }
    }
    status
}

/// What is known of the target; 0 replicas stand for none known.
fn adoption(state: &State) -> Option<Adoption> {
    let count = |n| i32::try_from(n).unwrap_or(i32::MAX);
    let adoption = Adoption {
        target_replicas: state.adopted_replicas.map(count).unwrap_or_default(),
        left_at: state.target_left_at,
        scaled_down: state.released,
        held_by: state.held_by.clone(),
        restored: state.restored.map(|restored| sluice_crds::Restored {
            replicas: count(restored.replicas),
            at: restored.at,
            seen: restored.seen,
        }),
    };
    (adoption != Adoption::default()).then_some(adoption)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use sluice_crds::{Duration, Holdback, Percent, PolicySpec};

    use super::*;

    fn time(second: i64) -> Time {
        Time::from_timestamp(1_700_000_000 + second, 0).unwrap_or_default()
    }

    fn sections() -> PolicySpec {
        PolicySpec {
            holdback: Some(Holdback {
                weight: Percent::new("10%"),
                r#for: Duration::new("1h"),
            }),
            ..PolicySpec::built_in()
        }
    }

    fn rollout(stage: Stage) -> Rollout {
        Rollout {
            candidate: "podinfo-new".into(),
            plan: plan::parse(&sections()).unwrap(),
            gated: true,
            stage,
            weight: Weight::from_percent(if stage == Stage::Step(3) { 90 } else { 25 }),
            started_at: time(1),
            first_weight_at: (stage != Stage::Prepare).then(|| time(2)),
            weight_at: time(9),
            proven_at: (stage != Stage::Prepare).then(|| time(3)),
            passed_at: None,
            expected_requests: Some(7_000_000),
            consent: match stage {
                Stage::Prepare => Some(Consent::Awaited { since: time(8) }),
                Stage::Step(0) => Some(Consent::Given { at: time(8) }),
                Stage::Step(_) | Stage::Promote => None,
            },
            progressed_at: time(4),
            ready_since: None,
        }
    }

    #[test]
    fn a_state_survives_the_status() {
        for (stage, progress) in [
            (Stage::Prepare, "0/4"),
            (Stage::Step(0), "1/4"),
            (Stage::Step(2), "3/4"),
            (Stage::Step(3), "holdback"),
            (Stage::Promote, "4/4"),
        ] {
            let state = State {
                stable: Some("podinfo-old".into()),
                left: BTreeMap::new(),
                rollout: Some(rollout(stage)),
                draining: BTreeMap::from([("podinfo-older".into(), time(5))]),
                target_left_at: Some(time(6)),
                adopted_replicas: Some(3),
                contest: None,
                released: true,
                held_by: Some("argocd-controller".to_owned()),
                restored: Some(Restored {
                    replicas: 3,
                    at: time(7),
                    seen: true,
                }),
            };
            let pinned = Pinned::new(&PolicySpec::default(), sections());
            let status = write(&state, Some(&pinned), &CanaryStatus::default());
            // Through JSON, as the API server keeps it.
            let json = serde_json::to_value(&status).unwrap_or_default();
            let status: CanaryStatus = serde_json::from_value(json).unwrap_or_default();
            assert_eq!(read(&status, time(9)), state, "{stage:?}");
            assert_eq!(status.progress.as_deref(), Some(progress));
        }
    }

    #[test]
    fn a_wiped_status_is_a_state_that_remembers_nothing() {
        assert_eq!(read(&CanaryStatus::default(), time(0)), State::default());
    }
}
