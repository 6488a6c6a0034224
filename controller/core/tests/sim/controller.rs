//! The controller around `decide`: it applies effects one by one, remembers what was decided once all
//! are done, and may crash between any two writes.

use std::collections::BTreeSet;

use chrono::TimeDelta;
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
    /// The write is done, and its answer is lost.
    Lost,
    /// The controller loses the lease with the write under way: another takes over, and the write comes
    /// through later, if it does not name a version that is old by then.
    Late,
}

/// How the API server is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Outage {
    None,
    /// It takes no writes, and no watch tells of any.
    Down,
    /// Every second write fails.
    Flaky,
}

/// A write that is still under way.
struct Late {
    effect: Effect,
    /// The API server gives up on it.
    until: Time,
    precondition: Option<u64>,
}

pub(crate) struct Controller {
    decide: Decide,
    plan: Plan,
    /// What the last decision left, in memory.
    pub(crate) memory: State,
    /// The same in the Canary's status.
    status: State,
    fault: Option<(Fault, u8)>,
    outage: Outage,
    /// It dies right behind each write, and starts anew.
    mortal: bool,
    /// Writes tried so far.
    tried: u32,
    late: Vec<Late>,
    /// Revisions whose verdict is written, and which no status tells of yet.
    pub(crate) untold: BTreeSet<RevisionName>,
    pub(crate) last: Option<Decision>,
}

/// The API server's own: `--request-timeout`. The drain is no shorter.
const REQUEST_TIMEOUT: TimeDelta = TimeDelta::seconds(60);

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
            outage: Outage::None,
            mortal: false,
            tried: 0,
            late: Vec::new(),
            untold: BTreeSet::new(),
            last: None,
        }
    }

    /// The policy, which is edited.
    pub(crate) fn plan_mut(&mut self) -> &mut Plan {
        &mut self.plan
    }

    /// The write after the next `writes` goes wrong. The status counts as one.
    pub(crate) fn arm(&mut self, fault: Fault, writes: u8) {
        self.fault = Some((fault, writes));
    }

    pub(crate) fn disarm(&mut self) {
        self.fault = None;
        self.outage = Outage::None;
    }

    pub(crate) fn suffer(&mut self, outage: Outage) {
        self.outage = outage;
    }

    /// From now on each write is the last of a process, or not.
    pub(crate) fn kill_behind_writes(&mut self, on: bool) {
        self.mortal = on;
    }

    /// What is under way comes through, unless it is about something that has changed since.
    pub(crate) fn land(&mut self, cluster: &mut Cluster, audit: &mut Audit) {
        for late in std::mem::take(&mut self.late) {
            let Late {
                effect,
                until,
                precondition,
            } = late;
            let in_time = cluster.now < until && precondition == cluster.precondition(&effect);
            if in_time && cluster.apply(&effect).is_ok() {
                audit.wrote(&effect, cluster);
            }
        }
    }

    /// The process dies and starts again, with fresh caches and what the status remembers.
    pub(crate) fn restart(&mut self, cluster: &mut Cluster, cache: &mut Cache) {
        self.memory = kept(&self.status, cluster.now);
        cache.catch_up();
        cluster.meter.forget(&mut cluster.world, cluster.now);
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
            if cluster.gone || cluster.absent || !self.decide_once(cluster, cache, audit) {
                return;
            }
        }
    }

    /// Whether something was done, so that the next decision may do more.
    fn decide_once(&mut self, cluster: &mut Cluster, cache: &mut Cache, audit: &mut Audit) -> bool {
        let now = cluster.now;
        cluster.meter.follow(&self.memory, &mut cluster.world);
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
            let fault = self.strikes();
            if fault == Some(Fault::Late) {
                self.late.push(Late {
                    effect: effect.clone(),
                    until: cluster.now + REQUEST_TIMEOUT,
                    precondition: cluster.precondition(effect),
                });
            }
            let judged_before = match effect {
                Effect::Remember { revision, .. } => {
                    cluster.world.record(revision).and_then(|record| record.at)
                }
                _ => None,
            };
            let done = match fault {
                Some(Fault::Crash | Fault::Late) => {
                    self.restart(cluster, cache);
                    return false;
                }
                Some(Fault::Refuse) => Err("refused".to_owned()),
                Some(Fault::Lost) | None => cluster.apply(effect),
            };
            if done.is_ok() {
                cache.wrote(effect);
                audit.wrote(effect, cluster);
                self.judged(effect, judged_before);
            }
            if self.mortal && done.is_ok() {
                self.restart(cluster, cache);
                return false;
            }
            let answer = if fault == Some(Fault::Lost) {
                Err("no answer".to_owned())
            } else {
                done
            };
            match answer {
                Ok(()) => {}
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
        self.memory.clone_from(&decision.state);
        // What it does not keep is no reason to write it.
        if kept(&self.status, cluster.now) != kept(&self.memory, cluster.now) {
            match self.strikes() {
                Some(Fault::Crash | Fault::Late) => {
                    self.restart(cluster, cache);
                    return false;
                }
                // It is written after the next decision.
                Some(Fault::Refuse) => {
                    self.told(decision);
                    return false;
                }
                Some(Fault::Lost) | None => self.status.clone_from(&self.memory),
            }
            if self.mortal {
                self.told(decision);
                self.restart(cluster, cache);
                return false;
            }
        }
        self.told(decision);
        changed || !decision.effects.is_empty()
    }

    /// What happened is kept until a status takes it.
    fn told(&mut self, decision: &Decision) {
        for note in &decision.notes {
            if let Note::Adopted(revision)
            | Note::Promoted(revision)
            | Note::Rejected { revision, .. } = note
            {
                self.untold.remove(revision);
            }
        }
    }

    fn judged(&mut self, effect: &Effect, before: Option<Time>) {
        if let Effect::Remember { revision, record } = effect
            // Not so where an order that came too late is noted.
            && (record.outcome.is_none() || record.at != before)
        {
            // Of a rollout that no status tells of, its end need not be told; nor does it tell of this one
            // where it tells of an earlier one of the same revision.
            let started = |state: &State| state.rollout.as_ref().map(|rollout| rollout.started_at);
            let rollout = self.status.rollout.as_ref();
            let known = rollout.is_some_and(|rollout| rollout.candidate == *revision)
                && started(&self.status) == started(&self.memory);
            if known && record.outcome.is_some() {
                self.untold.insert(revision.clone());
            } else {
                self.untold.remove(revision);
            }
        }
    }

    fn strikes(&mut self) -> Option<Fault> {
        self.tried = self.tried.wrapping_add(1);
        match self.outage {
            Outage::Down => return Some(Fault::Refuse),
            Outage::Flaky if self.tried.is_multiple_of(2) => return Some(Fault::Refuse),
            Outage::Flaky | Outage::None => {}
        }
        let (fault, writes) = self.fault.take()?;
        if writes == 0 {
            return Some(fault);
        }
        self.fault = Some((fault, writes - 1));
        None
    }
}

/// What a status remembers of a state, as it is read at `now`.
fn kept(state: &State, now: Time) -> State {
    let mut state = state.clone();
    if let Some(rollout) = &mut state.rollout {
        rollout.ready_since = None;
        rollout.passed_at = None;
        rollout.weight_at = now;
    }
    state.contest = None;
    state.left.clear();
    state
}
