//! An approval in words.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::clock;
use crate::evidence::Why;
use crate::{RevisionName, Time, Weight};

/// A candidate that may not go on from its weight until a person says so.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Approval {
    /// The candidate.
    pub revision: RevisionName,
    /// An image by which it can be told from the revision that serves, if there is one.
    pub image: Option<String>,
    /// Its weight.
    pub at: Weight,
    /// Since when it waits.
    pub since: Time,
    /// What the evidence lacks by now: it must be clear again before anything goes on.
    pub why: Option<Why>,
}

impl Approval {
    /// What is to be written in `spec.approved`: by image, which Git knows, where there is one of its own.
    #[must_use]
    pub fn asked(&self) -> String {
        let named = match &self.image {
            Some(image) => crate::person::Named::Image(image.clone()),
            None => crate::person::Named::Revision(self.revision.clone()),
        };
        let at = Some(self.at);
        crate::person::Approval { named, at }.to_string()
    }
}

impl fmt::Display for Approval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "waits for approval since {}: to go on, add {} to spec.approved",
            clock(self.since),
            self.asked()
        )?;
        match &self.why {
            Some(why) => write!(f, "; meanwhile {why}"),
            None => Ok(()),
        }
    }
}
