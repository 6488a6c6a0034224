//! How many requests each Service had in the last week, of all its revisions together. No I/O and no clock.
//!
//! One range query for all of a server and source. A week of raw samples of hundreds of Services is more than a
//! server lets a query read, and nobody needs it: the rate over a few intervals, looked at once in about an hour,
//! is a survey of the week. A server that has less than a week gives fewer looks, and the figure says over how
//! much time they go. `rate()` extrapolates, and misses the first sample of a series: that is no matter here,
//! where nothing is judged.

mod query;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::TimeDelta;
use sluice_core::{PastTraffic, Time};
use sluice_crds::{OtlpNames, Source};

use super::answer::Series;
use super::fetch::Span;
use super::query::Asked;
use super::source::{Dialect, ToldBy, spell};
use super::{Key, Server};
use crate::render::name;

/// So long it is waited for more Canaries that are new: many come at once when a controller starts.
pub(super) const GATHER: TimeDelta = TimeDelta::seconds(5);
/// How often a figure is renewed.
pub(super) const HOUR: TimeDelta = TimeDelta::hours(1);
/// How soon it is asked again where there was none; twice as long after each time, up to [`HOUR`].
pub(super) const SOON: TimeDelta = TimeDelta::minutes(5);
/// The time between two looks. Less than an hour: what happens on every hour would be seen always, or never.
const STEP: TimeDelta = TimeDelta::minutes(59);
/// A rate takes at least two samples; with four one may be late and one may be lost.
const INTERVALS: i32 = 4;

/// Whose past traffic a Canary wants to know.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Past {
    /// Whom to ask.
    pub server: Server,
    /// How often that server scrapes the source.
    pub interval: TimeDelta,
    /// Whose counters.
    pub source: Source,
    /// How that server writes OpenTelemetry's names.
    pub names: OtlpNames,
    /// The namespace of all of these.
    pub namespace: String,
    /// The Service that clients call: it was counted by its own name before it was adopted.
    pub service: String,
    /// The template source, by whose name its pods were counted; its revisions are named after it.
    pub target: String,
}

/// What is known of a Canary's past traffic.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Known {
    /// It was not asked for yet.
    #[default]
    NotYet,
    /// So many requests.
    Traffic(PastTraffic),
    /// The source had none of its series.
    Nothing,
    /// Why there was no answer.
    Problem(String),
}

/// What is asked with one query.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Group {
    server: Server,
    source: &'static str,
    names: OtlpNames,
}

#[derive(Debug)]
struct Member {
    past: Past,
    due_at: Time,
    /// How long it is, or was, until then.
    pause: TimeDelta,
    known: Known,
}

/// Everybody who wants to know, and what is known.
#[derive(Debug, Default)]
pub(super) struct Register {
    members: HashMap<Key, Member>,
}

/// One query.
#[derive(Debug)]
pub(super) struct Survey {
    pub(super) server: Server,
    pub(super) query: String,
    pub(super) range: Span,
    dialect: &'static Dialect,
    names: OtlpNames,
    window: TimeDelta,
    members: Vec<(Key, Past)>,
}

impl Register {
    /// Notes what a Canary wants to know from `now` on; tells whether that is new.
    pub(super) fn note(&mut self, key: Key, past: Option<Past>, now: Time) -> bool {
        let Some(past) = past else {
            self.members.remove(&key);
            return false;
        };
        if self.members.get(&key).is_some_and(|m| m.past == past) {
            return false;
        }
        let member = Member {
            past,
            due_at: now + GATHER,
            pause: GATHER,
            known: Known::NotYet,
        };
        self.members.insert(key, member);
        true
    }

    pub(super) fn known(&self, key: &Key) -> Known {
        let member = self.members.get(key);
        member
            .map(|member| member.known.clone())
            .unwrap_or_default()
    }

    /// When somebody is due.
    pub(super) fn due_at(&self) -> Option<Time> {
        self.members.values().map(|member| member.due_at).min()
    }

    /// The queries that are due: whoever is due before half of his pause is over comes along, so that there are
    /// few queries for many.
    pub(super) fn surveys(&mut self, now: Time) -> Vec<Survey> {
        let mut due: BTreeMap<Group, Vec<(Key, Past)>> = BTreeMap::new();
        let mut early: BTreeMap<Group, Vec<(Key, Past)>> = BTreeMap::new();
        for (key, member) in &self.members {
            let one = || (key.clone(), member.past.clone());
            if member.due_at <= now {
                due.entry(member.past.group()).or_default().push(one());
            } else if member.due_at - now <= member.pause / 2 {
                early.entry(member.past.group()).or_default().push(one());
            }
        }
        let surveys = due.into_iter().map(|(group, mut members)| {
            members.extend(early.remove(&group).unwrap_or_default());
            Survey::of(members, now)
        });
        let surveys: Vec<_> = surveys.flatten().collect();
        for (key, _) in surveys.iter().flat_map(|survey| &survey.members) {
            if let Some(member) = self.members.get_mut(key) {
                // Until its answer is there nobody asks for it again.
                member.due_at = now + HOUR;
            }
        }
        surveys
    }

    /// Notes an answer; returns who knows something else now.
    pub(super) fn answered(
        &mut self,
        survey: &Survey,
        answer: Result<&[Series], String>,
        now: Time,
    ) -> Vec<Key> {
        let found = answer.map(|series| survey.read(series));
        let mut news = Vec::new();
        for (key, past) in &survey.members {
            let member = self.members.get_mut(key);
            let Some(member) = member.filter(|member| member.past == *past) else {
                continue;
            };
            let known = match &found {
                Ok(found) => found
                    .get(key)
                    .copied()
                    .map_or(Known::Nothing, Known::Traffic),
                Err(problem) => Known::Problem(problem.clone()),
            };
            member.pause = match (&known, &member.known) {
                (Known::Traffic(_), _) => HOUR,
                (_, Known::NotYet | Known::Traffic(_)) => SOON,
                _ => (member.pause * 2).min(HOUR),
            };
            member.due_at = now + member.pause;
            if known != member.known {
                member.known = known;
                news.push(key.clone());
            }
        }
        news
    }
}

impl Past {
    fn group(&self) -> Group {
        Group {
            server: self.server.clone(),
            source: Dialect::of(self.source).name,
            names: self.names,
        }
    }

    /// The name by which it was counted before it had revisions, and what their names begin with.
    fn counted_as(&self) -> (&str, String) {
        let own = match Dialect::of(self.source).told_by {
            ToldBy::Service => &self.service,
            ToldBy::Workload => &self.target,
        };
        (own, name::base(&self.target))
    }
}

impl Survey {
    fn of(members: Vec<(Key, Past)>, now: Time) -> Option<Self> {
        let (_, first) = members.first()?;
        let (server, source, names) = (first.server.clone(), first.source, first.names);
        let dialect = Dialect::of(source);
        let interval = members.iter().map(|(_, past)| past.interval).max()?;
        let interval = interval.clamp(TimeDelta::seconds(1), HOUR / INTERVALS);
        let window = interval * INTERVALS;
        let mut namespaces = BTreeSet::new();
        let mut counted = BTreeSet::new();
        for (_, past) in &members {
            let (own, base) = past.counted_as();
            namespaces.insert(past.namespace.as_str());
            counted.extend([own.to_owned(), base]);
        }
        let asked = Asked {
            names,
            ..Asked::default()
        };
        let counted = counted.iter().map(String::as_str);
        let query = query::rates(dialect, &asked, &namespaces, counted, window);
        let looks =
            (sluice_core::evidence::traffic::LONGEST - window).num_minutes() / STEP.num_minutes();
        let looks = i32::try_from(looks).unwrap_or_default();
        let range = Span {
            start: now - STEP * looks,
            end: now,
            step: STEP,
        };
        Some(Self {
            server,
            query,
            range,
            dialect,
            names,
            window,
            members,
        })
    }

    /// What an answer says of each member. What has no series was never counted, and nothing is said of it.
    fn read(&self, series: &[Series]) -> HashMap<Key, PastTraffic> {
        let namespace = spell(self.dialect.namespace, self.names);
        let mut rates: HashMap<(&str, &str), Vec<(f64, f64)>> = HashMap::new();
        for one in series {
            let label = |name: &str| one.labels.get(name).map_or("", String::as_str);
            let of = (label(&namespace), label(query::COUNTED_AS));
            rates.entry(of).or_default().extend(one.points());
        }
        let mut found = HashMap::new();
        for (key, past) in &self.members {
            let (own, base) = past.counted_as();
            let base = query::of_revisions(&base);
            let mut looks: BTreeMap<u64, f64> = BTreeMap::new();
            for name in BTreeSet::from([query::counted_as(own), base]) {
                let points = rates.get(&(past.namespace.as_str(), name.as_str()));
                for (at, rate) in points
                    .into_iter()
                    .flatten()
                    .filter(|(_, rate)| *rate >= 0.0)
                {
                    *looks.entry(at.to_bits()).or_default() += rate;
                }
            }
            if let Some(traffic) = self.average(&looks) {
                found.insert(key.clone(), traffic);
            }
        }
        found
    }

    /// Each look stands for the time up to the next one, and the oldest for what it saw itself. One between
    /// others that saw no series saw no requests: pods that count themselves may have been away.
    fn average(&self, looks: &BTreeMap<u64, f64>) -> Option<PastTraffic> {
        let (first, _) = looks.first_key_value()?;
        let (last, _) = looks.last_key_value()?;
        let seconds = f64::from_bits(*last) - f64::from_bits(*first);
        #[allow(clippy::cast_possible_truncation, reason = "a week at most")]
        let between = (seconds / STEP.as_seconds_f64()).round() as i32;
        let number = f64::from(between.max(0)) + 1.0;
        let over = STEP * between.max(0) + self.window;
        let sum: f64 = looks.values().sum();
        Some(PastTraffic::measured(sum / number, over))
    }
}

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests;
