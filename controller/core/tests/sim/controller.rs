//! The controller around `decide`: it applies effects one by one, remembers what was decided once all
//! are done, and may crash between any two writes.

use std::collections::BTreeSet;

use sluice_core::{Decision, Effect, Note, Plan, RevisionName, State, Time, World};

use crate::audit::Audit;
use crate::cache::Cache;
use crate::cluster::Cluster;

/// `decide`, or a sabotaged one.
pub(crate) type Decide = fn(&Plan, &State, &World, Time) -> Decision;

/// What goes wrong at a coming write.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Fault {
    /// The controller dies instead of writing.
    Crash,
    /// The API server refuses the write.
    Refuse,
}

pub(crate) struct Controller {
    decide: Decide,
    plan: Plan,
    /// What the last decision left, in memory.
    pub(crate) memory: State,
    /// The same in the Canary's status.
    status: State,
    fault: Option<(Fault, u8)>,
    /// Revisions whose verdict is written, and which no status tells of yet.
    pub(crate) untold: BTreeSet<RevisionName>,
    pub(crate) last: Option<Decision>,
}

/// Decisions in a row, each after all effects of the one before.
const ROUNDS: usize = 4;

impl Controller {
    pub(crate) fn new(decide: Decide, plan: Plan) -> Self {
        Self {
            decide,
            plan,
            memory: State::default(),
            status: State::default(),
            fault: None,
            untold: BTreeSet::new(),
            last: None,
        }
    }

    /// The write after the next `writes` goes wrong. The status counts as one.
    pub(crate) fn arm(&mut self, fault: Fault, writes: u8) {
        self.fault = Some((fault, writes));
    }

    pub(crate) fn disarm(&mut self) {
        self.fault = None;
    }

    /// The process dies and starts again, with fresh caches and what the status remembers.
    pub(crate) fn restart(&mut self, cluster: &mut Cluster, cache: &mut Cache) {
        self.memory = self.status.clone();
        if let Some(rollout) = &mut self.memory.rollout {
            // The status does not keep these.
            rollout.ready_since = None;
            rollout.passed_at = None;
            rollout.weight_at = cluster.now;
        }
        cache.catch_up();
        cluster.world.evidence.samples.clear();
        cluster.world.evidence.callers.clear();
    }

    /// The same, and somebody wiped the status.
    pub(crate) fn forget(&mut self, cluster: &mut Cluster, cache: &mut Cache) {
        self.status = State::default();
        // With it went all that it could tell.
        self.untold.clear();
        self.restart(cluster, cache);
    }

    /// Decides until nothing is left to do at this moment.
    pub(crate) fn reconcile(
        &mut self,
        cluster: &mut Cluster,
        cache: &mut Cache,
        audit: &mut Audit,
    ) {
        for _ in 0..ROUNDS {
            if cluster.gone || !self.decide_once(cluster, cache, audit) {
                return;
            }
        }
    }

    /// Whether something was done, so that the next decision may do more.
    fn decide_once(&mut self, cluster: &mut Cluster, cache: &mut Cache, audit: &mut Audit) -> bool {
        let now = cluster.now;
        cluster
            .meter
            .follow(&self.memory, &mut cluster.world.evidence);
        let truth = &cluster.world;
        let seen = cache.stale(truth).unwrap_or(truth);
        let decision = (self.decide)(&self.plan, &self.memory, seen, now);
        let again = |state: &State, world: &World| (self.decide)(&self.plan, state, world, now);
        audit.decided(seen, &self.memory, &decision, now, &again);
        let done = self.apply(&decision, cluster, cache, audit);
        self.last = Some(decision);
        done
    }

    fn apply(
        &mut self,
        decision: &Decision,
        cluster: &mut Cluster,
        cache: &mut Cache,
        audit: &mut Audit,
    ) -> bool {
        let mut forgotten = false;
        for effect in &decision.effects {
            let applied = match self.strikes() {
                Some(Fault::Crash) => {
                    self.restart(cluster, cache);
                    return false;
                }
                Some(Fault::Refuse) => Err("refused".to_owned()),
                None => cluster.apply(effect),
            };
            match applied {
                Ok(()) => {
                    cache.wrote(effect);
                    audit.wrote(effect, cluster);
                    self.judged(effect);
                }
                // A verdict that cannot be written must not keep the traffic where it is.
                Err(_) if matches!(effect, Effect::Remember { .. }) => forgotten = true,
                // The next decision asks for it again: the world still lacks it.
                Err(_) if effect.is_repeated() => {}
                Err(_) => return false,
            }
        }
        if forgotten {
            return false;
        }
        let changed = self.memory != decision.state;
        if changed {
            if self.strikes() == Some(Fault::Crash) {
                self.restart(cluster, cache);
                return false;
            }
            self.memory.clone_from(&decision.state);
            self.status.clone_from(&decision.state);
        }
        for note in &decision.notes {
            if let Note::Adopted(revision)
            | Note::Promoted(revision)
            | Note::Rejected { revision, .. } = note
            {
                self.untold.remove(revision);
            }
        }
        changed || !decision.effects.is_empty()
    }

    fn judged(&mut self, effect: &Effect) {
        if let Effect::Remember { revision, record } = effect {
            // Of a rollout that no status tells of, its end need not be told.
            let rollout = self.status.rollout.as_ref();
            let known = rollout.is_some_and(|rollout| rollout.candidate == *revision);
            if known && record.outcome.is_some() {
                self.untold.insert(revision.clone());
            } else {
                self.untold.remove(revision);
            }
        }
    }

    fn strikes(&mut self) -> Option<Fault> {
        let (fault, writes) = self.fault.take()?;
        if writes == 0 {
            return Some(fault);
        }
        self.fault = Some((fault, writes - 1));
        None
    }
}
