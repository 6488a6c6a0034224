//! The name of a revision, and what its snapshot remembers of it.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::Time;
use crate::evidence::Grounds;

/// The name of a revision: of its snapshot, its Deployment and its Service.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(from = "String", into = "String")]
pub struct RevisionName(Arc<str>);

impl RevisionName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for RevisionName {
    fn from(name: &str) -> Self {
        Self(name.into())
    }
}

impl From<String> for RevisionName {
    fn from(name: String) -> Self {
        Self(name.into())
    }
}

impl From<RevisionName> for String {
    fn from(name: RevisionName) -> Self {
        name.0.as_ref().to_owned()
    }
}

impl fmt::Display for RevisionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How judging a revision ended.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Outcome {
    /// It took all traffic.
    Promoted,
    /// It must not serve again until its template changes or an order names it.
    Rejected,
}

/// What a revision's snapshot remembers, so that it survives a lost status.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Record {
    /// How judging ended, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Time>,
    /// Why, in words for a person.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// A person ordered this end.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ordered: bool,
    /// The orders that were carried out on this revision, or came too late, as `verb:value`. An
    /// annotation stays on the Canary: without this list a retry would be obeyed for ever.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub orders: Vec<String>,
    /// What the end was based on, if there was evidence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grounds: Option<Grounds>,
}

impl Record {
    /// Whether the revision took all traffic once, and was not rejected later.
    #[must_use]
    pub fn is_promoted(&self) -> bool {
        self.outcome == Some(Outcome::Promoted)
    }

    /// Whether the revision must not serve.
    #[must_use]
    pub fn is_rejected(&self) -> bool {
        self.outcome == Some(Outcome::Rejected)
    }

    /// The same record with another end.
    #[must_use]
    pub fn ended(&self, outcome: Outcome, at: Time, reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Self {
            outcome: Some(outcome),
            at: Some(at),
            reason,
            ordered: false,
            orders: self.orders.clone(),
            grounds: None,
        }
    }

    /// The text that orders `verb` of this revision, `name`, anew: `web-7d4b9c4x`, or with `#2` and on where
    /// that was carried out before.
    #[must_use]
    pub fn next_order(&self, verb: &str, name: &str) -> String {
        let mut text = name.to_owned();
        let mut number = 1_u32;
        while self.orders.contains(&format!("{verb}:{text}")) {
            number = number.saturating_add(1);
            text = format!("{name}#{number}");
        }
        text
    }

    /// The same record with one more order carried out.
    #[must_use]
    pub fn obeyed(mut self, order: &str) -> Self {
        if !self.orders.iter().any(|known| known == order) {
            self.orders.push(order.to_owned());
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_that_was_carried_out_is_numbered_to_be_ordered_anew() {
        let record = Record::default().obeyed("abort:web-bad");
        assert_eq!(record.next_order("retry", "web-bad"), "web-bad");
        let record = record.obeyed("retry:web-bad").obeyed("retry:web-bad#2");
        assert_eq!(record.next_order("retry", "web-bad"), "web-bad#3");
        assert_eq!(record.next_order("abort", "web-bad"), "web-bad#2");
    }
}
