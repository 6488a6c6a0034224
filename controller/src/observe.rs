//! The first stage of a reconcile: what is known of the cluster, from caches alone.
//!
//! [`kinds`] says what is watched and what of it is kept, [`caches`] keeps it, [`absence`] knows when the API
//! server was away, [`optional`] does both for kinds that a cluster may lack, [`triggers`] tells which Canary a
//! change concerns, [`shelf`] finds in them what concerns one Canary, `held` fills caches without a watch,
//! [`size`] knows who says the size of a Deployment,
//! [`observed`] and [`others`] collect what one Canary depends on, [`stripped`] knows
//! ours without our labels, [`written`] whether the caches have seen our
//! own writes.

pub mod absence;
pub mod caches;
mod held;
pub mod kinds;
pub mod labelled;
pub mod observed;
pub mod optional;
pub mod others;
mod pauses;
pub mod shelf;
pub mod size;
pub mod stripped;
pub mod triggers;
pub mod written;

pub use absence::Absence;
pub use caches::{Caches, Scope};
pub use observed::Observed;
pub use written::Written;
