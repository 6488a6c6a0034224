//! What effects are about, and why one may fail.

use sluice_crds::RouteTemplate;

use super::writer::WriteError;
use crate::observe::Observed;
use crate::parse::Identified;
use crate::parse::revisions::Known;

/// Why an effect could not be carried out.
#[derive(Debug, thiserror::Error)]
pub enum EffectError {
    /// The API server did not take a write.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// What the effect needs could not be read.
    #[error("read ConfigMap {name}: {source}")]
    Read {
        /// Which one.
        name: String,
        /// What the API server said.
        #[source]
        source: Box<kube::Error>,
    },
    /// What the effect needs is not there any more; the next decision sees that.
    #[error("{0}")]
    Gone(String),
}

impl EffectError {
    /// Whether an object is not as it was when this was decided: nothing is wrong, it is decided anew.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Write(error) if error.is_conflict())
    }

    /// What the API server said, when it is no matter of waiting.
    #[must_use]
    pub fn refusal(&self) -> Option<String> {
        match self {
            Self::Write(error) => error.refusal(),
            Self::Read { .. } | Self::Gone(_) => None,
        }
    }
}

/// What the effects are about.
pub struct Scene<'a> {
    /// What was observed.
    pub observed: &'a Observed,
    /// Its snapshots.
    pub known: &'a Known<'a>,
    /// What the target is.
    pub identified: Option<&'a Identified>,
    /// What was promoted last, where that is something else.
    pub promoted: Option<&'a Identified>,
    /// The route template in force.
    pub route: Option<&'a RouteTemplate>,
}

impl<'a> Scene<'a> {
    /// What can become a revision: the target, and what was promoted last.
    pub fn sources(&self) -> impl Iterator<Item = &'a Identified> {
        self.identified.into_iter().chain(self.promoted)
    }
}
