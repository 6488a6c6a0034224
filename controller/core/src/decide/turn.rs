//! What the stages of one decision share.

use crate::decision::{Decision, Effect, Note};
use crate::evidence::Finding;
use crate::waiting::Waiting;
use crate::{Autoscaler, Plan, Revision, RevisionName, Scaled, State, Time, Weight, World};

use super::phase;

/// One decision in the making.
pub(super) struct Turn<'a> {
    pub(super) plan: &'a Plan,
    pub(super) world: &'a World,
    pub(super) now: Time,
    pub(super) state: State,
    pub(super) effects: Vec<Effect>,
    pub(super) notes: Vec<Note>,
    pub(super) findings: Vec<Finding>,
    /// The weight for which the candidate is to be sized.
    pub(super) aim: Weight,
    waiting: Option<Waiting>,
    wake_at: Option<Time>,
}

impl<'a> Turn<'a> {
    pub(super) fn new(plan: &'a Plan, state: &State, world: &'a World, now: Time) -> Self {
        Self {
            plan,
            world,
            now,
            state: state.clone(),
            effects: Vec::new(),
            notes: Vec::new(),
            findings: Vec::new(),
            aim: Weight::ZERO,
            waiting: None,
            wake_at: None,
        }
    }

    /// Says what the Canary waits for. The first reason given is the one that is told.
    pub(super) fn wait(&mut self, waiting: Waiting) {
        self.waiting.get_or_insert(waiting);
    }

    /// What the Canary waits for, as far as is known.
    pub(super) fn waiting(&self) -> Option<&Waiting> {
        self.waiting.as_ref()
    }

    /// Forgets what was waited for: the rollout that waited has ended.
    pub(super) fn clear_waiting(&mut self) {
        self.waiting = None;
    }

    /// Whatever is waited for while the Canary goes, a person should point an autoscaler elsewhere meanwhile.
    pub(super) fn advise(&mut self, autoscaler: &str, deployment: &str) {
        self.waiting = self
            .waiting
            .take()
            .map(|meanwhile| Waiting::AutoscalerLeaves {
                name: autoscaler.to_owned(),
                deployment: deployment.to_owned(),
                meanwhile: Box::new(meanwhile),
            });
    }

    /// Asks to be called again at `at`. What is due already was looked at in this decision.
    pub(super) fn wake(&mut self, at: Time) {
        if at <= self.now {
            return;
        }
        self.wake_at = Some(self.wake_at.map_or(at, |earlier| earlier.min(at)));
    }

    pub(super) fn revision(&self, name: &RevisionName) -> Option<&'a Revision> {
        self.world.revisions.get(name)
    }

    /// How many pods serve all traffic.
    pub(super) fn desired(&self) -> u32 {
        let adopted = self.state.adopted_replicas.unwrap_or(1);
        self.world.replicas.unwrap_or_else(|| {
            if self.autoscaler_of(Scaled::Canary).is_some() {
                // An autoscaler may have made it larger since, and goes on from there.
                adopted.max(self.stable_size())
            } else {
                adopted
            }
        })
    }

    /// What changes the size of one of the two by itself.
    pub(super) fn autoscaler_of(&self, scaled: Scaled) -> Option<&'a Autoscaler> {
        let autoscaler = self.world.autoscaler.as_ref();
        autoscaler.filter(|autoscaler| autoscaler.scales == scaled)
    }

    /// Full size: as desired, and never less than the stable revision has now.
    pub(super) fn full(&self) -> u32 {
        self.desired().max(self.stable_size())
    }

    /// The pods that the stable revision wants now.
    pub(super) fn stable_size(&self) -> u32 {
        let stable = self.state.stable.as_ref();
        let workload = stable.and_then(|name| self.revision(name)?.workload.as_ref());
        workload.map_or(0, |workload| workload.replicas)
    }

    /// Until when the mesh may be behind the API server, if it may be so now.
    pub(super) fn mesh_behind_until(&self) -> Option<Time> {
        self.world
            .mesh_behind_until
            .filter(|until| *until > self.now)
    }

    pub(super) fn end(self) -> Decision {
        let phase = phase::of(&self.state, self.world, self.waiting.as_ref());
        Decision {
            state: self.state,
            phase,
            effects: self.effects,
            notes: self.notes,
            waiting: self.waiting,
            findings: self.findings,
            wake_at: self.wake_at,
        }
    }
}
