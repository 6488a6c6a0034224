//! What users got: no failure but a bad version's own, and of a bad version no more than its weight, and
//! not for long.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::{Case, Violation};
use crate::load::{Ended, Outcome};
use crate::soak::journal::undisturbed;
use crate::soak::rules::{EXPOSURE, GRACE, SLOW};
use crate::soak::schedule::name;
use crate::soak::version::{Fault, Version, name_of};
use crate::soak::watchers::{Routed, Seen, ratio};

/// Shares are counted over windows of this length.
const WINDOW: Duration = Duration::from_secs(5);
/// How long the mesh may take to follow a route, and an answer to come: what had weight then may
/// answer now.
const LAG: Duration = Duration::from_secs(15);
/// A count that chance brings about once in a billion windows is none of chance.
const SIGMAS: f64 = 6.0;
/// Answers of a version without any for so long begin another exposure.
const PAUSE: Duration = Duration::from_secs(10);

/// One answer, on the soak's clock.
#[derive(Clone, Debug)]
pub(in crate::soak) struct Answer {
    pub(in crate::soak) sent: Duration,
    pub(in crate::soak) at: Duration,
    pub(in crate::soak) outcome: Outcome,
    pub(in crate::soak) version: Option<Arc<str>>,
}

/// What the users of one app got, in the order of time.
#[derive(Clone, Debug, Default)]
pub(in crate::soak) struct Answers(Vec<Answer>);

impl Answers {
    /// `begun` is the load's beginning on the soak's clock; it may lie before it.
    pub(in crate::soak) fn new(ended: Vec<Ended>, now: Duration, load_now: Duration) -> Self {
        let on_clock = |at: Duration| (now + at).saturating_sub(load_now);
        let answer = |ended: Ended| Answer {
            sent: on_clock(ended.sent),
            at: on_clock(ended.at),
            outcome: ended.outcome,
            version: ended.version,
        };
        Self(ended.into_iter().map(answer).collect())
    }

    /// How many a version gave in a span of time.
    pub(super) fn of(&self, version: &str, from: Duration, to: Duration) -> u64 {
        let in_span = self
            .0
            .iter()
            .filter(|answer| (from..to).contains(&answer.at));
        let of_version = in_span.filter(|answer| answer.version.as_deref() == Some(version));
        of_version.count() as u64
    }
}

/// What all users got, in numbers.
#[derive(Clone, Debug, Default)]
pub(in crate::soak) struct Users {
    pub(in crate::soak) requests: u64,
    /// Failures that a bad version itself answered.
    pub(in crate::soak) by_bad: u64,
    /// Slow answers of slow versions.
    pub(in crate::soak) slow: u64,
    /// Every other failure, by kind.
    pub(in crate::soak) others: BTreeMap<String, u64>,
    /// The longest time that a bad version answered while everything that judges it worked.
    pub(in crate::soak) exposed: Duration,
}

impl Users {
    /// Adds one app's.
    pub(in crate::soak) fn add(&mut self, case: &Case<'_>, canary: usize) {
        let Some(answers) = case.answers.get(canary) else {
            return;
        };
        for answer in &answers.0 {
            self.requests += 1;
            match blame(case, canary, answer) {
                Blame::Nobody if is_slow(case, canary, answer) => self.slow += 1,
                Blame::Nobody => {}
                Blame::Bad => self.by_bad += 1,
                Blame::Sluice => {
                    let kind = match &answer.version {
                        Some(_) => format!("{} by a good version", answer.outcome),
                        None => answer.outcome.to_string(),
                    };
                    *self.others.entry(kind).or_default() += 1;
                }
            }
        }
        for exposure in exposures(case, canary) {
            self.exposed = self.exposed.max(exposure.free);
        }
    }
}

enum Blame {
    Nobody,
    Bad,
    Sluice,
}

fn blame(case: &Case<'_>, canary: usize, answer: &Answer) -> Blame {
    if !answer.outcome.is_failure() {
        return Blame::Nobody;
    }
    match version(case, canary, answer).and_then(|version| version.fault) {
        Some(Fault::Fails(_)) if answer.outcome == Outcome::Status(500) => Blame::Bad,
        _ => Blame::Sluice,
    }
}

fn version(case: &Case<'_>, canary: usize, answer: &Answer) -> Option<Version> {
    case.versions.get(canary, answer.version.as_deref()?)
}

fn is_slow(case: &Case<'_>, canary: usize, answer: &Answer) -> bool {
    let version = version(case, canary, answer);
    let slow = answer.at.saturating_sub(answer.sent) >= SLOW;
    slow && version.and_then(|version| version.fault) == Some(Fault::Slow)
}

pub(super) fn judge(case: &Case<'_>, canary: usize) -> Vec<Violation> {
    let who = name(canary);
    let mut found = Vec::new();
    let mut breach = |at: Duration, what: String| {
        let who = who.clone();
        found.push(Violation { at, who, what });
    };
    let Some(answers) = case.answers.get(canary) else {
        return found;
    };
    for answer in &answers.0 {
        if matches!(blame(case, canary, answer), Blame::Sluice) {
            let by = answer.version.as_deref().unwrap_or("nobody");
            breach(
                answer.at,
                format!("a user got {} from {by}", answer.outcome),
            );
        }
    }
    for exposure in exposures(case, canary) {
        if exposure.free > EXPOSURE {
            let Exposure { version, to, .. } = exposure;
            let text = format!("{version} is bad and answered for {:.1?}", exposure.free);
            breach(to, text);
        }
    }
    for (at, text) in shares(case, canary, answers) {
        breach(at, text);
    }
    found
}

/// From the first bad answer of a version to its last answer.
struct Exposure {
    version: String,
    from: Duration,
    to: Duration,
    /// The part of it in which nothing kept Sluice from ending it.
    free: Duration,
}

fn exposures(case: &Case<'_>, canary: usize) -> Vec<Exposure> {
    let mut open: BTreeMap<&str, Exposure> = BTreeMap::new();
    let mut ended = Vec::new();
    let answers = case.answers.get(canary).map(|answers| answers.0.as_slice());
    for answer in answers.unwrap_or_default() {
        let Some(named) = answer.version.as_deref() else {
            continue;
        };
        if case
            .versions
            .get(canary, named)
            .is_none_or(Version::is_good)
        {
            continue;
        }
        let bad = answer.outcome.is_failure() || answer.at.saturating_sub(answer.sent) >= SLOW;
        match open.get_mut(named) {
            Some(exposure) if answer.at < exposure.to + PAUSE => exposure.to = answer.at,
            _ if bad => {
                let fresh = Exposure {
                    version: named.to_owned(),
                    from: answer.at,
                    to: answer.at,
                    free: Duration::ZERO,
                };
                ended.extend(open.insert(named, fresh));
            }
            _ => {}
        }
    }
    ended.extend(open.into_values());
    let disturbed = case.written.disturbed(canary, GRACE);
    for exposure in &mut ended {
        exposure.free = undisturbed(exposure.from, exposure.to, &disturbed);
    }
    ended
}

/// Windows in which a version answered more than its weight explains.
fn shares(case: &Case<'_>, canary: usize, answers: &Answers) -> Vec<(Duration, String)> {
    let mut windows: BTreeMap<u128, BTreeMap<&str, u64>> = BTreeMap::new();
    for answer in &answers.0 {
        if let Some(named) = answer.version.as_deref() {
            let window = windows
                .entry(answer.at.as_millis() / WINDOW.as_millis())
                .or_default();
            *window.entry(named).or_default() += 1;
        }
    }
    let routes = case.seen.routes.get(&name(canary)).map(Vec::as_slice);
    let mut found = Vec::new();
    for (index, counts) in windows {
        let from = WINDOW * u32::try_from(index).unwrap_or(u32::MAX);
        let all: u64 = counts.values().sum();
        for (version, count) in counts {
            let revisions = revisions(case.seen, canary, version);
            let behind = case.written.mesh_behind_since(from).unwrap_or(from);
            let from_then = from.min(behind).saturating_sub(LAG);
            let share = most(
                routes.unwrap_or_default(),
                &revisions,
                from_then,
                from + WINDOW,
            );
            if is_too_much(count, all, share / 100.0) {
                let text =
                    format!("{version} gave {count} of {all} answers, its weight is {share} %");
                found.push((from, text));
            }
        }
    }
    found
}

/// Whether so many of so many are more than a share explains.
fn is_too_much(count: u64, all: u64, share: f64) -> bool {
    let (count, all) = (ratio(count, 1), ratio(all, 1));
    count > all * share + SIGMAS * (all * share * (1.0 - share)).sqrt() + 2.0
}

/// The revisions whose pods answer as this version. They may differ in their configuration.
fn revisions(seen: &Seen, canary: usize, version: &str) -> BTreeSet<String> {
    let prefix = format!("{}-", name(canary));
    let of_version = seen
        .tags
        .iter()
        .filter(|(revision, tag)| revision.starts_with(&prefix) && name_of(tag) == version);
    of_version.map(|(revision, _)| revision.clone()).collect()
}

/// The largest share, in percent, that these had at any time of a span. Without a route anybody may
/// have everything.
fn most(routes: &[Routed], revisions: &BTreeSet<String>, from: Duration, to: Duration) -> f64 {
    let begun = routes.iter().rposition(|routed| routed.at <= from);
    let before = if begun.is_none() { 100.0 } else { 0.0 };
    let within = routes
        .iter()
        .skip(begun.unwrap_or_default())
        .take_while(|routed| routed.at < to);
    let share = |routed: &Routed| -> f64 {
        let shares = revisions
            .iter()
            .map(|revision| routed.split.share(revision));
        shares.sum::<Option<f64>>().unwrap_or(100.0)
    };
    within.map(share).fold(before, f64::max)
}
