//! What brings manifests from Git to the cluster: a Git server, and the tools that follow it.

pub mod flux;
pub mod git;
pub mod repository;
pub mod team;

use anyhow::Result;

use crate::build::{self, FluxTools, Programs, Tools};
use crate::stage::Stage;
pub use flux::Flux;
pub use git::Server;
pub use repository::{Commit, Repository};
pub use team::Team;

/// A stage, a Git server beside it, and what follows that. Dropping it ends all of it.
pub struct Delivery {
    /// Ends before its cluster.
    pub flux: Flux,
    /// Cluster, node and Sluice.
    pub stage: Stage,
    /// Where teams push to.
    pub git: Server,
}

/// What is got before a [`Delivery`] starts.
pub type Prepared = (Tools, Programs, FluxTools);

impl Delivery {
    /// Finds or builds all programs.
    ///
    /// # Errors
    /// When one is missing and cannot be had.
    pub fn prepare() -> Result<Prepared> {
        repository::check()?;
        let (tools, programs) = build::prepare()?;
        Ok((tools, programs, build::flux()?))
    }

    /// Starts everything.
    ///
    /// # Errors
    /// When a part does not start; the error quotes its log.
    pub async fn start((tools, programs, flux): Prepared) -> Result<Self> {
        let stage = Stage::start(tools, &programs).await?;
        let git = Server::start(&stage.cluster.run_dir().join("git")).await?;
        let flux = Flux::start(&stage.cluster, &flux).await?;
        Ok(Self { flux, stage, git })
    }

    /// Fails if a part ended by itself, quoting the end of its log.
    ///
    /// # Errors
    /// As said.
    pub async fn alive(&self) -> Result<()> {
        self.flux.alive().await?;
        self.stage.controller.alive().await?;
        self.stage.cluster.alive().await
    }
}
