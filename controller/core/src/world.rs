//! What was observed of the cluster, for one Canary, at one moment.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use crate::{Approval, Evidence, Orders, PastTraffic, Record, RevisionName, Time, Weight};

/// Everything that a decision looks at. It may be older than the cluster: nothing in it is a promise.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct World {
    /// A person asked for no writes at all.
    pub suspended: bool,
    /// The Canary is marked so that it cannot go before it was handed over.
    pub claimed: bool,
    /// The Canary is being deleted.
    pub deleting: bool,
    /// Since when, by the clock of the API server.
    pub deleted_at: Option<Time>,
    /// Something that a person must mend before any traffic grows.
    pub blocked: Option<Blocked>,
    /// The template source; `None` when it is gone.
    pub target: Option<Target>,
    /// What was promoted last, as Git tells; `None` where it does not, or where the target is just that. It
    /// counts only while nothing serves: in a cluster that is made anew from Git.
    pub promoted: Option<Source>,
    /// How many pods the user wants serving, if the Canary says so.
    pub replicas: Option<u32>,
    /// Every revision of which anything is left.
    pub revisions: BTreeMap<RevisionName, Revision>,
    /// Our route; `None` when there is none.
    pub route: Option<Route>,
    /// The Service that clients call.
    pub parent: Parent,
    /// Until then the mesh may not know what the API server says: that was away, and whoever watches it
    /// comes back by and by, pods later than routes or the other way round. What it says of one object
    /// proves nothing of another. `None` when it was not away.
    pub mesh_behind_until: Option<Time>,
    /// What the metrics say of the rollout under way.
    pub evidence: Evidence,
    /// What the metrics say of the revisions that drain; `None` where whoever follows the route does not count requests.
    #[serde(default)]
    pub leaving: Option<Leaving>,
    /// The requests that the Service had in the past, if that is known.
    pub traffic: Option<PastTraffic>,
    /// What a person ordered.
    pub orders: Orders,
    /// What a person approved.
    #[serde(default)]
    pub approved: Vec<Approval>,
    /// Why the API server did not take what was to be written last, verbatim.
    pub refused: Option<String>,
    /// What changes the size of the target or of the Canary by itself.
    pub autoscaler: Option<Autoscaler>,
}

/// Who still asks what left the route.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Leaving {
    /// Since when it is looked at.
    pub since: Time,
    /// Without a reading for so long, nobody waits for one.
    pub patience: TimeDelta,
    /// What was seen of each revision, once there were two readings of it.
    pub sights: BTreeMap<RevisionName, Sight>,
}

/// Whether a revision that left the route is asked.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Sight {
    /// The newest time between two readings.
    pub read: Span,
    /// The newest one in which a request to it ended.
    pub asked: Option<Span>,
}

/// A time between two readings of the metrics: what they differ by happened in it.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Span {
    /// Not before this.
    pub from: Time,
    /// Not after this.
    pub to: Time,
}

/// Why nothing may grow, in words for a person.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Blocked {
    /// `CamelCase`, for a condition's reason.
    pub reason: String,
    /// What is wrong, and how to mend it.
    pub message: String,
}

/// The Git-managed template source.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Target {
    /// Its name, for a person.
    #[serde(default)]
    pub name: String,
    /// The revision that its template and configuration make.
    pub revision: RevisionName,
    /// Names its template alone: equal for revisions that differ only in configuration.
    pub template: String,
    /// The images of its template.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<String>,
    /// `spec.replicas`; always 0 for a `PodTemplate`.
    pub replicas: u32,
    /// It has pods of its own, which can serve again: a Deployment, not a `PodTemplate`.
    pub scalable: bool,
    /// Its ready pods.
    pub ready: u32,
    /// Whether its own rollout is complete: all pods are of this template and ready.
    pub settled: bool,
    /// Sluice owns `spec.replicas`, alone or with others: it stays as it is when Git drops the field.
    pub owned: bool,
    /// Who else owns `spec.replicas`.
    pub writer: Option<Writer>,
}

impl Target {
    /// Who keeps the size in Git, from where it comes back whatever is written, and which one; nobody where it is 0,
    /// which is what is wanted.
    #[must_use]
    pub fn kept_by(&self) -> Option<(&Writer, u32)> {
        let writer = self.writer.as_ref()?;
        let size = writer.kept.filter(|size| *size > 0 && self.replicas > 0)?;
        Some((writer, size))
    }
}

/// A template with its configuration, that can become a revision.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Source {
    /// The revision that it makes.
    pub revision: RevisionName,
    /// Names the template alone; see [`Target::template`].
    pub template: String,
    /// The images of the template.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<String>,
}

/// Who else writes `spec.replicas` of the target.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Writer {
    /// Its field manager.
    pub manager: String,
    /// It writes the object, as Git's tools do, and not its scale alone, as autoscalers do.
    pub manifest: bool,
    /// The size in its manifest, as far as the API server tells: it was applied, and would be again.
    #[serde(default)]
    pub kept: Option<u32>,
}

/// What changes the size of something by itself.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Autoscaler {
    /// Kind and name.
    pub name: String,
    /// The size of what.
    pub scales: Scaled,
}

/// What an autoscaler is pointed at.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Scaled {
    /// The template source, which is at 0 once it was adopted: then it does nothing.
    Target,
    /// The Canary, as it should be.
    Canary,
}

/// One revision, as far as it exists.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Revision {
    /// Names its template alone; see [`Target::template`].
    pub template: String,
    /// The images of its template.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<String>,
    /// What its snapshot remembers; `None` when there is no snapshot.
    pub record: Option<Record>,
    /// When the snapshot was made.
    pub created: Option<Time>,
    /// Its Deployment.
    pub workload: Option<Workload>,
    /// Its Service.
    pub service: Option<Service>,
    /// Pods that exist in any state, terminating ones too.
    pub pods: u32,
    /// Those of them that the Service that clients call may select.
    pub admission: Admission,
}

/// Pods of a revision by whether they carry the role that the Service that clients call selects in strict
/// mode. Terminating ones are in neither part: no Service has them among its endpoints.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Admission {
    /// Pods with the role.
    pub admitted: u32,
    /// Those of them that are ready.
    pub ready: u32,
    /// Pods without it.
    pub outside: u32,
}

/// A revision's Deployment.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Workload {
    /// Pods wanted.
    pub replicas: u32,
    /// Pods ready.
    pub ready: u32,
    /// It is being deleted.
    pub going: bool,
    /// Why pods are missing or not ready, verbatim.
    pub problem: Option<String>,
}

/// A revision's Service.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Service {
    /// The mesh says that it knows this Service, in ambient mode by `istio.io/WaypointBound`.
    pub bound: bool,
    /// It lacks a port or a label that the Service that clients call has.
    pub outdated: bool,
    /// Ready endpoints.
    pub endpoints: u32,
    /// What the mesh says is wrong, verbatim.
    pub problem: Option<String>,
}

/// The route that we wrote.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Route {
    /// The share of each backend; a backend with nothing is left out.
    pub weights: BTreeMap<RevisionName, Weight>,
    /// The stable revision as of our last write.
    pub stable: Option<RevisionName>,
    /// The candidate as of our last write.
    pub candidate: Option<RevisionName>,
    /// The step as of our last write, counted from 0.
    pub step: Option<usize>,
    /// When our last write was decided.
    pub written_at: Time,
    /// The rest of it is what we would write: ports, filters, matches.
    pub intact: bool,
    /// The mesh accepted the current generation.
    pub accepted: bool,
    /// What the mesh says is wrong, verbatim.
    pub problem: Option<String>,
    /// Who else wrote it, if somebody did.
    pub foreign_writer: Option<String>,
}

impl Route {
    /// When our last write was decided. Nobody has decided anything in the future: such a note is
    /// somebody else's, or of another clock, and says nothing until then.
    #[must_use]
    pub fn written_before(&self, now: Time) -> Option<Time> {
        Some(self.written_at).filter(|at| *at <= now)
    }

    /// The weight of a revision; zero when the route does not name it.
    #[must_use]
    pub fn weight(&self, revision: &RevisionName) -> Weight {
        self.weights.get(revision).copied().unwrap_or_default()
    }
}

/// The Service that clients call, the route's parent.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Parent {
    /// There is none: no route can be written.
    pub missing: bool,
    /// The mesh says that it serves it, in ambient mode by a waypoint (`istio.io/WaypointBound`).
    pub bound: bool,
    /// It selects by our role, so that whoever picks its endpoints himself reaches admitted pods alone.
    pub strict: bool,
    /// What the mesh says is wrong, verbatim.
    pub problem: Option<String>,
}

impl World {
    /// What the snapshot of a revision remembers.
    #[must_use]
    pub fn record(&self, revision: &RevisionName) -> Option<&Record> {
        self.revisions.get(revision)?.record.as_ref()
    }

    /// The weight that the route gives to a revision.
    #[must_use]
    pub fn weight(&self, revision: &RevisionName) -> Weight {
        self.route
            .as_ref()
            .map(|route| route.weight(revision))
            .unwrap_or_default()
    }
}
