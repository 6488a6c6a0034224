//! What the controller sees: the truth, with some kinds of objects a little late.

use std::collections::BTreeSet;

use sluice_core::{Effect, World};

/// The kinds of objects that are watched separately.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Kind {
    Canary,
    Target,
    Snapshots,
    Workloads,
    Services,
    Route,
}

/// All of them.
pub(crate) const KINDS: [Kind; 6] = [
    Kind::Target,
    Kind::Workloads,
    Kind::Services,
    Kind::Route,
    Kind::Snapshots,
    Kind::Canary,
];

/// Caches with lag. A kind that lags shows others' writes late, never our own: after a write of ours
/// nothing is decided on an older cache.
#[derive(Default)]
pub(crate) struct Cache {
    world: World,
    late: BTreeSet<Kind>,
}

impl Cache {
    /// From now on the caches of a kind stand still.
    pub(crate) fn delay(&mut self, kind: Kind, truth: &World) {
        if self.late.is_empty() {
            self.world = truth.clone();
        } else if !self.late.contains(&kind) {
            // What was seen last may be from before a write of ours.
            self.copy(kind, truth);
        }
        self.late.insert(kind);
    }

    /// No watch tells of anything.
    pub(crate) fn delay_all(&mut self, truth: &World) {
        for kind in KINDS {
            self.delay(kind, truth);
        }
    }

    /// All caches are fresh again, as after a restart.
    pub(crate) fn catch_up(&mut self) {
        self.late.clear();
    }

    /// What is seen, if it is not the truth.
    pub(crate) fn stale(&mut self, truth: &World) -> Option<&World> {
        if self.late.is_empty() {
            return None;
        }
        for kind in KINDS {
            if !self.late.contains(&kind) {
                self.copy(kind, truth);
            }
        }
        self.world.evidence = truth.evidence.clone();
        self.world.leaving.clone_from(&truth.leaving);
        Some(&self.world)
    }

    /// A write of ours is seen before the next decision, and everything before it.
    pub(crate) fn wrote(&mut self, effect: &Effect) {
        self.late.remove(&kind_of(effect));
    }

    fn copy(&mut self, kind: Kind, truth: &World) {
        let seen = &mut self.world;
        match kind {
            Kind::Canary => {
                (seen.suspended, seen.claimed) = (truth.suspended, truth.claimed);
                (seen.deleting, seen.deleted_at) = (truth.deleting, truth.deleted_at);
                seen.replicas = truth.replicas;
                seen.autoscaler.clone_from(&truth.autoscaler);
                seen.orders = truth.orders.clone();
                seen.approved.clone_from(&truth.approved);
                seen.promoted.clone_from(&truth.promoted);
                seen.blocked.clone_from(&truth.blocked);
            }
            Kind::Target => seen.target.clone_from(&truth.target),
            Kind::Route => seen.route.clone_from(&truth.route),
            Kind::Snapshots | Kind::Workloads | Kind::Services => self.copy_revisions(kind, truth),
        }
    }

    fn copy_revisions(&mut self, kind: Kind, truth: &World) {
        let seen = &mut self.world;
        if kind == Kind::Services {
            seen.parent = truth.parent.clone();
        }
        for (name, real) in &truth.revisions {
            let revision = seen.revisions.entry(name.clone()).or_default();
            revision.template.clone_from(&real.template);
            revision.images.clone_from(&real.images);
        }
        let nothing = sluice_core::Revision::default();
        for (name, revision) in &mut seen.revisions {
            let real = truth.revisions.get(name).unwrap_or(&nothing);
            match kind {
                Kind::Snapshots => {
                    revision.record.clone_from(&real.record);
                    revision.created = real.created;
                }
                Kind::Workloads => {
                    revision.workload.clone_from(&real.workload);
                    revision.pods = real.pods;
                    revision.admission = real.admission;
                }
                _ => revision.service.clone_from(&real.service),
            }
        }
        seen.revisions.retain(|_, revision| {
            revision.record.is_some()
                || revision.workload.is_some()
                || revision.service.is_some()
                || revision.pods > 0
        });
    }
}

fn kind_of(effect: &Effect) -> Kind {
    match effect {
        Effect::Claim | Effect::Release | Effect::SizeCanary(_) => Kind::Canary,
        Effect::Snapshot(_) | Effect::Remember { .. } => Kind::Snapshots,
        Effect::Expose(_) => Kind::Services,
        Effect::Run { .. } | Effect::Admit(_) | Effect::Dismiss(_) => Kind::Workloads,
        Effect::Route(_) | Effect::Unroute => Kind::Route,
        Effect::ScaleTarget(_) | Effect::KeepTarget(_) | Effect::LeaveTarget => Kind::Target,
        Effect::Remove { part, .. } => match part {
            sluice_core::Part::Workload => Kind::Workloads,
            sluice_core::Part::Service => Kind::Services,
            sluice_core::Part::Snapshot => Kind::Snapshots,
        },
    }
}
