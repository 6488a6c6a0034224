//! A whole cluster on one machine.

pub mod app;
pub mod argocd;
pub mod build;
pub mod certs;
pub mod cluster;
pub mod delivery;
pub mod demo;
pub mod helm;
pub mod load;
pub mod node;
pub mod ownership;
pub mod paths;
pub mod process;
pub mod runner;
pub mod sandbox;
pub mod soak;
pub mod stage;
mod tls;
