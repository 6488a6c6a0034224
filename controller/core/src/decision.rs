//! What a decision asks for.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Finding, Phase, Record, RevisionName, State, Time, Waiting, Weight};

/// The outcome of one look at the world.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Decision {
    /// What to remember, once every effect is done.
    pub state: State,
    /// Where the Canary is.
    pub phase: Phase,
    /// What to write, in this order. Each is idempotent.
    pub effects: Vec<Effect>,
    /// What to tell the user once, when the effects are done.
    pub notes: Vec<Note>,
    /// What the Canary waits for; `None` when it is at rest.
    pub waiting: Option<Waiting>,
    /// What the SLOs said of the candidate, in the plan's order; empty when nothing was judged.
    pub findings: Vec<Finding>,
    /// When to look again, if nothing changes before.
    pub wake_at: Option<Time>,
}

/// One write. Doing it twice is the same as doing it once.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Effect {
    /// Mark the Canary so that it cannot go before it was handed over.
    Claim,
    /// Store the target's template and copies of its configuration as a revision.
    Snapshot(RevisionName),
    /// Give a revision its Service.
    Expose(RevisionName),
    /// Give a revision a Deployment of so many pods.
    Run {
        /// Which one.
        revision: RevisionName,
        /// Pods wanted.
        replicas: u32,
    },
    /// Write the route.
    Route(Routing),
    /// Delete the route.
    Unroute,
    /// Write on a revision's snapshot what is to be remembered of it.
    Remember {
        /// Which one.
        revision: RevisionName,
        /// The whole record.
        record: Record,
    },
    /// Set `spec.replicas` of the target, and nothing else of it.
    ScaleTarget(u32),
    /// Own `spec.replicas` of the target together with whoever does, at its present value: when Git drops
    /// the field, it stays.
    KeepTarget(u32),
    /// Give up our part in `spec.replicas` of the target, and change nothing: it is whoever's that says it too.
    LeaveTarget,
    /// Give the Canary a size where it has none, so that its autoscaler can change it: what has none cannot be
    /// scaled.
    SizeCanary(u32),
    /// Delete a part of a revision.
    Remove {
        /// Which one.
        revision: RevisionName,
        /// Which part of it.
        part: Part,
    },
    /// Put the role on every pod of a revision that lacks it, so that the Service that clients call selects
    /// it.
    Admit(RevisionName),
    /// Take the role from every pod of a revision.
    Dismiss(RevisionName),
    /// Let the Canary go.
    Release,
}

impl Effect {
    /// Whether the next decision asks for it again as long as the world lacks it, whatever the state
    /// says: then its failure alone loses nothing, and holds up nothing else.
    #[must_use]
    pub fn is_repeated(&self) -> bool {
        match self {
            Self::Snapshot(_)
            | Self::Expose(_)
            | Self::Run { .. }
            | Self::ScaleTarget(_)
            | Self::Admit(_)
            | Self::Dismiss(_)
            | Self::KeepTarget(_)
            | Self::LeaveTarget
            | Self::SizeCanary(_)
            | Self::Remove { .. } => true,
            Self::Claim
            | Self::Route(_)
            | Self::Unroute
            | Self::Remember { .. }
            | Self::Release => false,
        }
    }
}

/// What the route is to say.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Routing {
    /// The share of each backend; they sum to the whole.
    pub weights: BTreeMap<RevisionName, Weight>,
    /// The stable revision, noted on the route so that it survives a lost status.
    pub stable: Option<RevisionName>,
    /// The candidate, likewise.
    pub candidate: Option<RevisionName>,
    /// The step, counted from 0, likewise.
    pub step: Option<usize>,
    /// When this was decided, likewise: the API server's own times are whole seconds of another clock.
    pub at: Time,
}

/// A part of a revision, in the order of removal.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Part {
    /// Its Deployment, with its pods.
    Workload,
    /// Its Service.
    Service,
    /// Its snapshot and its copies of configuration.
    Snapshot,
}

/// Something that happened, told once.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Note {
    /// The first revision took over from the target.
    Adopted(RevisionName),
    /// A rollout started.
    Started {
        /// The candidate.
        candidate: RevisionName,
        /// Whether it was promoted before, so that no gate applies.
        going_back: bool,
    },
    /// A newer template took a candidate's place, or Git went back to the stable one.
    Superseded(RevisionName),
    /// The candidate waits for an approval.
    ApprovalAwaited {
        /// Which one.
        candidate: RevisionName,
        /// Its weight.
        at: Weight,
        /// What is to be written in `spec.approved`.
        asked: String,
    },
    /// The candidate was approved.
    Approved {
        /// Which one.
        candidate: RevisionName,
        /// Its weight.
        at: Weight,
        /// By which entry of `spec.approved`.
        by: String,
    },
    /// The candidate took all traffic.
    Promoted(RevisionName),
    /// The candidate was rejected.
    Rejected {
        /// Which one.
        revision: RevisionName,
        /// Why.
        reason: String,
        /// A person ordered it.
        ordered: bool,
    },
    /// Somebody else wrote the route; it was put back.
    RouteRestored {
        /// The field manager that wrote it.
        writer: String,
    },
    /// An order was carried out.
    Obeyed(String),
    /// The target was scaled to 0: all of it is adopted.
    Released {
        /// The size that it had.
        replicas: u32,
        /// Who had the size in a manifest.
        held_by: Option<String>,
    },
    /// Somebody else scaled the target up; it is put back.
    TargetRestored {
        /// The field manager.
        writer: String,
        /// What it had set.
        replicas: u32,
    },
    /// The Canary goes, and this revision goes on serving: the target cannot take over from it.
    LeftServing(RevisionName),
    /// The Canary goes, and an autoscaler still scales it: from now on that scales nothing.
    AutoscalerLeft {
        /// Kind and name.
        autoscaler: String,
        /// The Deployment that serves from now on.
        deployment: String,
    },
    /// An order came too late: what it names serves already.
    Void(String),
}
