//! One pretended rollout, decided by [`decide`].
//!
//! The cluster of it obeys at once: pods are ready, the mesh has accepted every route by the next look. What is
//! left is what takes time by the plan: settling, baking, and waiting for evidence.

use std::collections::BTreeMap;

use crate::decision::{Effect, Note};
use crate::evidence::{Timeline, Verdict};
use crate::{
    Approval, Counts, Decision, Evidence, Named, Outcome, Parent, PastTraffic, Plan, Record,
    Revision, RevisionName, Route, Sample, Service, State, Target, Time, Waiting, Weight, Workload,
    World, decide,
};

const STABLE: &str = "stable";
const CANDIDATE: &str = "candidate";
/// Decisions in a row at one moment, and wake-ups between two readings: more are a mistake of ours.
const MOST: usize = 100;

/// How a rollout ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum End {
    /// The candidate took all traffic.
    Promoted,
    /// An SLO failed.
    Failed,
    /// It was rejected without any that did: for want of evidence, or of progress.
    GivenUp,
}

/// A rollout under way.
#[derive(Clone, Debug)]
pub struct Rollout {
    plan: Plan,
    world: World,
    state: State,
    timeline: Timeline,
    waiting: Option<Waiting>,
    wake_at: Option<Time>,
    now: Time,
    /// The candidate's share since the last reading, times microseconds, and since when.
    sent: (f64, Time),
    first_weight_at: Option<Time>,
    called: bool,
    end: Option<End>,
}

impl Rollout {
    /// A rollout by `plan` that starts now. `unread` is the evidence of a source that was not read yet; the error
    /// budget is for the `traffic` of the past.
    #[must_use]
    pub fn start(plan: &Plan, unread: Evidence, traffic: Option<PastTraffic>, now: Time) -> Self {
        let mut rollout = Self {
            plan: plan.clone(),
            world: World {
                traffic,
                ..world(unread, now)
            },
            state: State {
                stable: Some(STABLE.into()),
                released: true,
                ..State::default()
            },
            timeline: Timeline::default(),
            waiting: None,
            wake_at: None,
            now,
            sent: (0.0, now),
            first_weight_at: None,
            called: false,
            end: None,
        };
        rollout.look();
        rollout
    }

    /// Lets time pass until `at`, without a reading.
    pub fn pass(&mut self, at: Time) {
        for _ in 0..MOST {
            let Some(wake) = self.wake_at.filter(|wake| *wake < at && self.end.is_none()) else {
                break;
            };
            self.forward(wake);
            self.look();
        }
        self.forward(at);
    }

    /// The share of the requests since the last reading that the route gave to the candidate.
    #[must_use]
    pub fn share(&self) -> f64 {
        let (sent, since) = self.sent;
        let passed = micros(since, self.now);
        if passed > 0.0 {
            sent / passed
        } else {
            self.weight().fraction()
        }
    }

    /// Takes a reading: what both revisions had since the last one that gave data, complete up to `covered`.
    pub fn read(&mut self, covered: Time, stable: &Counts, candidate: &Counts) {
        let before = self.timeline.samples().last().cloned();
        let (stable, candidate) = match before {
            Some(before) => (before.stable.and(stable), before.candidate.and(candidate)),
            None => (stable.clone(), candidate.clone()),
        };
        self.timeline.push(Sample {
            at: covered,
            stable,
            candidate,
        });
        self.world.evidence.samples = self.timeline.samples().to_vec();
        self.told(None);
    }

    /// Takes a reading that gave nothing, and why.
    pub fn read_nothing(&mut self, problem: &str) {
        self.told(Some(problem.to_owned()));
    }

    fn told(&mut self, problem: Option<String>) {
        self.world.evidence.candidate = Some(CANDIDATE.into());
        self.world.evidence.problem = problem;
        self.sent = (0.0, self.now);
        self.look();
    }

    /// How it ended, if it did.
    #[must_use]
    pub fn end(&self) -> Option<&End> {
        self.end.as_ref()
    }

    /// What it waits for.
    #[must_use]
    pub fn waiting(&self) -> Option<&Waiting> {
        self.waiting.as_ref()
    }

    /// Whether evidence was missing for so long that a person was called.
    #[must_use]
    pub fn called(&self) -> bool {
        self.called
    }

    /// When the candidate first got traffic.
    #[must_use]
    pub fn first_weight_at(&self) -> Option<Time> {
        self.first_weight_at
    }

    fn weight(&self) -> Weight {
        self.world.weight(&CANDIDATE.into())
    }

    fn forward(&mut self, at: Time) {
        self.sent.0 += micros(self.now, at) * self.weight().fraction();
        self.now = self.now.max(at);
    }

    /// Decides until there is nothing left to do.
    fn look(&mut self) {
        for _ in 0..MOST {
            if self.end.is_some() {
                return;
            }
            let decision = decide(&self.plan, &self.state, &self.world, self.now);
            self.note(&decision);
            for effect in &decision.effects {
                self.obey(effect);
            }
            self.state = decision.state;
            self.waiting = decision.waiting;
            self.wake_at = decision.wake_at;
            if decision.effects.is_empty() {
                return;
            }
        }
    }

    fn note(&mut self, decision: &Decision) {
        let failed = || {
            let mut findings = decision.findings.iter();
            findings.any(|finding| matches!(finding.verdict, Verdict::Fail(_)))
        };
        for note in &decision.notes {
            self.end = match note {
                Note::Promoted(_) => Some(End::Promoted),
                Note::Rejected { .. } if failed() => Some(End::Failed),
                Note::Rejected { .. } => Some(End::GivenUp),
                _ => continue,
            };
        }
        if let Some(rollout) = &decision.state.rollout {
            self.first_weight_at = rollout.first_weight_at;
        }
        self.called |= matches!(
            decision.waiting,
            Some(Waiting::Evidence { overdue: true, .. })
        );
    }

    fn obey(&mut self, effect: &Effect) {
        let revisions = &mut self.world.revisions;
        match effect {
            Effect::Route(routing) => {
                self.world.route = Some(Route {
                    weights: routing.weights.clone(),
                    stable: routing.stable.clone(),
                    candidate: routing.candidate.clone(),
                    step: routing.step,
                    written_at: routing.at,
                    ..route(self.now)
                });
            }
            Effect::Run { revision, replicas } => {
                if let Some(revision) = revisions.get_mut(revision) {
                    size(revision, *replicas);
                }
            }
            Effect::Remember { revision, record } => {
                if let Some(revision) = revisions.get_mut(revision) {
                    revision.record = Some(record.clone());
                }
            }
            // All of that is there already, or no part of a rollout.
            _ => {}
        }
    }
}

fn micros(from: Time, to: Time) -> f64 {
    (to - from).as_seconds_f64().max(0.0) * 1e6
}

/// Both revisions have their pods, and the stable one all traffic.
fn world(evidence: Evidence, now: Time) -> World {
    let revision = |template: &str, record: Record| {
        let mut revision = Revision {
            template: template.to_owned(),
            record: Some(record),
            created: Some(now),
            service: Some(Service {
                bound: true,
                ..Service::default()
            }),
            ..Revision::default()
        };
        size(&mut revision, 1);
        revision
    };
    let promoted = Record::default().ended(Outcome::Promoted, now, "");
    World {
        claimed: true,
        target: Some(Target {
            name: String::new(),
            revision: CANDIDATE.into(),
            template: CANDIDATE.to_owned(),
            images: Vec::new(),
            replicas: 0,
            scalable: false,
            ready: 0,
            settled: true,
            owned: true,
            writer: None,
        }),
        replicas: Some(1),
        revisions: BTreeMap::from([
            (STABLE.into(), revision(STABLE, promoted)),
            (CANDIDATE.into(), revision(CANDIDATE, Record::default())),
        ]),
        route: Some(route(now)),
        parent: Parent {
            bound: true,
            ..Parent::default()
        },
        evidence,
        // Gates are what is looked at: nobody is waited for.
        approved: vec![Approval {
            named: Named::Revision(CANDIDATE.into()),
            at: None,
        }],
        ..World::default()
    }
}

fn route(now: Time) -> Route {
    Route {
        weights: BTreeMap::from([(RevisionName::from(STABLE), Weight::WHOLE)]),
        stable: Some(STABLE.into()),
        candidate: None,
        step: None,
        written_at: now,
        intact: true,
        accepted: true,
        problem: None,
        foreign_writer: None,
    }
}

fn size(revision: &mut Revision, replicas: u32) {
    revision.workload = Some(Workload {
        replicas,
        ready: replicas,
        ..Workload::default()
    });
    revision.pods = replicas;
    if let Some(service) = &mut revision.service {
        service.endpoints = replicas;
    }
}

#[cfg(test)]
mod tests;
