//! A cluster that behaves well: it does what it is told, after the delays that a real one has.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use sluice_core::{
    Effect, Part, Record, Revision, RevisionName, Route, Service, State, Target, Time, Weight,
    Workload, World,
};

/// How long the mesh takes to follow.
const MESH: TimeDelta = TimeDelta::seconds(2);
/// How long ended pods take to be gone.
const ENDING: TimeDelta = TimeDelta::seconds(2);

/// What will have changed at some time.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Change {
    /// The pods of a revision are as many as wanted and ready, or gone.
    Pods(RevisionName),
    /// The waypoint serves the Service of a revision.
    Bound(RevisionName),
    /// The mesh follows the route.
    Accepted,
}

/// What is.
#[derive(Debug)]
pub(super) struct Cluster {
    /// As the controller sees it.
    pub(super) world: World,
    /// The weights that the mesh follows.
    pub(super) in_force: BTreeMap<RevisionName, Weight>,
    ready_after: TimeDelta,
    due: BTreeMap<Change, Time>,
}

impl Cluster {
    /// An app that was adopted a while ago, and whose template has just changed.
    pub(super) fn new(
        (stable, candidate): (&RevisionName, &RevisionName),
        size: u32,
        ready_after: TimeDelta,
        now: Time,
    ) -> Self {
        let long_ago = now - TimeDelta::days(1);
        let serving = Revision {
            template: stable.to_string(),
            record: Some(Record::default().ended(
                sluice_core::Outcome::Promoted,
                long_ago,
                "the first revision",
            )),
            created: Some(long_ago),
            workload: Some(Workload {
                replicas: size,
                ready: size,
                ..Workload::default()
            }),
            service: Some(Service {
                bound: true,
                endpoints: size,
                ..Service::default()
            }),
            pods: size,
            ..Revision::default()
        };
        let weights = BTreeMap::from([(stable.clone(), Weight::WHOLE)]);
        let mut world = World {
            claimed: true,
            target: Some(Target {
                name: String::new(),
                revision: candidate.clone(),
                template: candidate.to_string(),
                images: Vec::new(),
                replicas: 0,
                scalable: true,
                ready: 0,
                settled: true,
                owned: true,
                writer: None,
            }),
            replicas: Some(size),
            revisions: BTreeMap::from([(stable.clone(), serving)]),
            route: Some(Route {
                weights: weights.clone(),
                stable: Some(stable.clone()),
                candidate: None,
                step: None,
                written_at: long_ago,
                intact: true,
                accepted: true,
                problem: None,
                foreign_writer: None,
            }),
            ..World::default()
        };
        world.parent.bound = true;
        Self {
            world,
            in_force: weights,
            ready_after,
            due: BTreeMap::new(),
        }
    }

    /// What the controller remembers of such an app.
    pub(super) fn remembered(stable: &RevisionName, size: u32, now: Time) -> State {
        State {
            stable: Some(stable.clone()),
            target_left_at: Some(now - TimeDelta::days(1)),
            adopted_replicas: Some(size),
            released: true,
            ..State::default()
        }
    }

    /// Does what was decided.
    pub(super) fn apply(&mut self, effect: &Effect, now: Time) {
        // A cluster like this one refuses nothing.
        if self.world.done(effect, now).is_err() {
            return;
        }
        match effect {
            Effect::Run { revision, replicas } => self.run(revision, *replicas, now),
            Effect::Expose(revision) => {
                self.due.insert(Change::Bound(revision.clone()), now + MESH);
            }
            Effect::Route(_) => {
                self.due.insert(Change::Accepted, now + MESH);
            }
            Effect::Remove {
                revision,
                part: Part::Workload,
            } => {
                let pods = Change::Pods(revision.clone());
                self.due.insert(pods, now + ENDING);
            }
            _ => {}
        }
        self.count_endpoints();
    }

    /// Whatever is due by now has happened.
    pub(super) fn happen(&mut self, now: Time) {
        let is_due = |_: &Change, at: &mut Time| *at <= now;
        for change in self.due.extract_if(.., is_due).map(|(change, _)| change) {
            match change {
                Change::Pods(name) => {
                    if let Some(revision) = self.world.revisions.get_mut(&name) {
                        settle(revision);
                    }
                }
                Change::Bound(name) => {
                    let revision = self.world.revisions.get_mut(&name);
                    if let Some(service) = revision.and_then(|revision| revision.service.as_mut()) {
                        service.bound = true;
                    }
                }
                Change::Accepted => {
                    if let Some(route) = &mut self.world.route {
                        route.accepted = true;
                        self.in_force.clone_from(&route.weights);
                    }
                }
            }
        }
        self.count_endpoints();
    }

    /// When something changes next.
    pub(super) fn next_change(&self) -> Option<Time> {
        self.due.values().min().copied()
    }

    /// More pods take their time, fewer are gone at once.
    fn run(&mut self, name: &RevisionName, replicas: u32, now: Time) {
        let Some(revision) = self.world.revisions.get_mut(name) else {
            return;
        };
        let pods = Change::Pods(name.clone());
        let ready = revision
            .workload
            .as_ref()
            .map_or(0, |workload| workload.ready);
        if ready < replicas {
            self.due.insert(pods, now + self.ready_after);
        } else {
            self.due.remove(&pods);
            settle(revision);
        }
    }

    fn count_endpoints(&mut self) {
        for revision in self.world.revisions.values_mut() {
            let ready = revision
                .workload
                .as_ref()
                .map_or(0, |workload| workload.ready);
            if let Some(service) = &mut revision.service {
                service.endpoints = ready;
            }
            revision.follow_pods();
        }
    }
}

/// Its pods are as wanted.
fn settle(revision: &mut Revision) {
    match &mut revision.workload {
        Some(workload) if !workload.going => {
            workload.ready = workload.replicas;
            revision.pods = workload.replicas;
        }
        _ => (revision.workload, revision.pods) = (None, 0),
    }
}
