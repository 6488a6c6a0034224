//! Holds what was seen to what was promised. Pure: what was seen and done goes in, violations come out.

mod answers;
mod routes;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

pub(super) use answers::{Answers, Users};
pub(super) use routes::{PutBack, put_backs};

use super::journal::Written;
use super::schedule::{Deed, Event, What, first};
use super::version::Version;
use super::watchers::Seen;

/// A promise that was broken.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Violation {
    pub(super) at: Duration,
    /// The app, or what else it is about.
    pub(super) who: String,
    pub(super) what: String,
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{:.1} s, {}: {}",
            self.at.as_secs_f64(),
            self.who,
            self.what
        )
    }
}

/// What is judged.
pub(super) struct Case<'a> {
    pub(super) seen: &'a Seen,
    pub(super) written: &'a Written,
    /// Every version of each app, by the name in its answers.
    pub(super) versions: &'a Versions,
    /// What users got, app by app.
    pub(super) answers: &'a [Answers],
}

/// Every version of each app, by the name in its answers.
#[derive(Debug, Default)]
pub(super) struct Versions(Vec<BTreeMap<String, Version>>);

impl Versions {
    pub(super) fn of(schedule: &[Event], canaries: usize) -> Self {
        let one = |canary| BTreeMap::from([(first(canary).name(), first(canary))]);
        let mut versions: Vec<_> = (0..canaries).map(one).collect();
        for event in schedule {
            if let What::Deed(canary, Deed::Push(version)) = event.what
                && let Some(of_canary) = versions.get_mut(canary)
            {
                of_canary.insert(version.name(), version);
            }
        }
        Self(versions)
    }

    fn get(&self, canary: usize, name: &str) -> Option<Version> {
        self.0.get(canary)?.get(name).copied()
    }
}

/// All violations, oldest first.
pub(super) fn judge(case: &Case<'_>, canaries: usize) -> Vec<Violation> {
    let mut violations: Vec<_> = (0..canaries)
        .flat_map(|canary| {
            let mut found = routes::judge(case, canary);
            found.extend(answers::judge(case, canary));
            found
        })
        .collect();
    violations.extend(case.written.stuck.iter().map(|stuck| Violation {
        at: Duration::ZERO,
        who: "a deed".to_owned(),
        what: format!("did not come to its end: {stuck}"),
    }));
    violations.sort();
    violations
}
