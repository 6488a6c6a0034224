//! The controller: it watches Canaries and brings every new template to users step by step.
//!
//! The tree is the pipeline: [`observe`] keeps caches of what a Canary depends on, [`parse`] makes a
//! [`sluice_core::World`] of them, [`sluice_core::decide()`] decides, [`apply`] writes what was decided,
//! [`record`] tells the user. [`mod@reconcile`] calls them in that order. [`render`] holds the shapes of
//! the objects that we write, [`evidence`] reads the metrics, [`memory`] is what lasts between two
//! reconciles; [`lease`] sees to it that one process acts, and [`client`] that no other can write. [`cli`] holds the
//! commands for people, and [`bundle`] keeps decisions for one of them.

pub mod admin;
pub mod apply;
pub mod args;
pub mod bundle;
pub mod cli;
pub mod client;
pub mod evidence;
#[cfg(test)]
mod fuzz;
pub mod lease;
pub mod memory;
pub mod metrics;
pub mod observe;
pub mod parse;
pub mod reconcile;
pub mod record;
pub mod render;
pub mod run;
pub mod subscription;
pub mod turns;
