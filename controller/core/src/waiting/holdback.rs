//! A holdback in words.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::clock;
use crate::evidence::Why;
use crate::{RevisionName, Time, Weight};

/// A candidate that passed every step, and the share that stays on the stable revision for a while.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Holdback {
    /// The stable revision.
    pub stable: RevisionName,
    /// What it keeps.
    pub share: Weight,
    /// Until then...
    pub until: Time,
    /// ...and from then on for this reason: nothing follows from the evidence.
    pub why: Option<Why>,
    /// What Git asks for by now: it ends the holdback as soon as the evidence lets it.
    pub newer: Option<RevisionName>,
    /// That waits for longer than the plan allows: a person must decide.
    pub overdue: bool,
}

impl fmt::Display for Holdback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (stable, share, until) = (&self.stable, self.share, clock(self.until));
        match (&self.why, &self.newer) {
            (None, None) => write!(f, "holdback until {until}: {share} stay on {stable}"),
            (None, Some(newer)) => write!(
                f,
                "holdback: {share} stay on {stable} until this weight is measured, then {newer} is next"
            ),
            (Some(why), newer) => {
                write!(
                    f,
                    "{why}, since {until}; holdback: {share} stay on {stable} until that is clear"
                )?;
                newer.as_ref().map_or(Ok(()), |newer| {
                    write!(
                        f,
                        ", or until the annotation sluice.dev/promote or sluice.dev/abort ends it for {newer}"
                    )
                })
            }
        }
    }
}
