//! The last but one stage of a reconcile: what was decided is written.
//!
//! [`writer`] is the only place that writes to the API server; [`effects`] turns each
//! [`sluice_core::Effect`] into such writes, by the shapes of [`crate::render`].

pub mod configuration;
pub mod effects;
pub mod scene;
pub mod settings;
pub mod writer;

pub use effects::run;
pub use scene::{EffectError, Scene};
pub use writer::{WriteError, Writer};
