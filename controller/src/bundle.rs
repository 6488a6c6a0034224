//! Bundles: every decision of one rollout with all that it was made of, in a file that `sluice replay`
//! reads.
//!
//! A bundle is a text of JSON objects, one a line. The first is a [`Header`]; each further one is a [`Look`] as what is new
//! since the line before it: [`encode`] and [`decode`] know how. [`Recording`] writes bundles beside the
//! controller, which never waits for it; [`read`] reads one.
//!
//! There are names, counts, and words of the mesh, of Prometheus and of the API server in a bundle; no template, no
//! Secret and no header.

mod decode;
mod encode;
mod folder;
mod line;
mod recording;

pub use decode::{Bundle, Unreadable, read};
pub use encode::Encoder;
pub use line::{FORMAT, Header};
pub use recording::Recording;

use sluice_core::{Decision, Plan, State, Time, World};

/// One decision: what `decide` was given, and what it said.
#[derive(Clone, Debug, PartialEq)]
pub struct Look {
    /// The policy at that time.
    pub plan: Plan,
    /// What was remembered.
    pub state: State,
    /// What was observed.
    pub world: World,
    /// When.
    pub now: Time,
    /// What was decided.
    pub decision: Decision,
}

impl Look {
    /// Whether no rollout is under way after it, and nothing is left to do.
    fn is_at_rest(&self) -> bool {
        let decision = &self.decision;
        decision.state.rollout.is_none()
            && decision.effects.is_empty()
            && decision.wake_at.is_none()
    }
}

#[cfg(test)]
pub(crate) mod tests;
