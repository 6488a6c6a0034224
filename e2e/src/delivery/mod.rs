//! What brings manifests from Git to the cluster: a Git server, and the tools that follow it.

pub mod git;
pub mod repository;

use anyhow::Result;

use crate::build::{self, Programs, Tools};
use crate::stage::Stage;
pub use git::Server;
pub use repository::{Commit, Repository};

/// A stage, and a Git server beside it. Dropping it ends all of it.
pub struct Delivery {
    /// Cluster, node and Sluice.
    pub stage: Stage,
    /// Where teams push to.
    pub git: Server,
}

/// What is got before a [`Delivery`] starts.
pub type Prepared = (Tools, Programs);

impl Delivery {
    /// Finds or builds all programs.
    ///
    /// # Errors
    /// When one is missing and cannot be had.
    pub fn prepare() -> Result<Prepared> {
        repository::check()?;
        build::prepare()
    }

    /// Starts everything.
    ///
    /// # Errors
    /// When a part does not start; the error quotes its log.
    pub async fn start((tools, programs): Prepared) -> Result<Self> {
        let stage = Stage::start(tools, &programs).await?;
        let git = Server::start(&stage.cluster.run_dir().join("git")).await?;
        Ok(Self { stage, git })
    }

    /// Fails if a part ended by itself, quoting the end of its log.
    ///
    /// # Errors
    /// As said.
    pub async fn alive(&self) -> Result<()> {
        self.stage.controller.alive().await?;
        self.stage.cluster.alive().await
    }
}
