//! The second stage of a reconcile: observed objects become the terms of the decision.
//!
//! What is wrong with a spec is found here once, and becomes a [`sluice_core::Blocked`] that names the
//! field and the fix. Behind this stage everything is valid.

pub mod autoscaler;
pub mod blockers;
pub mod mesh;
pub mod pinned;
pub mod plan;
pub mod promoted;
pub mod revisions;
pub mod state;
pub mod target;
pub mod template;
pub mod workload;
pub mod world;

pub use pinned::Pinned;
pub use target::Identified;
