//! What the world is like once an effect is done: a cluster at its plainest, which does at once what it is
//! told. What takes its time (pods, the mesh, traffic) is up to whoever simulates it.

use std::collections::BTreeMap;

use crate::{
    Admission, Effect, Part, Record, Revision, RevisionName, Route, Routing, Time, Workload, World,
};

impl World {
    /// Does what a decision asks, as an API server would.
    ///
    /// # Errors
    /// Why an API server would refuse.
    pub fn done(&mut self, effect: &Effect, now: Time) -> Result<(), String> {
        match effect {
            Effect::Claim => self.claimed = true,
            Effect::Release => self.claimed = false,
            Effect::Expose(_) | Effect::Route(_) if self.parent.missing => {
                return Err("the Service that clients call is gone".to_owned());
            }
            Effect::Route(routing) => self.route = Some(written(routing)),
            Effect::Unroute => self.route = None,
            Effect::ScaleTarget(replicas) => {
                let target = self.target.as_mut().ok_or("target not found")?;
                target.replicas = *replicas;
                target.settled = target.ready == *replicas;
                (target.owned, target.writer) = (true, None);
            }
            Effect::KeepTarget(replicas) => {
                let target = self.target.as_mut().ok_or("target not found")?;
                if target.replicas != *replicas {
                    return Err("conflict".to_owned());
                }
                target.owned = true;
            }
            Effect::LeaveTarget => {
                let target = self.target.as_mut().ok_or("target not found")?;
                target.owned = false;
            }
            Effect::SizeCanary(replicas) => {
                self.replicas.get_or_insert(*replicas);
            }
            Effect::Remove { revision, part } => self.remove(revision, *part),
            Effect::Snapshot(name) => self.snapshot(name, now),
            Effect::Expose(name) => {
                let revision = found(&mut self.revisions, name)?;
                revision.service.get_or_insert_default().outdated = false;
            }
            Effect::Run { revision, replicas } => {
                let revision = found(&mut self.revisions, revision)?;
                if revision.workload.is_none() {
                    stored(revision)?;
                }
                let workload: &mut Workload = revision.workload.get_or_insert_default();
                workload.replicas = *replicas;
                revision.pods = revision.pods.max(*replicas);
            }
            Effect::Remember { revision, record } => {
                let revision = found(&mut self.revisions, revision)?;
                stored(revision)?;
                revision.record = Some(record.clone());
            }
            Effect::Admit(name) => {
                let revision = found(&mut self.revisions, name)?;
                revision.admission.admitted += std::mem::take(&mut revision.admission.outside);
                revision.follow_pods();
            }
            Effect::Dismiss(name) => {
                let revision = found(&mut self.revisions, name)?;
                revision.admission.outside += std::mem::take(&mut revision.admission.admitted);
                revision.follow_pods();
            }
        }
        Ok(())
    }

    /// Takes a part of a revision away; its pods go by and by.
    pub fn remove(&mut self, name: &RevisionName, part: Part) {
        let Some(revision) = self.revisions.get_mut(name) else {
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
            self.revisions.remove(name);
        }
    }

    fn snapshot(&mut self, name: &RevisionName, now: Time) {
        let target = self.target.iter();
        let mut sources = target
            .map(|target| (&target.revision, &target.template, &target.images))
            .chain(
                self.promoted
                    .iter()
                    .map(|it| (&it.revision, &it.template, &it.images)),
            );
        let source = sources.find(|(revision, ..)| *revision == name);
        let revision = self.revisions.entry(name.clone()).or_default();
        if let Some((_, template, images)) = source {
            revision.template.clone_from(template);
            revision.images.clone_from(images);
        }
        revision.record.get_or_insert_with(Record::default);
        revision.created.get_or_insert(now);
    }
}

impl Revision {
    /// Counts its pods by their role, once their number is another: new ones come without it.
    pub fn follow_pods(&mut self) {
        let workload = self.workload.clone().unwrap_or_default();
        let (live, ready) = if workload.going {
            (0, 0)
        } else {
            (workload.replicas, workload.ready)
        };
        let admitted = self.admission.admitted.min(live);
        self.admission = Admission {
            admitted,
            ready: admitted.min(ready),
            outside: live - admitted,
        };
    }
}

fn found<'a>(
    revisions: &'a mut BTreeMap<RevisionName, Revision>,
    name: &RevisionName,
) -> Result<&'a mut Revision, String> {
    revisions.get_mut(name).ok_or(format!("{name} not found"))
}

/// What others made is no revision of ours without its snapshot.
fn stored(revision: &Revision) -> Result<(), String> {
    let record = revision.record.as_ref();
    record.map(|_| ()).ok_or("no snapshot".to_owned())
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
