//! `decide` in a simulated cluster: random histories, sabotaged decisions, and written scenarios.
//!
//! A [`history`] lets [`event`]s happen to a [`cluster`], of which the [`controller`] sees what its
//! [`cache`] shows. An [`audit`] checks the invariants all the while.

// A test that cannot go on must fail loudly, and here every index is our own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod audit;
mod budget;
mod cache;
mod cluster;
mod controller;
mod event;
mod history;
mod journal;
mod metrics;
mod others;
mod properties;
mod rest;
mod sabotage;
mod scenarios;
