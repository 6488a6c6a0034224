//! One commit, and what came of it.

use std::time::Duration;

use sluice_crds::{CanaryStatus, Phase};

/// What a commit is about, in the order of the story.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// Sluice takes the app over.
    Adoption,
    /// A good version.
    Good,
    /// A bad version.
    Bad,
    /// The bad version's commit is reverted.
    RevertBad,
    /// The good version's commit is reverted.
    RevertGood,
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The revision serves all requests.
    Serves,
    /// It was rejected, and the one before serves.
    RolledBack,
    /// Neither, within the time given.
    Late,
}

/// A commit and what came of it. Times are the load's.
#[derive(Clone, Debug)]
pub(super) struct Chapter {
    pub(super) act: Act,
    /// The version that was committed.
    pub(super) version: String,
    /// Its revision.
    pub(super) revision: String,
    /// When it was committed.
    pub(super) pushed: Duration,
    /// When it ended.
    pub(super) ended: Duration,
    pub(super) end: End,
    /// Why, as the Canary's history says.
    pub(super) reason: String,
    /// Weights between nothing and all that it had, in percent.
    pub(super) steps: Vec<f64>,
    /// UIDs of the pods that had a part of the requests while they were judged.
    pub(super) judged: Vec<String>,
    /// Whether Sluice said that it goes back to this revision, without gates.
    pub(super) went_back: bool,
}

impl Chapter {
    /// From the commit to the end.
    pub(super) fn took(&self) -> Duration {
        self.ended.saturating_sub(self.pushed)
    }

    /// Whether it ended as the story goes.
    pub(super) fn went_well(&self) -> bool {
        let hoped = match self.act {
            Act::Bad => End::RolledBack,
            Act::Adoption | Act::Good | Act::RevertBad | Act::RevertGood => End::Serves,
        };
        self.end == hoped
    }
}

/// How a revision ended, if it did.
pub(super) fn end(revision: &str, status: &CanaryStatus) -> Option<End> {
    let is = |name: &Option<String>| name.as_deref() == Some(revision);
    match status.phase? {
        // While the one before drains, the phase is Finalising.
        Phase::Succeeded | Phase::Finalising if is(&status.stable) && status.rollout.is_none() => {
            Some(End::Serves)
        }
        Phase::Failed if is(&status.candidate) => Some(End::RolledBack),
        _ => None,
    }
}
