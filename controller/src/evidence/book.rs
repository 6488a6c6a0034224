//! Who wants what, and what each has got so far. No I/O and no clock.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use chrono::TimeDelta;
use sluice_core::{Evidence, Sample, Time};
use sluice_crds::OtlpNames;

use super::balance::balance;
use super::callers::Caller;
use super::ledger::Ledger;
use super::problem::Problem;
use super::query::Asked;
use super::source::{Connections, Dialect};
use super::timeline::Timeline;
use super::{Key, Server, Service, Subscription};

/// The shortest time between two readings of a group.
const SHORTEST: Duration = Duration::from_millis(500);
/// Without a sample for so many scrape intervals, nothing passes.
const STALE_INTERVALS: i32 = 4;

/// What is read with one query: a server and the name of a source.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(super) struct Group {
    pub(super) server: Server,
    pub(super) source: &'static str,
    pub(super) names: OtlpNames,
}

/// All subscriptions.
#[derive(Debug, Default)]
pub(super) struct Book {
    rollouts: HashMap<Key, Rollout>,
    /// The number of the latest subscription.
    latest: u64,
}

#[derive(Debug)]
struct Rollout {
    subscription: Subscription,
    /// Tells it from another of the same Canary, earlier or later.
    number: u64,
    /// The sources of which a reading for it was begun.
    asked: BTreeSet<&'static str>,
    timeline: Timeline,
    problem: Option<String>,
    /// Connections of everybody who went around the waypoint, and when a new one was seen last.
    callers: BTreeMap<Caller, (u64, Time)>,
}

/// One reading: what to ask, and for whom.
#[derive(Debug)]
pub(super) struct Round {
    pub(super) wanted: Wanted,
    members: Vec<(Key, u64)>,
}

/// What to ask.
#[derive(Debug)]
pub(super) enum Wanted {
    /// What became of requests.
    Requests {
        dialect: &'static Dialect,
        asked: Asked,
        /// See [`super::ledger::Entries::young`].
        young: BTreeSet<Service>,
    },
    /// Who connects to the pods of these.
    Callers {
        metric: &'static Connections,
        called: BTreeSet<Service>,
    },
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
            rollout.subscription = subscription;
            return changed;
        }
        self.latest += 1;
        let rollout = Rollout {
            subscription,
            number: self.latest,
            asked: BTreeSet::new(),
            timeline: Timeline::default(),
            problem: None,
            callers: BTreeMap::new(),
        };
        self.rollouts.insert(key, rollout);
        true
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
            candidate: Some(rollout.subscription.candidate.clone()),
            samples: rollout.timeline.samples().to_vec(),
            lag: interval,
            stale_after: interval
                .checked_mul(STALE_INTERVALS)
                .unwrap_or(TimeDelta::MAX),
            problem: rollout.problem.clone(),
        }
    }

    /// The groups that have members.
    pub(super) fn groups(&self) -> BTreeSet<Group> {
        self.rollouts.values().flat_map(Rollout::groups).collect()
    }

    /// How often a group is read, and whether a member still waits for its first reading; `None` when
    /// it has no members.
    pub(super) fn pace(&self, group: &Group) -> Option<(Duration, bool)> {
        let members = || self.rollouts.values().filter(|r| r.is_of(group));
        let interval = members().map(|r| r.subscription.interval).min()?;
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
            });
            match &mut round.wanted {
                Wanted::Requests { asked, young, .. } => {
                    asked.services.extend(subscription.services());
                    asked.thresholds.extend(subscription.thresholds());
                    young.extend(subscription.young());
                }
                Wanted::Callers { called, .. } => {
                    called.extend(subscription.called().map(|(_, service)| service));
                }
            }
            round.members.push((key.clone(), rollout.number));
            rollout.asked.insert(group.source);
        }
        round
    }

    /// Notes who connected to candidates, by a reading that was begun at `started`; returns whose
    /// candidate has a new connection around the waypoint.
    pub(super) fn note_callers(
        &mut self,
        round: Round,
        started: Time,
        ledger: &Ledger,
    ) -> Vec<Key> {
        let mut news = Vec::new();
        for (key, number) in round.members {
            let rollout = self.rollouts.get_mut(&key);
            let Some(rollout) = rollout.filter(|rollout| rollout.number == number) else {
                continue;
            };
            let called = rollout.subscription.called();
            let account = called.and_then(|(_, service)| ledger.account(&service));
            let connections = account.iter().flat_map(|a| &a.events().connections);
            let around = connections
                .filter(|(caller, opened)| **opened > 0 && caller.is_around(&rollout.subscription));
            let before = rollout.callers.clone();
            for (caller, opened) in around {
                let known = rollout.callers.entry(caller.clone());
                let known = known.or_insert((0, started));
                if *opened > known.0 {
                    *known = (*opened, started);
                }
            }
            if rollout.callers != before {
                news.push(key);
            }
        }
        news
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
                Ok(balance) => {
                    let at = rollout.covered(started);
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
            if sample.is_some() || problem != rollout.problem {
                changed.push(key);
            }
            if let Some(sample) = sample {
                rollout.timeline.push(sample);
            }
            rollout.problem = problem;
        }
        changed
    }
}

impl Wanted {
    /// Nothing yet of a group that this subscription is of.
    fn by(subscription: &Subscription, group: &Group) -> Self {
        let dialect = Dialect::of(subscription.source);
        match subscription.called() {
            Some((metric, _)) if metric.name == group.source => Self::Callers {
                metric,
                called: BTreeSet::new(),
            },
            _ => Self::Requests {
                dialect,
                asked: Asked {
                    names: group.names,
                    ..Asked::default()
                },
                young: BTreeSet::new(),
            },
        }
    }
}

impl Rollout {
    /// What it is read with: its source, and that of its callers.
    fn groups(&self) -> impl Iterator<Item = Group> {
        let subscription = &self.subscription;
        let group = |source, names| Group {
            server: subscription.server.clone(),
            source,
            names,
        };
        let source = Dialect::of(subscription.source).name;
        let callers = subscription.called();
        let callers = callers.map(|(metric, _)| group(metric.name, OtlpNames::default()));
        [group(source, subscription.names)]
            .into_iter()
            .chain(callers)
    }

    fn is_of(&self, group: &Group) -> bool {
        self.groups().any(|own| own == *group)
    }

    /// Until when a reading begun at `started` knows everything: a target may have been scraped as
    /// long ago as one interval, and a sample must not claim to cover what it does not.
    fn covered(&self, started: Time) -> Time {
        let interval = self.subscription.interval.max(TimeDelta::zero());
        started.checked_sub_signed(interval).unwrap_or(started)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use super::*;
    use chrono::DateTime;
    use sluice_crds::Source;

    use crate::evidence::Workload;
    use crate::evidence::counters::{Counters, Row};

    const NOW: Time = DateTime::UNIX_EPOCH;

    fn key(name: &str) -> Key {
        Key::new(name).within("shop")
    }

    fn subscription(candidate: &str, seconds: i64) -> Subscription {
        Subscription {
            server: Server::at("http://prometheus:9090"),
            interval: TimeDelta::seconds(seconds),
            source: Source::IstioWaypoint,
            names: OtlpNames::Underscores,
            namespace: "shop".to_owned(),
            stable: None,
            candidate: candidate.into(),
            slos: vec![],
            waypoints: BTreeSet::from([waypoint()]),
        }
    }

    fn waypoint() -> Workload {
        Workload {
            namespace: "shop".to_owned(),
            name: "waypoint".to_owned(),
        }
    }

    fn group(book: &Book) -> Group {
        book.groups().pop_first().unwrap()
    }

    fn callers(book: &Book) -> Group {
        let mut groups = book.groups();
        groups.retain(|group| group.source == "ztunnel");
        groups.pop_first().unwrap()
    }

    fn services(round: &Round) -> BTreeSet<Service> {
        match &round.wanted {
            Wanted::Requests { asked, .. } => asked.services.clone(),
            Wanted::Callers { called, .. } => called.clone(),
        }
    }

    #[test]
    fn a_sample_claims_no_more_than_the_last_scrape_covers() {
        let mut book = Book::default();
        assert!(book.subscribe(key("one"), Some(subscription("web-b", 15))));
        assert!(!book.subscribe(key("one"), Some(subscription("web-b", 15))));
        let round = book.begin(&group(&book)).unwrap();
        let changed = book.end(round, NOW, Ok(&Ledger::default()));
        assert_eq!(changed, [key("one")]);

        // Only the interval changes: the samples stay.
        assert!(book.subscribe(key("one"), Some(subscription("web-b", 30))));
        let evidence = book.evidence(&key("one"));
        assert_eq!(evidence.stale_after, TimeDelta::minutes(2));
        let times: Vec<_> = evidence.samples.iter().map(|s| s.at).collect();
        assert_eq!(times, [NOW - TimeDelta::seconds(15)]);
    }

    #[test]
    fn callers_are_asked_for_once_whatever_the_source_of_requests() {
        let mut book = Book::default();
        book.subscribe(key("one"), Some(subscription("web-b", 15)));
        for (name, source) in [("two", Source::OtelHttp), ("three", Source::CiliumHubble)] {
            let subscription = Subscription {
                source,
                ..subscription(&format!("{name}-b"), 15)
            };
            book.subscribe(key(name), Some(subscription));
        }
        let sources: Vec<_> = book.groups().into_iter().map(|g| g.source).collect();
        assert_eq!(
            sources,
            ["cilium-hubble", "istio-waypoint", "otel-http", "ztunnel"]
        );
        // Cilium's mesh has no ztunnel.
        let round = book.begin(&callers(&book)).unwrap();
        let called: Vec<_> = services(&round).into_iter().map(|s| s.name).collect();
        assert_eq!(called, ["two-b", "web-b"]);
    }

    #[test]
    fn a_reading_is_only_for_those_it_asked_for() {
        let mut book = Book::default();
        book.subscribe(key("one"), Some(subscription("web-b", 15)));
        book.subscribe(key("two"), Some(subscription("api-b", 15)));
        let group = group(&book);
        let round = book.begin(&group).unwrap();
        assert_eq!(services(&round).len(), 2);
        book.subscribe(key("one"), Some(subscription("web-c", 15)));
        book.subscribe(key("three"), Some(subscription("web-b", 5)));
        assert_eq!(book.pace(&group), Some((Duration::from_secs(5), true)));
        let changed = book.end(round, NOW, Ok(&Ledger::default()));
        assert_eq!(changed, [key("two")]);
        book.begin(&group).unwrap();
        assert_eq!(book.pace(&group), Some((Duration::from_secs(5), false)));
    }

    #[test]
    fn only_new_connections_of_others_than_the_waypoint_count() {
        let mut book = Book::default();
        book.subscribe(key("one"), Some(subscription("web-b", 15)));
        let callers = callers(&book);
        let mut ledger = Ledger::default();
        let mut read = |second: i64, counts: [(&str, u64); 2]| {
            let row = |(name, opened): (&str, u64)| {
                let workload = Workload {
                    name: name.to_owned(),
                    ..waypoint()
                };
                let principal = String::new();
                Row {
                    service: subscription("web-b", 15).service(&"web-b".into()),
                    origin: vec!["ztunnel-1".to_owned()],
                    labels: [("source_workload".to_owned(), name.to_owned())].into(),
                    counters: Counters::Connections(
                        Caller {
                            workload,
                            principal,
                        },
                        opened,
                    ),
                }
            };
            let round = book.begin(&callers).unwrap();
            ledger.take(&services(&round), counts.map(row).to_vec());
            let news = book.note_callers(round, NOW + TimeDelta::seconds(second), &ledger);
            let callers = book.evidence(&key("one")).callers;
            let told = callers
                .into_iter()
                .map(|c| (c.name, (c.last_at - NOW).num_seconds()));
            (news.len(), told.collect::<Vec<_>>())
        };
        let batch = |second| vec![("workload shop/batch".to_owned(), second)];
        assert_eq!(
            read(1, [("waypoint", 5), ("batch", 3)]),
            (0, vec![]),
            "from before"
        );
        assert_eq!(read(2, [("waypoint", 9), ("batch", 3)]), (0, vec![]));
        assert_eq!(read(3, [("waypoint", 9), ("batch", 4)]), (1, batch(3)));
        assert_eq!(read(4, [("waypoint", 12), ("batch", 4)]), (0, batch(3)));
        assert_eq!(
            read(5, [("waypoint", 2), ("batch", 1)]),
            (1, batch(5)),
            "a restart"
        );
    }

    #[test]
    fn a_failed_reading_leaves_the_samples_and_says_why_once() {
        let mut book = Book::default();
        book.subscribe(key("one"), Some(subscription("web-b", 15)));
        let group = group(&book);
        let mut end = |reading: Result<&Ledger, &Problem>| {
            let round = book.begin(&group).unwrap();
            let changed = book.end(round, NOW, reading);
            let evidence = book.evidence(&key("one"));
            (changed.len(), evidence.samples.len(), evidence.problem)
        };
        let problem = Problem::Partial("a store is down".to_owned());
        let text = Some("the answer is incomplete: a store is down".to_owned());
        assert_eq!(end(Ok(&Ledger::default())), (1, 1, None));
        assert_eq!(end(Err(&problem)), (1, 1, text.clone()));
        assert_eq!(end(Err(&problem)), (0, 1, text));
        assert_eq!(end(Ok(&Ledger::default())), (1, 1, None));
    }
}
