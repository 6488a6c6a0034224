//! Who wants what, and what each has got so far. No I/O and no clock.

mod round;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use chrono::TimeDelta;
use sluice_core::evidence::Timeline;
use sluice_core::{Evidence, Leaving, Sample, Time};

use round::groups;
pub(super) use round::{Group, Round, Wanted};

use super::balance::{Balance, balance};
use super::callers::Caller;
use super::drains::{Drains, Watched};
use super::layer4::Layer4;
use super::ledger::Ledger;
use super::own::{Account, Numbers};
use super::problem::Problem;
use super::source::Connections;
use super::{Key, Subscription};

/// The shortest time between two readings of a group.
const SHORTEST: Duration = Duration::from_millis(500);
/// Without a sample for so many scrape intervals, nothing passes.
const STALE_INTERVALS: i32 = 4;

/// Without a sample for so long, nothing passes.
pub(super) fn stale_after(interval: TimeDelta) -> TimeDelta {
    let patience = interval.checked_mul(STALE_INTERVALS);
    patience.unwrap_or(TimeDelta::MAX)
}

/// All subscriptions.
#[derive(Debug, Default)]
pub(super) struct Book {
    rollouts: HashMap<Key, Rollout>,
    drains: HashMap<Key, Watched>,
    /// The number of the latest subscription.
    latest: u64,
}

#[derive(Debug)]
struct Rollout {
    subscription: Subscription,
    /// What it is read with: its source, and those of connections.
    groups: Vec<Group>,
    /// Tells it from another of the same Canary, earlier or later.
    number: u64,
    /// The sources of which a reading for it was begun.
    asked: BTreeSet<&'static str>,
    timeline: Timeline,
    problem: Option<String>,
    /// What its own queries gave, by the SLO.
    own: BTreeMap<String, Account>,
    /// What sources of connections gave.
    layer4: Layer4,
    /// Connections of everybody who went around the waypoint, and when a new one was seen last.
    callers: BTreeMap<Caller, (u64, Time)>,
    /// See [`Group::alone`].
    alone: Option<String>,
}

/// Evidence of which nothing was read yet, by a source that is read so often.
pub(crate) fn unread(interval: TimeDelta) -> Evidence {
    Evidence {
        lag: interval,
        stale_after: stale_after(interval),
        ..Evidence::default()
    }
}

/// Until when a reading begun at `started` knows everything: a target may have been scraped as long ago as one
/// interval, and a sample must not claim to cover what it does not.
pub(crate) fn covered(started: Time, interval: TimeDelta) -> Time {
    let interval = interval.max(TimeDelta::zero());
    started.checked_sub_signed(interval).unwrap_or(started)
}

impl Book {
    /// Starts, alters or ends a subscription; tells whether anything changed.
    pub(super) fn subscribe(&mut self, key: Key, subscription: Option<Subscription>) -> bool {
        let Some(subscription) = subscription else {
            return self.rollouts.remove(&key).is_some();
        };
        if let Some(rollout) = self.rollouts.get_mut(&key)
            && rollout.subscription.counts_like(&subscription)
        {
            let changed = rollout.subscription != subscription;
            if changed {
                rollout.groups = groups(&subscription, rollout.alone.as_ref());
                rollout.subscription = subscription;
            }
            return changed;
        }
        self.latest += 1;
        let alone = (!subscription.own.is_empty()).then(|| key.to_string());
        let rollout = Rollout {
            groups: groups(&subscription, alone.as_ref()),
            subscription,
            number: self.latest,
            asked: BTreeSet::new(),
            timeline: Timeline::default(),
            problem: None,
            own: BTreeMap::new(),
            layer4: Layer4::default(),
            callers: BTreeMap::new(),
            alone,
        };
        self.rollouts.insert(key, rollout);
        true
    }

    /// Starts, alters or ends the watch of what drains; tells whether anything changed.
    pub(super) fn watch(&mut self, key: Key, drains: Option<Drains>, now: Time) -> bool {
        let Some(drains) = drains else {
            return self.drains.remove(&key).is_some();
        };
        match self.drains.get_mut(&key) {
            Some(watched) if watched.drains == drains => return false,
            Some(watched) if watched.drains.group() == drains.group() => watched.alter(drains),
            // What another server counts cannot be compared with.
            Some(_) | None => {
                self.latest += 1;
                let watched = Watched::new(drains, self.latest, now);
                self.drains.insert(key, watched);
            }
        }
        true
    }

    /// What was seen of what drains; `None` where nobody watches it.
    pub(super) fn leaving(&self, key: &Key) -> Option<Leaving> {
        self.drains.get(key).map(Watched::leaving)
    }

    /// What a rollout has got so far.
    pub(super) fn evidence(&self, key: &Key) -> Evidence {
        let Some(rollout) = self.rollouts.get(key) else {
            return Evidence::default();
        };
        let interval = rollout.subscription.interval;
        let callers = rollout.callers.iter().map(|(caller, (_, last_at))| {
            let (name, last_at) = (caller.to_string(), *last_at);
            sluice_core::Caller { name, last_at }
        });
        Evidence {
            callers: callers.collect(),
            gaps: rollout.gaps(),
            candidate: Some(rollout.subscription.candidate.clone()),
            samples: rollout.timeline.samples().to_vec(),
            problem: rollout.problem.clone(),
            ..unread(interval)
        }
    }

    /// The groups that have members.
    pub(super) fn groups(&self) -> BTreeSet<Group> {
        let all: BTreeSet<_> = self.rollouts.values().flat_map(|r| &r.groups).collect();
        let drains = self.drains.values().map(|watched| &watched.drains);
        let drains = drains.filter(|drains| !drains.revisions.is_empty());
        let drains = drains.map(Drains::group);
        all.into_iter().cloned().chain(drains).collect()
    }

    /// How often a group is read, and whether a member still waits for its first reading; `None` when
    /// it has no members.
    pub(super) fn pace(&self, group: &Group) -> Option<(Duration, bool)> {
        let members = || self.rollouts.values().filter(|r| r.is_of(group));
        let intervals = members().map(|r| r.subscription.interval);
        let drains = self.drains.values().map(|watched| &watched.drains);
        let drains = drains.filter(|drains| drains.is_of(group));
        let interval = intervals
            .chain(drains.map(|drains| drains.interval))
            .min()?;
        let interval = interval.to_std().unwrap_or_default().max(SHORTEST);
        let waits = |rollout: &Rollout| !rollout.asked.contains(group.source);
        Some((interval, members().any(waits)))
    }

    /// Begins a reading; `None` when the group has no members.
    pub(super) fn begin(&mut self, group: &Group) -> Option<Round> {
        let mut round: Option<Round> = None;
        for (key, rollout) in &mut self.rollouts {
            if !rollout.is_of(group) {
                continue;
            }
            let subscription = &rollout.subscription;
            let round = round.get_or_insert_with(|| Round {
                wanted: Wanted::by(subscription, group),
                members: Vec::new(),
                drains: Vec::new(),
            });
            match &mut round.wanted {
                Wanted::Requests {
                    asked, young, own, ..
                } => {
                    asked.services.extend(subscription.services());
                    asked.thresholds.extend(subscription.thresholds());
                    young.extend(subscription.young());
                    own.extend(subscription.own.iter().cloned());
                }
                Wanted::Connections {
                    metric,
                    called,
                    judged,
                    young,
                } => {
                    let by_this = subscription.called();
                    let by_this = by_this.filter(|(other, _)| other.name == metric.name);
                    called.extend(by_this.map(|(_, service)| service));
                    if subscription.judges(metric) {
                        *judged = true;
                        called.extend(subscription.services());
                        young.insert(subscription.service(&subscription.candidate));
                    }
                }
            }
            round.members.push((key.clone(), rollout.number));
            rollout.asked.insert(group.source);
        }
        for (key, Watched { drains, number, .. }) in &self.drains {
            if !drains.is_of(group) {
                continue;
            }
            let round = round.get_or_insert_with(|| Round {
                wanted: Wanted::requests(drains.source, group),
                members: Vec::new(),
                drains: Vec::new(),
            });
            if let Wanted::Requests { asked, .. } = &mut round.wanted {
                asked.services.extend(drains.services());
                round.drains.push((key.clone(), *number));
            }
        }
        round
    }

    /// Notes who connected to candidates, and how connections fared, by a reading that was begun at `started`;
    /// returns whose candidate has a new connection around the waypoint, and whose SLOs are counted again or no
    /// longer. What was counted comes with the next sample.
    pub(super) fn note_connections(
        &mut self,
        round: Round,
        metric: &Connections,
        started: Time,
        reading: Result<&Ledger, &Problem>,
    ) -> Vec<Key> {
        let mut news = Vec::new();
        for (key, number) in round.members {
            let rollout = self.rollouts.get_mut(&key);
            let Some(rollout) = rollout.filter(|rollout| rollout.number == number) else {
                continue;
            };
            let gaps = rollout.gaps();
            let subscription = &rollout.subscription;
            rollout.layer4.take(metric, subscription, reading, started);
            let called = subscription.called();
            let called = called.filter(|(other, _)| other.name == metric.name);
            // Without these metrics nobody is looked for.
            let account = called.and_then(|(_, service)| reading.ok()?.account(&service));
            let connections = account.iter().flat_map(|a| &a.events().callers);
            let around = connections
                .filter(|(caller, opened)| **opened > 0 && caller.is_around(subscription));
            let before = rollout.callers.clone();
            for (caller, opened) in around {
                let known = rollout.callers.entry(caller.clone());
                let known = known.or_insert((0, started));
                if *opened > known.0 {
                    *known = (*opened, started);
                }
            }
            if rollout.callers != before || rollout.gaps() != gaps {
                news.push(key);
            }
        }
        news
    }

    /// Notes what the own queries of a round gave, in their order, before it ends.
    pub(super) fn note_own(
        &mut self,
        round: &Round,
        started: Time,
        read: &[Result<Numbers, Problem>],
    ) {
        let Wanted::Requests { own, .. } = &round.wanted else {
            return;
        };
        for (key, number) in &round.members {
            let rollout = self.rollouts.get_mut(key);
            let Some(rollout) = rollout.filter(|rollout| rollout.number == *number) else {
                continue;
            };
            for (own, read) in own.iter().zip(read) {
                let account = rollout.own.entry(own.slo.clone()).or_default();
                account.take(own, read.as_ref(), started);
            }
        }
    }

    /// Ends a reading that was begun at `started`; returns who has something new to look at.
    pub(super) fn end(
        &mut self,
        round: Round,
        started: Time,
        reading: Result<&Ledger, &Problem>,
    ) -> Vec<Key> {
        let mut changed = Vec::new();
        for (key, number) in round.members {
            // Others came while the reading was under way: it did not ask for what they need.
            let rollout = self.rollouts.get_mut(&key);
            let Some(rollout) = rollout.filter(|rollout| rollout.number == number) else {
                continue;
            };
            let balance = match reading {
                Ok(ledger) => {
                    balance(ledger, &rollout.subscription).map_err(|problem| problem.to_string())
                }
                Err(problem) => Err(problem.to_string()),
            };
            let (sample, problem) = match balance {
                Ok(mut balance) => {
                    let stale_after = stale_after(rollout.subscription.interval);
                    rollout.layer4.look(started, stale_after);
                    rollout.add(&mut balance);
                    let at = covered(started, rollout.subscription.interval);
                    let sample = Sample {
                        at,
                        stable: balance.stable,
                        candidate: balance.candidate,
                    };
                    let problem = balance.problem.map(|problem| problem.to_string());
                    (Some(sample), problem)
                }
                Err(problem) => (None, Some(problem)),
            };
            let sample = sample.filter(|sample| rollout.is_news(sample));
            if sample.is_some() || problem != rollout.problem {
                changed.push(key);
            }
            if let Some(sample) = sample {
                rollout.timeline.push(sample);
            }
            rollout.problem = problem;
        }
        for (key, number) in round.drains {
            let watched = self.drains.get_mut(&key);
            let watched = watched.filter(|watched| watched.number == number);
            let (Some(watched), Ok(ledger)) = (watched, reading) else {
                continue;
            };
            if watched.take(ledger, started) && !changed.contains(&key) {
                changed.push(key);
            }
        }
        changed
    }
}

impl Rollout {
    /// Whether a sample says more than the last one did. A reading between two scrapes, for a rollout that has just
    /// begun, says the same of all others.
    fn is_news(&self, sample: &Sample) -> bool {
        let interval = self.subscription.interval;
        self.timeline.samples().last().is_none_or(|last| {
            let after = sample.at - last.at;
            let soon = after >= TimeDelta::zero() && after < interval / 2;
            !soon || sample.stable != last.stable || sample.candidate != last.candidate
        })
    }

    /// Puts the events of its own queries, and those on layer 4, into a balance that has none of them.
    fn add(&self, balance: &mut Balance) {
        let slos = balance
            .stable
            .slos
            .iter_mut()
            .zip(&mut balance.candidate.slos);
        for (slo, (stable, candidate)) in self.subscription.slos.iter().zip(slos) {
            if let Some(account) = self.own.get(&slo.name) {
                (*stable, *candidate) = account.tallies();
            }
            if let Some(tallies) = self.layer4.tallies(&self.subscription, &slo.name) {
                (*stable, *candidate) = tallies;
            }
        }
    }

    /// What of its own queries, and on layer 4, is not counted at present, and why.
    fn gaps(&self) -> BTreeMap<String, String> {
        let accounts = self.own.iter();
        let gaps = accounts.filter_map(|(slo, account)| Some((slo.clone(), account.gap.clone()?)));
        gaps.chain(self.layer4.gaps(&self.subscription)).collect()
    }

    fn is_of(&self, group: &Group) -> bool {
        self.groups.contains(group)
    }
}

#[cfg(test)]
mod tests;
