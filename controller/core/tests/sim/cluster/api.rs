//! The API server: what becomes of a write.

use std::collections::BTreeMap;

use sluice_core::{
    Effect, Part, Record, Revision, RevisionName, Route, Routing, Service, Workload,
};

use super::{Cluster, follow_pods, template_of};

impl Cluster {
    /// What a write names, so that it is refused when it is about something else by the time it comes
    /// through: the version of the route, of a snapshot, of what is to shrink or to be deleted.
    pub(crate) fn precondition(&self, effect: &Effect) -> Option<u64> {
        match effect {
            Effect::Route(_) | Effect::Unroute => Some(self.version),
            // Nobody else writes a snapshot.
            Effect::Remember { revision, .. } => {
                let record = self.world.record(revision);
                Some(self.judged.get(revision).copied().unwrap_or_default())
                    .filter(|_| record.is_some())
            }
            // So is whatever takes pods away.
            Effect::ScaleTarget(replicas) => {
                let has = self.world.target.as_ref().map_or(0, |t| t.replicas);
                (has > *replicas).then(|| self.size_version(None))
            }
            Effect::Run { revision, replicas } => {
                let workload = self.world.revisions.get(revision)?.workload.as_ref()?;
                (workload.replicas > *replicas).then(|| self.size_version(Some(revision)))
            }
            Effect::Remove { revision, part } => {
                let made = self.made.get(&(revision.clone(), *part as u8));
                let written = match part {
                    Part::Workload => self.size_version(Some(revision)),
                    Part::Service => 0,
                    Part::Snapshot => self.judged.get(revision).copied().unwrap_or_default(),
                };
                Some(u64::from(made.copied().unwrap_or_default()) + written)
            }
            _ => None,
        }
    }

    fn size_version(&self, of: Option<&RevisionName>) -> u64 {
        let written = self.sized.get(&of.cloned());
        written.copied().unwrap_or_default()
    }

    /// Somebody wrote the size of a Deployment, or who owns it.
    pub(crate) fn resized(&mut self, of: Option<&RevisionName>) {
        *self.sized.entry(of.cloned()).or_default() += 1;
    }

    /// Does what a decision asks, as the API server would. An error is a refusal.
    pub(crate) fn apply(&mut self, effect: &Effect) -> Result<(), String> {
        let now = self.now;
        let existing = |revisions: &mut BTreeMap<RevisionName, Revision>, name: &RevisionName| {
            let stored = revisions.get(name).is_some_and(|r| r.record.is_some());
            stored.then_some(()).ok_or(format!("{name} not found"))
        };
        let revisions = &mut self.world.revisions;
        let mut make = |name: &RevisionName, part: Part| {
            *self.made.entry((name.clone(), part as u8)).or_default() += 1;
        };
        match effect {
            Effect::Claim | Effect::Release if self.absent => {
                return Err("Canary not found".to_owned());
            }
            Effect::Claim => self.world.claimed = true,
            Effect::Snapshot(name) => {
                let revision = revisions.entry(name.clone()).or_default();
                revision.template = format!("v{}", template_of(name));
                revision.record.get_or_insert_with(|| {
                    make(name, Part::Snapshot);
                    Record::default()
                });
                revision.created.get_or_insert(now);
            }
            Effect::Expose(_) | Effect::Route(_) if self.world.parent.missing => {
                return Err("the Service that clients call is gone".to_owned());
            }
            Effect::Expose(name) => {
                revisions.get(name).ok_or(format!("{name} not found"))?;
                let revision = revisions.entry(name.clone()).or_default();
                let service = revision.service.get_or_insert_with(|| {
                    make(name, Part::Service);
                    Service::default()
                });
                service.outdated = false;
            }
            Effect::Run {
                revision: name,
                replicas,
            } => {
                let there = |revision: &Revision| revision.workload.is_some();
                if !revisions.get(name).is_some_and(there) {
                    existing(revisions, name)?;
                }
                let revision = revisions.entry(name.clone()).or_default();
                let workload = revision.workload.get_or_insert_with(|| {
                    make(name, Part::Workload);
                    Workload::default()
                });
                workload.replicas = *replicas;
                revision.pods = revision.pods.max(*replicas);
                self.resized(Some(name));
            }
            Effect::Remember { revision, record } => {
                existing(revisions, revision)?;
                *self.judged.entry(revision.clone()).or_default() += 1;
                revisions.entry(revision.clone()).or_default().record = Some(record.clone());
            }
            Effect::Route(routing) => {
                self.world.route = Some(written(routing));
                self.noted_by_others = false;
                self.changed();
            }
            Effect::Unroute => {
                self.world.route = None;
                self.in_force.clear();
                self.changed();
            }
            Effect::ScaleTarget(replicas) => {
                let target = self.world.target.as_mut().ok_or("target not found")?;
                target.replicas = *replicas;
                target.settled = target.ready == *replicas;
                (target.owned, target.writer) = (true, None);
                self.resized(None);
            }
            Effect::KeepTarget(replicas) => {
                let target = self.world.target.as_mut().ok_or("target not found")?;
                if target.replicas != *replicas {
                    return Err("conflict".to_owned());
                }
                target.owned = true;
                self.resized(None);
            }
            Effect::Remove { revision, part } => self.remove(revision, *part),
            Effect::Release if !self.world.deleting => self.world.claimed = false,
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

    pub(crate) fn remove(&mut self, name: &RevisionName, part: Part) {
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
