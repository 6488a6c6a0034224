//! The true cluster: what is, not what anybody has seen of it.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta};
use sluice_core::{
    Admission, Caller, Effect, Parent, Part, Record, Revision, RevisionName, Route, Routing,
    Service, Target, Time, Weight, Workload, World, Writer,
};

use crate::metrics::Meter;

/// What the surroundings do, without anybody writing anything.
#[allow(clippy::struct_excessive_bools, reason = "each part breaks by itself")]
#[derive(Clone, Debug)]
pub(crate) struct Surroundings {
    /// How new pods become ready.
    pub(crate) pods: Pods,
    /// The mesh follows what is written.
    pub(crate) mesh: bool,
    /// A waypoint serves the Service that clients call.
    pub(crate) waypoint: bool,
    /// The metrics source answers.
    pub(crate) metrics: bool,
    /// Clients send requests.
    pub(crate) traffic: bool,
    /// Something that all revisions need is broken.
    pub(crate) incident: bool,
    /// Something that one template alone needs is broken.
    pub(crate) broken: Option<u8>,
    /// A client picks pods itself.
    pub(crate) around: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Pods {
    Quick,
    OneByOne,
    Stuck,
}

impl Default for Surroundings {
    fn default() -> Self {
        Self {
            pods: Pods::Quick,
            mesh: true,
            waypoint: true,
            metrics: true,
            traffic: true,
            incident: false,
            broken: None,
            around: false,
        }
    }
}

/// What is wrong with a template, by its number: 4 answers with errors, 5 never gets ready.
pub(crate) const BAD: u8 = 4;
pub(crate) const CRASHING: u8 = 5;

pub(crate) struct Cluster {
    pub(crate) now: Time,
    /// As an observer with fresh caches would see it.
    pub(crate) world: World,
    pub(crate) surroundings: Surroundings,
    /// The weights that the mesh follows; it may be behind the route.
    pub(crate) in_force: BTreeMap<RevisionName, Weight>,
    pub(crate) meter: Meter,
    /// The Canary itself is gone.
    pub(crate) gone: bool,
    template: u8,
    config: u8,
}

/// Midnight, so that the times that a Canary tells are those of its journal.
pub(crate) fn start_of_time() -> Time {
    DateTime::from_timestamp(1_700_006_400, 0).unwrap()
}

/// Git has `spec.replicas` of the target.
fn git() -> Writer {
    Writer {
        manager: "git".to_owned(),
        manifest: true,
    }
}

/// The number of a revision's template: `v4.1` is template 4 with configuration 1.
pub(crate) fn template_of(revision: &RevisionName) -> u8 {
    revision.as_str().as_bytes()[1] - b'0'
}

impl Cluster {
    /// A Deployment of 4 pods that serves, and a new Canary for it.
    pub(crate) fn new(replicas: Option<u32>) -> Self {
        let mut cluster = Self {
            now: start_of_time(),
            world: World {
                replicas,
                parent: Parent {
                    missing: false,
                    bound: true,
                    strict: false,
                    problem: None,
                },
                target: Some(Target {
                    scalable: true,
                    revision: "v0".into(),
                    template: "v0".to_owned(),
                    replicas: 4,
                    ready: 4,
                    settled: true,
                    owned: false,
                    writer: Some(git()),
                }),
                ..World::default()
            },
            surroundings: Surroundings::default(),
            in_force: BTreeMap::new(),
            meter: Meter::default(),
            gone: false,
            template: 0,
            config: 0,
        };
        cluster.world.evidence.stale_after = TimeDelta::seconds(45);
        cluster
    }

    /// Somebody pushes another template or configuration to Git.
    pub(crate) fn push(&mut self, template: u8, config: u8) {
        if self.world.target.is_none() && self.world.deleting {
            return;
        }
        let changed = template != self.template;
        (self.template, self.config) = (template, config);
        let target = self.world.target.get_or_insert_with(|| Target {
            scalable: true,
            revision: "v0".into(),
            template: String::new(),
            replicas: 0,
            ready: 0,
            settled: true,
            owned: false,
            writer: None,
        });
        target.template = format!("v{template}");
        target.revision = match config {
            0 => target.template.as_str().into(),
            _ => format!("v{template}.{config}").into(),
        };
        if changed && target.replicas > 0 {
            target.settled = false;
            target.ready = 0;
        }
    }

    pub(crate) fn template(&self) -> u8 {
        self.template
    }

    pub(crate) fn config(&self) -> u8 {
        self.config
    }

    /// Time passes, and everything that goes on by itself goes on.
    pub(crate) fn advance(&mut self, by: TimeDelta) {
        self.now += by;
        self.serve(by);
        let follow = |ready: u32, wanted: u32, template: u8, pods: Pods| match pods {
            _ if ready >= wanted => wanted,
            _ if template == CRASHING => ready,
            Pods::Quick => wanted,
            Pods::OneByOne => ready + 1,
            Pods::Stuck => ready,
        };
        let (pods, mesh) = (self.surroundings.pods, self.surroundings.mesh);
        for (name, revision) in &mut self.world.revisions {
            let template = template_of(name);
            match &mut revision.workload {
                Some(workload) if !workload.going => {
                    workload.ready = follow(workload.ready, workload.replicas, template, pods);
                    revision.pods = workload.replicas;
                    let crashing = template == CRASHING && workload.replicas > 0;
                    workload.problem = crashing.then(|| "CrashLoopBackOff".to_owned());
                }
                _ => (revision.workload, revision.pods) = (None, 0),
            }
            follow_pods(revision);
            if let Some(service) = &mut revision.service {
                service.endpoints = revision.workload.as_ref().map_or(0, |w| w.ready);
                service.bound |= mesh;
            }
        }
        if let Some(target) = &mut self.world.target {
            target.ready = follow(target.ready, target.replicas, self.template, pods);
            target.settled = target.ready == target.replicas;
        }
        if let Some(route) = self.world.route.as_mut().filter(|_| mesh) {
            route.accepted = true;
            self.in_force = route.weights.clone();
        }
        self.world.parent.bound = self.surroundings.waypoint;
    }

    fn serve(&mut self, by: TimeDelta) {
        if !self.surroundings.traffic {
            return;
        }
        for (name, weight) in &self.in_force {
            let ready = self
                .world
                .revisions
                .get(name)
                .and_then(|r| r.workload.as_ref());
            let down = ready.is_none_or(|workload| workload.ready == 0);
            let errors = match template_of(name) {
                _ if down => 1.0,
                _ if self.surroundings.incident => 0.3,
                BAD => 0.3,
                template if self.surroundings.broken == Some(template) => 0.3,
                _ => 0.001,
            };
            self.meter
                .serve(name, weight.fraction() * by.as_seconds_f64(), errors);
        }
    }

    /// The metrics source is read.
    pub(crate) fn scrape(&mut self) {
        let evidence = &mut self.world.evidence;
        if self.surroundings.metrics {
            evidence.problem = None;
            self.meter.sample(self.now, evidence);
            call_around(&mut self.world, self.surroundings.around, self.now);
        } else {
            evidence.problem = Some("connection refused".to_owned());
        }
    }

    /// Does what a decision asks, as the API server would. An error is a refusal.
    pub(crate) fn apply(&mut self, effect: &Effect) -> Result<(), String> {
        let now = self.now;
        let existing = |revisions: &mut BTreeMap<RevisionName, Revision>, name: &RevisionName| {
            let stored = revisions.get(name).is_some_and(|r| r.record.is_some());
            stored.then_some(()).ok_or(format!("{name} not found"))
        };
        let revisions = &mut self.world.revisions;
        match effect {
            Effect::Claim => self.world.claimed = true,
            Effect::Snapshot(name) => {
                let revision = revisions.entry(name.clone()).or_default();
                revision.template = format!("v{}", template_of(name));
                revision.record.get_or_insert_with(Record::default);
                revision.created.get_or_insert(now);
            }
            Effect::Expose(name) => {
                existing(revisions, name)?;
                let revision = revisions.entry(name.clone()).or_default();
                revision.service.get_or_insert_with(Service::default);
            }
            Effect::Run { revision, replicas } => {
                existing(revisions, revision)?;
                let revision = revisions.entry(revision.clone()).or_default();
                let workload = revision.workload.get_or_insert_with(Workload::default);
                workload.replicas = *replicas;
                revision.pods = revision.pods.max(*replicas);
            }
            Effect::Remember { revision, record } => {
                existing(revisions, revision)?;
                revisions.entry(revision.clone()).or_default().record = Some(record.clone());
            }
            Effect::Route(routing) => self.world.route = Some(written(routing)),
            Effect::Unroute => {
                self.world.route = None;
                self.in_force.clear();
            }
            Effect::ScaleTarget(replicas) => {
                let target = self.world.target.as_mut().ok_or("target not found")?;
                target.replicas = *replicas;
                target.settled = target.ready == *replicas;
                (target.owned, target.writer) = (true, None);
            }
            Effect::KeepTarget(replicas) => {
                let target = self.world.target.as_mut().ok_or("target not found")?;
                if target.replicas != *replicas {
                    return Err("conflict".to_owned());
                }
                target.owned = true;
            }
            Effect::Remove { revision, part } => self.remove(revision, *part),
            Effect::Admit(name) => {
                let revision = revisions.get_mut(name).ok_or("no pods")?;
                revision.admission.admitted += std::mem::take(&mut revision.admission.outside);
                follow_pods(revision);
            }
            Effect::Dismiss(name) => {
                let revision = revisions.get_mut(name).ok_or("no pods")?;
                revision.admission.outside += std::mem::take(&mut revision.admission.admitted);
                follow_pods(revision);
            }
            Effect::Release => self.gone = true,
        }
        Ok(())
    }

    fn remove(&mut self, name: &RevisionName, part: Part) {
        let Some(revision) = self.world.revisions.get_mut(name) else {
            return;
        };
        match part {
            Part::Workload => {
                if let Some(workload) = &mut revision.workload {
                    workload.going = true;
                    workload.ready = 0;
                }
            }
            Part::Service => revision.service = None,
            Part::Snapshot => revision.record = None,
        }
        if revision.record.is_none() && revision.service.is_none() && revision.workload.is_none() {
            self.world.revisions.remove(name);
        }
    }
}

/// New pods come without the role.
fn follow_pods(revision: &mut Revision) {
    let workload = revision.workload.clone().unwrap_or_default();
    let (live, ready) = if workload.going {
        (0, 0)
    } else {
        (workload.replicas, workload.ready)
    };
    let admitted = revision.admission.admitted.min(live);
    revision.admission = Admission {
        admitted,
        ready: admitted.min(ready),
        outside: live - admitted,
    };
}

/// A client that picks pods itself connects to the candidate's, where a Service has them as endpoints.
fn call_around(world: &mut World, around: bool, now: Time) {
    let evidence = &mut world.evidence;
    let candidate = evidence.candidate.as_ref();
    let revision = candidate.and_then(|name| world.revisions.get(name));
    let reached = revision.is_some_and(|revision| {
        let ready = revision.workload.as_ref().map_or(0, |w| w.ready);
        (if world.parent.strict {
            revision.admission.ready
        } else {
            ready
        }) > 0
    });
    if around && reached {
        let name = "batch".to_owned();
        evidence.callers = vec![Caller { name, last_at: now }];
    }
}

fn written(routing: &Routing) -> Route {
    Route {
        weights: routing.weights.clone(),
        stable: routing.stable.clone(),
        candidate: routing.candidate.clone(),
        step: routing.step,
        written_at: routing.at,
        intact: true,
        accepted: false,
        problem: None,
        foreign_writer: None,
    }
}
