//! What left the route and has pods still.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::clock;
use crate::{RevisionName, Time};

/// A backend that left the route keeps its pods for a while. `Display` is a sentence for a person.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Drain {
    /// Which one; `None` for the target's own pods.
    pub revision: Option<RevisionName>,
    /// Until then.
    pub until: Time,
    /// What for.
    pub keeps: Keeps,
}

/// What it keeps its pods for.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Keeps {
    /// Connections may be open.
    Connections,
    /// Requests to it still ended at this time, well after it had left.
    Asked(Time),
    /// Nobody could see yet whether it is still asked.
    Unseen,
}

impl fmt::Display for Drain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whose = self
            .revision
            .as_ref()
            .map_or("the target", RevisionName::as_str);
        let until = clock(self.until);
        match self.keeps {
            Keeps::Connections => write!(
                f,
                "{whose} keeps its pods until {until} for open connections"
            ),
            Keeps::Asked(at) => write!(
                f,
                "{whose} keeps its pods until {until}: it left the route, and requests to it still ended at {}",
                clock(at)
            ),
            Keeps::Unseen => write!(
                f,
                "{whose} keeps its pods until the metrics show that nobody asks it, or until {until}"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_its_sentence() {
        let at = |second| Time::from_timestamp(second, 0).unwrap_or_default();
        let said = |revision: Option<&str>, keeps| {
            let revision = revision.map(Into::into);
            let until = at(70);
            Drain {
                revision,
                until,
                keeps,
            }
            .to_string()
        };
        assert_eq!(
            said(None, Keeps::Connections),
            "the target keeps its pods until 00:01:10Z for open connections"
        );
        assert_eq!(
            said(Some("web-a"), Keeps::Asked(at(10))),
            "web-a keeps its pods until 00:01:10Z: it left the route, and requests to it still ended at 00:00:10Z"
        );
        assert_eq!(
            said(Some("web-a"), Keeps::Unseen),
            "web-a keeps its pods until the metrics show that nobody asks it, or until 00:01:10Z"
        );
    }
}
