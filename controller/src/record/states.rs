//! Canaries as this program writes them, one for each thing that it tells: files by which `argocd/` is tried out.
//!
//! The decisions are those of rehearsals, and of worlds that differ from theirs in one thing.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests fail by panicking"
)]

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::{Value, json};
use sluice_core::{
    Autoscaler, Blocked, Decision, Phase, Record, Revision, Scaled, State, Target, Waiting, Writer,
    decide,
};
use sluice_crds::{CanaryStatus, PolicySpec, labels};

use super::status::{self, Told};
use crate::bundle::Look;
use crate::cli::rehearse::{Scenario, looks};
use crate::fuzz::observed;
use crate::parse::Pinned;

/// The variable that lets the test write the files anew.
const WRITE: &str = "SLUICE_BLESS";

/// The generation of the spec that was decided on.
const SEEN: i64 = 3;

/// What is known of a Canary, and what was told of it so far.
#[derive(Clone)]
struct Moment {
    look: Look,
    status: CanaryStatus,
}

fn canary(status: Option<&CanaryStatus>) -> Value {
    let mut canary = json!({
        "apiVersion": "sluice.dev/v1alpha1", "kind": "Canary",
        "metadata": {"name": "podinfo", "namespace": "shop", "generation": SEEN,
                     "finalizers": [labels::FINALIZER]},
        "spec": {"targetRef": {"kind": "Deployment", "name": "podinfo"}, "replicas": 4},
    });
    if let Some(status) = status {
        canary["status"] = json!(status);
    }
    canary
}

/// What is told of a decision, after what was told before.
fn tell(
    decision: &Decision,
    refused: Option<&str>,
    before: &CanaryStatus,
    now: sluice_core::Time,
) -> CanaryStatus {
    let observed = observed(&json!({"canary": canary(None)})).unwrap();
    let ended: Vec<_> = decision
        .notes
        .iter()
        .filter_map(|note| status::history(note, now))
        .collect();
    let told = Told {
        decision,
        refused: refused.map(str::to_owned),
        ended: &ended,
        foresight: None,
        traffic: None,
    };
    let pinned = Pinned::new(&PolicySpec::default(), PolicySpec::built_in());
    status::of(&observed, &told, Some(&pinned), before, now)
}

/// A rehearsal, with what is told at each moment.
fn rehearsed(scenario: Scenario) -> Vec<Moment> {
    let mut status = CanaryStatus::default();
    let told = looks(scenario).into_iter().map(|look| {
        status = tell(&look.decision, None, &status, look.now);
        Moment {
            look,
            status: status.clone(),
        }
    });
    told.collect()
}

fn find(told: &[Moment], is_it: impl Fn(&Decision) -> bool) -> &Moment {
    told.iter().find(|one| is_it(&one.look.decision)).unwrap()
}

/// What is told when the world is another one.
fn differently(told: &Moment, change: impl FnOnce(&mut Look)) -> CanaryStatus {
    let mut look = told.look.clone();
    change(&mut look);
    let decision = decide(&look.plan, &look.state, &look.world, look.now);
    let before = if look.state == State::default() {
        &CanaryStatus::default()
    } else {
        &told.status
    };
    tell(&decision, None, before, look.now)
}

fn bakes(decision: &Decision) -> bool {
    decision.phase == Phase::Progressing && matches!(decision.waiting, Some(Waiting::Bake { .. }))
}

fn is_overdue(decision: &Decision) -> bool {
    matches!(
        decision.waiting,
        Some(Waiting::Evidence { overdue: true, .. })
    )
}

/// Every state by name.
#[allow(clippy::too_many_lines, reason = "a few lines a state")]
fn all() -> BTreeMap<&'static str, Value> {
    let healthy = rehearsed(Scenario::Healthy);
    let silent = rehearsed(Scenario::NoTraffic);
    let errors = rehearsed(Scenario::Errors);
    let in_phase = |told: &[Moment], phase: Phase| {
        find(told, |decision| decision.phase == phase)
            .status
            .clone()
    };
    let baking = find(&healthy, bakes);
    let serving = healthy.last().unwrap();
    let rejected = errors.last().unwrap();

    // On the heap: statuses are large.
    let mut states: BTreeMap<&str, Value> = vec![
        ("waiting", in_phase(&healthy, Phase::Waiting)),
        ("progressing", baking.status.clone()),
        ("holding", in_phase(&silent, Phase::Holding)),
        ("holding-overdue", find(&silent, is_overdue).status.clone()),
        ("promoting", in_phase(&healthy, Phase::Promoting)),
        ("draining", in_phase(&healthy, Phase::Finalising)),
        ("succeeded", serving.status.clone()),
        ("rejected", rejected.status.clone()),
        ("initializing", differently(serving, first)),
        ("going-back", differently(&healthy[0], promoted_before)),
        (
            "promoted-by-order",
            differently(baking, |look| {
                let candidate = look.state.rollout.as_ref().unwrap().candidate.to_string();
                look.world.orders.promote = Some(candidate);
            }),
        ),
        (
            "aborted",
            differently(baking, |look| {
                let candidate = look.state.rollout.as_ref().unwrap().candidate.to_string();
                look.world.orders.abort = Some(candidate);
            }),
        ),
        (
            "target-gone",
            differently(serving, |look| look.world.target = None),
        ),
        (
            "blocked",
            differently(serving, |look| {
                look.world.blocked = Some(Blocked {
                    reason: "ForeignRoute".to_owned(),
                    message: "HTTPRoute other is on Service podinfo as well: delete it".to_owned(),
                });
            }),
        ),
        (
            "queued",
            differently(&healthy[0], |look| {
                look.world.blocked = Some(Blocked {
                    reason: "TooManyRollouts".to_owned(),
                    message: "20 rollouts are under way, as many as the policy allows".to_owned(),
                });
            }),
        ),
        (
            "no-waypoint",
            differently(serving, |look| look.world.parent.bound = false),
        ),
        (
            "size-in-git",
            differently(serving, |look| {
                keep_size(look);
            }),
        ),
        (
            "autoscaler-on-target",
            differently(serving, |look| {
                look.world.autoscaler = Some(Autoscaler {
                    name: "HorizontalPodAutoscaler podinfo".to_owned(),
                    scales: Scaled::Target,
                });
                look.world.replicas = None;
            }),
        ),
        (
            "autoscaler-and-size-in-git",
            differently(serving, |look| {
                look.world.autoscaler = Some(Autoscaler {
                    name: "HorizontalPodAutoscaler podinfo".to_owned(),
                    scales: Scaled::Target,
                });
                keep_size(look);
            }),
        ),
    ]
    .into_iter()
    .map(|(name, status)| (name, canary(Some(&status))))
    .collect();

    let words = "pods \"podinfo-x\" is forbidden: exceeded quota";
    for (name, told) in [
        ("write-refused", baking),
        ("write-refused-after-a-rejection", rejected),
    ] {
        let refused = tell(
            &told.look.decision,
            Some(words),
            &told.status,
            told.look.now,
        );
        states.insert(name, canary(Some(&refused)));
    }
    // Suspended, that is told, and nothing more.
    for (name, told) in [
        ("suspended", serving),
        ("suspended-in-a-rollout", baking),
        ("suspended-after-a-rejection", rejected),
    ] {
        let mut world = told.look.world.clone();
        world.suspended = true;
        let Look {
            plan, state, now, ..
        } = &told.look;
        let decision = decide(plan, state, &world, *now);
        let generation = Some(SEEN + 1);
        let once = status::suspended(&decision, generation, &told.status, *now).unwrap();
        let twice = status::suspended(&decision, generation, &once, *now);
        assert_eq!(twice, None, "told twice");
        let mut suspended = canary(Some(&once));
        suspended["spec"]["suspend"] = json!(true);
        suspended["metadata"]["generation"] = json!(SEEN + 1);
        states.insert(name, suspended);
    }
    states.insert("no-status", canary(None));
    for (name, told) in [
        ("new-spec", serving),
        ("new-spec-after-a-rejection", rejected),
    ] {
        let mut edited = canary(Some(&told.status));
        edited["metadata"]["generation"] = json!(SEEN + 1);
        states.insert(name, edited);
    }
    let mut going = canary(Some(&differently(baking, |look| {
        look.world.deleting = true;
        look.world.deleted_at = Some(look.now);
    })));
    going["metadata"]["deletionTimestamp"] = json!("2000-01-01T00:00:00Z");
    states.insert("deleting", going);
    states
}

/// The app before it was adopted.
fn first(look: &mut Look) {
    let target = look.world.target.take().unwrap();
    look.state = State::default();
    look.world.revisions.clear();
    look.world.route = None;
    look.world.target = Some(Target {
        replicas: 4,
        ready: 4,
        owned: false,
        ..target
    });
}

/// Git says the size on the target still, by Argo CD.
fn keep_size(look: &mut Look) {
    let target = look.world.target.as_mut().unwrap();
    (target.replicas, target.ready) = (4, 4);
    target.name = "podinfo".to_owned();
    target.writer = Some(Writer {
        manager: "argocd-controller".to_owned(),
        manifest: true,
        kept: Some(4),
    });
    look.world.replicas = None;
}

/// Git's template was promoted once.
fn promoted_before(look: &mut Look) {
    let target = look.world.target.as_ref().unwrap();
    let record = Record::default().ended(
        sluice_core::Outcome::Promoted,
        look.now - chrono::TimeDelta::hours(2),
        "every gate passed",
    );
    let old = Revision {
        template: target.template.clone(),
        record: Some(record),
        created: Some(look.now - chrono::TimeDelta::hours(3)),
        ..Revision::default()
    };
    look.world.revisions.insert(target.revision.clone(), old);
}

#[test]
fn the_files_are_what_is_told() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../argocd/tests/canaries");
    let states = all();
    if std::env::var_os(WRITE).is_some() {
        std::fs::create_dir_all(&folder).unwrap();
        for (name, canary) in &states {
            let text = serde_yaml_ng::to_string(canary).unwrap();
            std::fs::write(folder.join(format!("{name}.yaml")), text).unwrap();
        }
    }
    let files = std::fs::read_dir(&folder).unwrap();
    let files: BTreeMap<String, Value> = files
        .map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            let text = std::fs::read_to_string(&path).unwrap();
            (name, serde_yaml_ng::from_str(&text).unwrap())
        })
        .collect();
    let names: Vec<_> = states.keys().copied().collect();
    assert_eq!(files.keys().collect::<Vec<_>>(), names);
    for (name, canary) in states {
        assert_eq!(
            files[name], canary,
            "{name}: another state; {WRITE}=1 writes the files anew"
        );
    }
}

/// The states differ in what they are to show: a phase that nobody reaches any more would go unnoticed.
#[test]
fn every_phase_is_among_them() {
    let states = all();
    let phases: std::collections::BTreeSet<_> = states
        .values()
        .filter_map(|canary| canary.pointer("/status/phase")?.as_str())
        .collect();
    let phases: Vec<_> = phases.into_iter().collect();
    assert_eq!(
        phases,
        [
            "Failed",
            "Finalising",
            "Holding",
            "Initializing",
            "Progressing",
            "Promoting",
            "Succeeded",
            "Waiting"
        ]
    );
}
