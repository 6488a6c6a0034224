//! Which one of several processes acts: the holder of a Lease (coordination.k8s.io/v1).
//!
//! [`evaluate()`] says what to do about the Lease, as a function of what was seen of it; [`Election`]
//! does it; the [`Fence`] lets writes pass only for as long as the Lease was won.
//!
//! Two never write at once, because no two clocks are compared. The holder may write for
//! [`WRITE_FOR`] from just before it *sent* its last renewal. Another takes over only when it has not
//! seen the Lease change for [`DURATION`] by its own clock, and it saw that renewal after it was sent.
//! The difference is time for requests that are on their way. And a takeover names the version that
//! was seen last, so that the API server refuses it if the holder renewed after all.

mod election;
mod evaluate;
mod fence;
mod handover;

use std::time::Duration;

pub use election::{Election, Nomination, Place};
pub use evaluate::{Me, Step, View, evaluate};
pub use fence::{Fence, Fenced};

/// How long the Lease must have been unchanged before another takes it.
pub const DURATION: Duration = Duration::from_secs(15);
/// How long the holder may write, counted from just before it sent its last successful renewal.
pub const WRITE_FOR: Duration = Duration::from_secs(10);
/// How often the holder renews. Between two renewals and the end of its writing there is time for one
/// that fails.
pub const RENEW_EVERY: Duration = Duration::from_secs(5);
/// How soon to try again when the Lease could not be written.
const RETRY: Duration = Duration::from_secs(1);
/// How long the API server may take to answer about the Lease.
pub(crate) const PATIENCE: Duration = Duration::from_secs(2);
