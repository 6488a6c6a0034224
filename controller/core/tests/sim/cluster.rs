//! The true cluster: what is, not what anybody has seen of it.

mod api;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta};
use sluice_core::{
    Caller, Orders, Parent, Revision, RevisionName, Target, Time, Weight, World, Writer,
};

use crate::metrics::Meter;
use crate::others;

/// What the surroundings do, without anybody writing anything.
#[allow(clippy::struct_excessive_bools, reason = "each part breaks by itself")]
#[derive(Clone, Debug)]
pub(crate) struct Surroundings {
    /// How new pods become ready.
    pub(crate) pods: Pods,
    /// The revision of which no pod is ready.
    pub(crate) unready: Option<RevisionName>,
    /// The mesh follows what is written.
    pub(crate) mesh: bool,
    /// So do its proxies, as it says in any case.
    pub(crate) proxies: bool,
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
    /// An ingress brings a part of the requests, and asks no route.
    pub(crate) ingress: bool,
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
            unready: None,
            mesh: true,
            proxies: true,
            waypoint: true,
            metrics: true,
            traffic: true,
            incident: false,
            broken: None,
            around: false,
            ingress: false,
        }
    }
}

/// The part of the requests that an ingress brings to all revisions alike.
const PAST: f64 = 0.2;

/// What is wrong with a template, by its number: 4 answers with errors, 5 never gets ready.
pub(crate) const BAD: u8 = 4;
/// The template that fails half of its requests, and the one that fails a few. Scenarios alone have them.
const HALF_BAD: u8 = 6;
const A_LITTLE_BAD: u8 = 7;
pub(crate) const CRASHING: u8 = 5;

#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own about the cluster"
)]
pub(crate) struct Cluster {
    pub(crate) now: Time,
    /// As an observer with fresh caches would see it.
    pub(crate) world: World,
    pub(crate) surroundings: Surroundings,
    /// The weights that the mesh follows; it may be behind the route.
    pub(crate) in_force: BTreeMap<RevisionName, Weight>,
    pub(crate) meter: Meter,
    /// The Canary was let go.
    pub(crate) gone: bool,
    /// There is no Canary, and what it made may be there.
    pub(crate) absent: bool,
    /// Revisions of which others took a part away, until they are whole again.
    pub(crate) damaged: BTreeSet<RevisionName>,
    /// Once nobody wanted any pods: a late look may take that for the present.
    pub(crate) unwanted: bool,
    /// Others wrote our notes on the route.
    pub(crate) noted_by_others: bool,
    /// Git has dropped the size of the target, and who applies it has not written that: nothing would change.
    pub(crate) dropped: bool,
    /// Counts the writes of the route, as its resource version does.
    pub(crate) version: u64,
    /// How often a snapshot was written.
    judged: BTreeMap<RevisionName, u64>,
    /// How often the size of a Deployment was written; of the target's without a name.
    sized: BTreeMap<Option<RevisionName>, u64>,
    /// How often a part of a revision was made, as its UID tells.
    made: BTreeMap<(RevisionName, u8), u32>,
    template: u8,
    config: u8,
}

/// Midnight, so that the times that a Canary tells are those of its journal.
pub(crate) fn start_of_time() -> Time {
    DateTime::from_timestamp(1_700_006_400, 0).unwrap()
}

/// Something like Helm has `spec.replicas` of the target: nobody can see whether it still does.
fn git() -> Writer {
    Writer {
        manager: "git".to_owned(),
        manifest: true,
        kept: None,
    }
}

/// The number of a revision's template: `v4.1` is template 4 with configuration 1.
pub(crate) fn template_of(revision: &RevisionName) -> u8 {
    revision.as_str().as_bytes()[1] - b'0'
}

/// The image of a template, which its configurations share.
pub(crate) fn image(template: u8) -> String {
    format!("shop:{template}")
}

/// Beside it is one that every template has.
pub(crate) fn images(template: u8) -> Vec<String> {
    vec![image(template), "proxy:1".to_owned()]
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
                    name: "shop".to_owned(),
                    scalable: true,
                    revision: "v0".into(),
                    template: "v0".to_owned(),
                    images: images(0),
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
            absent: false,
            damaged: BTreeSet::new(),
            unwanted: false,
            noted_by_others: false,
            dropped: false,
            version: 0,
            judged: BTreeMap::new(),
            sized: BTreeMap::new(),
            made: BTreeMap::new(),
            template: 0,
            config: 0,
        };
        cluster.world.evidence.stale_after = TimeDelta::seconds(45);
        cluster.meter.forget(&mut cluster.world, cluster.now);
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
            name: "shop".to_owned(),
            scalable: true,
            revision: "v0".into(),
            template: String::new(),
            images: Vec::new(),
            replicas: 0,
            ready: 0,
            settled: true,
            owned: false,
            writer: None,
        });
        target.template = format!("v{template}");
        target.images = images(template);
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
        others::drop_size(self);
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
                    workload.ready = if self.surroundings.unready.as_ref() == Some(name) {
                        0
                    } else {
                        follow(workload.ready, workload.replicas, template, pods)
                    };
                    revision.pods = workload.replicas;
                    let crashing = template == CRASHING && workload.replicas > 0;
                    workload.problem = crashing.then(|| "CrashLoopBackOff".to_owned());
                }
                _ => (revision.workload, revision.pods) = (None, 0),
            }
            revision.follow_pods();
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
            if self.surroundings.proxies {
                self.in_force = route.weights.clone();
            }
        }
        self.world.parent.bound = self.surroundings.waypoint && !self.world.parent.missing;
        let whole = |revision: &Revision| {
            let runs = revision.workload.as_ref().is_some_and(|w| w.replicas > 0);
            runs && revision.service.is_some()
        };
        let exists = |_: &RevisionName, revision: &mut Revision| {
            revision.record.is_some() || revision.service.is_some() || revision.workload.is_some()
        };
        self.world.revisions.retain(exists);
        let revisions = &self.world.revisions;
        self.damaged
            .retain(|name| !revisions.get(name).is_some_and(whole));
    }

    /// Somebody wrote the route.
    pub(crate) fn changed(&mut self) {
        self.version += 1;
    }

    /// The Canary is gone, whatever it has made.
    pub(crate) fn lose_canary(&mut self) {
        self.absent = true;
        (self.gone, self.world.claimed, self.world.deleting) = (false, false, false);
        self.world.orders = Orders::default();
        self.world.approved.clear();
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
                HALF_BAD => 0.5,
                A_LITTLE_BAD => 0.006,
                template if self.surroundings.broken == Some(template) => 0.3,
                _ => 0.001,
            };
            let alike = f64::from(u32::try_from(self.in_force.len()).unwrap_or(1)).recip();
            let past = if self.surroundings.ingress { PAST } else { 0.0 };
            let share = (1.0 - past) * weight.fraction() + past * alike;
            let seconds = share * by.as_seconds_f64();
            self.meter.serve(name, seconds, errors);
        }
    }

    /// The metrics source is read.
    pub(crate) fn scrape(&mut self) {
        let evidence = &mut self.world.evidence;
        if self.surroundings.metrics {
            evidence.problem = None;
            self.meter.sample(self.now, evidence);
            self.meter.look_back(self.now, &mut self.world);
            call_around(&mut self.world, self.surroundings.around, self.now);
        } else {
            evidence.problem = Some("connection refused".to_owned());
        }
    }
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
