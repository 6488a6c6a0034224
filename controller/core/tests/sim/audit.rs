//! The invariants, checked after every decision, every write and every tick.
//!
//! What is checked here is worked out from the writes alone, not from what `decide` says of itself.

mod approval;
mod evidence;
mod holdback;
mod judged;
mod removal;
mod repetition;
mod roles;
mod traffic;
mod writes;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use chrono::TimeDelta;
use sluice_core::{
    Decision, Effect, Plan, RevisionName, Route, Routing, State, Time, Weight, World,
};

use crate::cluster::Cluster;
use crate::journal::Journal;

/// An invariant that did not hold.
#[derive(Clone, Debug)]
pub(crate) struct Breach {
    pub(crate) invariant: u8,
    pub(crate) after: TimeDelta,
    pub(crate) what: String,
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.after.num_seconds();
        write!(
            f,
            "invariant {} at {seconds} s: {}",
            self.invariant, self.what
        )
    }
}

/// The watcher of one history.
pub(crate) struct Audit {
    pub(crate) facts: Facts,
    /// Look for breaches of this one alone.
    only: Option<u8>,
    breach: Option<Breach>,
    /// Writes everything down, if somebody will read it.
    pub(crate) journal: Option<Journal>,
}

/// What really happened so far.
pub(crate) struct Facts {
    pub(crate) plan: Plan,
    /// The weights of our last write.
    ours: BTreeMap<RevisionName, Weight>,
    /// When the candidate of our last write got its present weight, or got it back.
    weight_at: Option<Time>,
    /// When it was last decided that it gets more: a write may come through later, and tells no other time.
    grown_at: Option<Time>,
    /// When it got its first.
    first_weight_at: Option<Time>,
    /// What had traffic by somebody else's write: it counts until we put that right.
    foreign: Vec<RevisionName>,
    /// When something that no revision is to blame for was last in the way.
    hindered_at: Option<Time>,
    /// When an approval was last waited for.
    awaited_at: Option<Time>,
    /// Since when the progress deadline runs, as of the last decision.
    deadline_from: Option<Time>,
    /// When a revision had traffic last.
    left_at: BTreeMap<RevisionName, Time>,
    /// Every revision that was ever promoted.
    promoted: BTreeSet<RevisionName>,
    /// The candidate that Git last went back from, unless it asked for it again.
    withdrawn: Option<RevisionName>,
    sizes: writes::Sizes,
    /// Revisions whose gates a person skipped.
    skipped: BTreeSet<RevisionName>,
    /// Revisions whose pods were admitted when they might be.
    admitted: BTreeSet<RevisionName>,
}

/// One decision, and all that it was made of.
struct Look<'a> {
    facts: &'a Facts,
    seen: &'a World,
    before: &'a State,
    decision: &'a Decision,
    now: Time,
}

/// Deciding again at the same moment.
pub(crate) type Again<'a> = dyn Fn(&State, &World) -> Decision + 'a;

impl Audit {
    pub(crate) fn new(plan: Plan, only: Option<u8>) -> Self {
        Self {
            facts: Facts::new(plan),
            only,
            breach: None,
            journal: None,
        }
    }

    /// The Canary and all that it had made are gone.
    pub(crate) fn anew(&mut self) {
        self.facts = Facts::new(self.facts.plan.clone());
    }

    pub(crate) fn breach(&self) -> Option<&Breach> {
        self.breach.as_ref()
    }

    /// Notes what a check found. The first breach is the one that is told.
    pub(crate) fn note(&mut self, now: Time, found: Result<(), (u8, String)>) {
        if let Err((invariant, what)) = found
            && self.only.is_none_or(|only| only == invariant)
        {
            let after = now - crate::cluster::start_of_time();
            self.breach.get_or_insert(Breach {
                invariant,
                after,
                what,
            });
        }
    }

    /// A decision was made; nothing of it is done yet.
    pub(crate) fn decided(
        &mut self,
        seen: &World,
        before: &State,
        decision: &Decision,
        now: Time,
        again: &Again<'_>,
    ) {
        let mut records = seen.revisions.values().flat_map(|other| &other.record);
        let known = seen.route.is_some() || records.any(sluice_core::Record::is_promoted);
        if *before == State::default() && !known {
            // Nothing tells that anything of ours ever served.
            self.facts.promoted.clear();
        }
        if let Some(rollout) = &decision.state.rollout
            && approval::is_ordered(seen.orders.promote.as_ref(), &rollout.candidate)
        {
            self.facts.skipped.insert(rollout.candidate.clone());
        }
        self.facts.took_over(seen, before, decision);
        self.facts.withdrawn(seen, before);
        self.facts.sizes.decided(seen, before, decision, now);
        self.facts.hindered(seen, before, decision, now);
        let seen_weights = seen.route.iter().flat_map(|route| route.weights.keys());
        let foreign = |route: &Route| route.foreign_writer.is_some();
        if seen.route.as_ref().is_some_and(foreign) {
            self.facts.foreign = seen_weights.cloned().collect();
        } else {
            self.facts.serves(seen_weights, now);
        }
        let look = Look {
            facts: &self.facts,
            seen,
            before,
            decision,
            now,
        };
        let found = [
            traffic::check(&look),
            evidence::passes(&look),
            removal::check(&look),
            repetition::check(&look, again),
            evidence::conclusive(&look),
            judged::check(&look),
            writes::check(&look),
            roles::check(&look),
            roles::nobody_around(&look),
            holdback::check(&look),
            approval::check(&look),
        ];
        for result in found {
            self.note(now, result);
        }
    }

    /// A write was done.
    pub(crate) fn wrote(&mut self, effect: &Effect, cluster: &Cluster) {
        let now = cluster.now;
        if let Some(journal) = &mut self.journal {
            journal.wrote(effect);
        }
        match effect {
            Effect::Route(routing) => self.facts.routed(routing, now),
            Effect::Unroute => self.facts.ours.clear(),
            Effect::Admit(name) if roles::is_judged(&self.facts, &cluster.world, name) => {
                self.facts.admitted.insert(name.clone());
            }
            Effect::Remember { revision, record } if record.is_promoted() => {
                self.facts.promoted.insert(revision.clone());
            }
            Effect::Remember { revision, record } if record.is_rejected() => {
                self.facts.skipped.remove(revision);
            }
            Effect::Run { revision, .. } => self.facts.sizes.sized(revision),
            _ => {}
        }
        self.tick(cluster);
    }

    /// Time went by, or something was written.
    pub(crate) fn tick(&mut self, cluster: &Cluster) {
        let world = &cluster.world;
        let ours = world
            .route
            .as_ref()
            .filter(|route| route.foreign_writer.is_none());
        if let Some(route) = ours {
            self.facts.serves(route.weights.keys(), cluster.now);
            // Of a proxy that does not follow nobody knows but by the metrics.
            if cluster.surroundings.proxies {
                self.facts.serves(cluster.in_force.keys(), cluster.now);
            }
        }
        let found = traffic::backends_have_pods(cluster);
        self.note(cluster.now, found);
        let found = roles::unjudged_stay_out(&self.facts, world);
        self.note(cluster.now, found);
    }
}

impl Facts {
    fn new(plan: Plan) -> Self {
        Self {
            plan,
            ours: BTreeMap::new(),
            weight_at: None,
            grown_at: None,
            first_weight_at: None,
            foreign: Vec::new(),
            hindered_at: None,
            awaited_at: None,
            deadline_from: None,
            left_at: BTreeMap::new(),
            promoted: BTreeSet::new(),
            withdrawn: None,
            sizes: writes::Sizes::default(),
            skipped: BTreeSet::new(),
            admitted: BTreeSet::new(),
        }
    }

    fn serves<'a>(&mut self, names: impl Iterator<Item = &'a RevisionName>, now: Time) {
        for name in names {
            match self.left_at.get_mut(name) {
                Some(left_at) => *left_at = now,
                None => _ = self.left_at.insert(name.clone(), now),
            }
        }
    }

    /// Who got all traffic step by step and is the stable one was promoted, even if others deleted the
    /// snapshot that would tell.
    fn took_over(&mut self, seen: &World, before: &State, decision: &Decision) {
        let rollout = before.rollout.as_ref();
        let candidate = rollout.map(|rollout| &rollout.candidate);
        if let Some(name) = candidate.filter(|name| decision.state.stable.as_ref() == Some(name))
            && self.weight(name) == Weight::WHOLE
            && seen.record(name).is_none()
        {
            self.promoted.insert(name.clone());
        }
    }

    /// Something may keep the decision from going back before Git asks for yet another one.
    fn withdrawn(&mut self, seen: &World, before: &State) {
        let (Some(route), Some(target)) = (&seen.route, &seen.target) else {
            return;
        };
        let asked = &target.revision;
        if route.candidate.as_ref() == Some(asked) {
            self.withdrawn = None;
        } else if before.stable.as_ref() == Some(asked) || self.promoted.contains(asked) {
            self.withdrawn.clone_from(&route.candidate);
        }
    }

    fn hindered(&mut self, seen: &World, before: &State, decision: &Decision, now: Time) {
        let from = |state: &State| state.rollout.as_ref().map(|rollout| rollout.progressed_at);
        // A crash may cost what was put off last, and so does a write that failed: what was decided with it
        // is not remembered.
        if from(before) != self.deadline_from {
            self.hindered_at = None;
        }
        self.deadline_from = from(&decision.state);
        let awaits = approval::is_awaited(decision);
        if awaits {
            self.awaited_at = Some(now);
        }
        if seen.blocked.is_some() || !seen.parent.bound || seen.suspended || awaits {
            self.hindered_at = Some(now);
        }
    }

    fn routed(&mut self, routing: &Routing, now: Time) {
        let foreign = std::mem::take(&mut self.foreign);
        self.serves(foreign.iter(), now);
        let candidate = routing.candidate.as_ref();
        let held = candidate.and_then(|name| self.ours.get(name));
        if held.is_none() {
            self.first_weight_at = candidate.map(|_| now);
        }
        self.weight_at = candidate.map(|_| now);
        let wanted = candidate.and_then(|name| routing.weights.get(name));
        if wanted > held {
            self.grown_at = Some(routing.at);
        }
        self.ours.clone_from(&routing.weights);
    }

    /// Whether a revision ever took over from the target.
    pub(crate) fn adopted(&self) -> bool {
        !self.promoted.is_empty()
    }

    /// The weight of our last write.
    fn weight(&self, name: &RevisionName) -> Weight {
        self.ours.get(name).copied().unwrap_or_default()
    }

    /// Whether the gates apply to a revision: not to the first, to one that was promoted, and where a
    /// person skipped them.
    fn is_gated(&self, name: &RevisionName) -> bool {
        self.adopted() && !self.promoted.contains(name) && !self.skipped.contains(name)
    }
}

impl<'a> Look<'a> {
    /// The route that is to be written.
    fn routing(&self) -> Option<&'a Routing> {
        self.decision
            .effects
            .iter()
            .find_map(|effect| match effect {
                Effect::Route(routing) => Some(routing),
                _ => None,
            })
    }

    /// The backends that are to get more than we gave them last, and how much.
    fn grown(&self) -> impl Iterator<Item = (&'a RevisionName, Weight)> + '_ {
        let weights = self
            .routing()
            .into_iter()
            .flat_map(|routing| &routing.weights);
        weights
            .map(|(name, weight)| (name, *weight))
            .filter(|(name, weight)| *weight > self.facts.weight(name))
    }

    /// The gated candidate that is to get more, and what it has.
    fn grown_candidate(&self) -> Option<(&'a RevisionName, Weight)> {
        let candidate = self.routing()?.candidate.as_ref()?;
        let grown = self.grown().any(|(name, _)| name == candidate);
        (grown && self.facts.is_gated(candidate)).then(|| (candidate, self.facts.weight(candidate)))
    }
}
