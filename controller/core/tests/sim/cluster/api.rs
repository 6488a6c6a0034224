//! The API server: what becomes of a write.

use sluice_core::{Effect, Part, RevisionName};

use super::{Cluster, images, template_of};

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
        match effect {
            Effect::Claim | Effect::Release if self.absent => {
                return Err("Canary not found".to_owned());
            }
            Effect::Release if self.world.deleting => {
                self.gone = true;
                return Ok(());
            }
            _ => {}
        }
        let makes = match effect {
            Effect::Snapshot(name) => Some((name, Part::Snapshot)),
            Effect::Expose(name) => Some((name, Part::Service)),
            Effect::Run { revision, .. } => Some((revision, Part::Workload)),
            _ => None,
        };
        let makes = makes.filter(|(name, part)| !self.has(name, *part));
        self.world.done(effect, self.now)?;
        if let Some((name, part)) = makes {
            *self.made.entry((name.clone(), part as u8)).or_default() += 1;
        }
        match effect {
            // By now Git may ask for another one. What is stored was read before.
            Effect::Snapshot(name) => {
                if let Some(revision) = self.world.revisions.get_mut(name) {
                    let template = template_of(name);
                    revision.template = format!("v{template}");
                    revision.images = images(template);
                }
            }
            Effect::Run { revision, .. } => self.resized(Some(revision)),
            Effect::Remember { revision, .. } => {
                *self.judged.entry(revision.clone()).or_default() += 1;
            }
            Effect::Route(_) => {
                self.noted_by_others = false;
                self.changed();
            }
            Effect::Unroute => {
                if self.surroundings.proxies {
                    self.in_force.clear();
                }
                self.changed();
            }
            Effect::ScaleTarget(_) | Effect::KeepTarget(_) | Effect::LeaveTarget => {
                self.resized(None);
            }
            _ => {}
        }
        Ok(())
    }

    fn has(&self, name: &RevisionName, part: Part) -> bool {
        let revision = self.world.revisions.get(name);
        revision.is_some_and(|revision| match part {
            Part::Workload => revision.workload.is_some(),
            Part::Service => revision.service.is_some(),
            Part::Snapshot => revision.record.is_some(),
        })
    }
}
