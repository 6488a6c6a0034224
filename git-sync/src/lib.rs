//! Writes the outcome of rollouts back to Git: what was promoted is recorded, what was rejected is taken back.
//!
//! It is a program of its own, with rights of its own, so that the controller holds nothing that can push. Read in
//! this order: [`outcome`] is what the cluster says, [`mark`] which values of a file are ours to write, [`wanted`]
//! decides what they should be, [`mod@edit`] writes them into the text, [`message`] says why, [`progress`] who is
//! told how a pass ended. All these are pure. [`git`] and [`repository`] are the edge to Git, [`mod@pass`] brings both
//! sides together, [`mod@run`] does so whenever something changes, and [`metrics`] counts it.

pub mod args;
pub mod edit;
pub mod git;
pub mod mark;
pub mod message;
pub mod metrics;
pub mod outcome;
pub mod pass;
pub mod progress;
pub mod repository;
pub mod run;
pub mod tell;
pub mod wanted;

pub use args::Args;
pub use metrics::Metrics;
pub use run::run;
