//! What to do when a look at a Canary did not come to its end.

use std::time::Duration;

use kube::runtime::controller::Action;
use kube::runtime::reflector::ObjectRef;
use sluice_crds::Canary;

use super::Context;
use crate::apply::{EffectError, WriteError};

/// Why a reconcile did not come to its end. It is tried again.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An effect could not be carried out.
    #[error("{source}")]
    Effect {
        /// Why.
        source: EffectError,
        /// When the decision wants to look again, whatever the failure: a deadline counts on.
        wake: Option<Duration>,
    },
    /// The status could not be written.
    #[error(transparent)]
    Status(#[from] WriteError),
}

impl Error {
    /// Whether the API server was asked and said no.
    fn is_refused(&self) -> bool {
        match self {
            Self::Effect { source, .. } => source.refusal().is_some(),
            Self::Status(error) => error.refusal().is_some(),
        }
    }
}

/// What to do after a failure: try again, later each time.
#[must_use]
pub fn retry(canary: &Canary, error: &Error, context: &Context) -> Action {
    let key = ObjectRef::from_obj(canary);
    let fenced = match error {
        Error::Effect {
            source: EffectError::Write(error),
            ..
        }
        | Error::Status(error) => error.is_fenced(),
        Error::Effect {
            source: EffectError::Gone(_) | EffectError::Read { .. },
            ..
        } => false,
    };
    if fenced {
        // Another process goes on, or this one in its next term.
        tracing::info!(%error, canary = %key, "left to whoever holds the lease");
        return Action::await_change();
    }
    let delay = context.memories.failed(&key, error.is_refused());
    let delay = match error {
        Error::Effect {
            wake: Some(wake), ..
        } => delay.min(*wake),
        Error::Effect { wake: None, .. } | Error::Status(_) => delay,
    };
    tracing::warn!(%error, canary = %key, ?delay, "reconcile failed and is tried again");
    Action::requeue(delay)
}
