//! A whole cluster on one machine.

pub mod app;
pub mod argocd;
pub mod build;
pub mod certs;
pub mod cluster;
pub mod demo;
pub mod load;
pub mod node;
pub mod paths;
pub mod process;
pub mod sandbox;
pub mod soak;
pub mod stage;
