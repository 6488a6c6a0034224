//! What brings manifests from Git to the cluster: a Git server, and the tools that follow it.

pub mod argo;
pub mod flux;
pub mod git;
pub mod monitor;
mod release;
pub mod repository;
pub mod team;

use anyhow::Result;
use tokio::sync::OnceCell;

use crate::build::{self, ArgoCdTools, FluxTools, Programs, Tools};
use crate::stage::Stage;
use argo::ArgoCd;
pub use flux::Flux;
pub use git::Server;
pub use repository::{Commit, Repository};
pub use team::Team;

/// A stage, a Git server beside it, and what follows that. Dropping it ends all of it.
pub struct Delivery {
    /// Each is started by the first story that asks for it, and ends before its cluster.
    argo: OnceCell<ArgoCd>,
    flux: OnceCell<Flux>,
    tools: (FluxTools, ArgoCdTools),
    /// Cluster, node and Sluice.
    pub stage: Stage,
    /// Where teams push to.
    pub git: Server,
}

/// What is got before a [`Delivery`] starts.
pub type Prepared = (Tools, Programs, (FluxTools, ArgoCdTools));

impl Delivery {
    /// Finds or builds all programs.
    ///
    /// # Errors
    /// When one is missing and cannot be had.
    pub fn prepare() -> Result<Prepared> {
        repository::check()?;
        let (tools, programs) = build::prepare()?;
        build::monitoring()?;
        Ok((tools, programs, (build::flux()?, build::argocd()?)))
    }

    /// Starts everything.
    ///
    /// # Errors
    /// When a part does not start; the error quotes its log.
    pub async fn start((tools, programs, delivering): Prepared) -> Result<Self> {
        let stage = Stage::start(tools, &programs).await?;
        monitor::define(&stage.cluster).await?;
        let git = Server::start(&stage.cluster.run_dir().join("git")).await?;
        Ok(Self {
            argo: OnceCell::new(),
            flux: OnceCell::new(),
            tools: delivering,
            stage,
            git,
        })
    }

    /// Argo CD.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn argo(&self) -> Result<&ArgoCd> {
        let start = || ArgoCd::start(&self.stage.cluster, &self.tools.1);
        self.argo.get_or_try_init(start).await
    }

    /// Flux.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn flux(&self) -> Result<&Flux> {
        let start = || Flux::start(&self.stage.cluster, &self.tools.0);
        self.flux.get_or_try_init(start).await
    }

    /// The whole cluster is lost: see [`Stage::lose`]. Then Sluice and Flux are installed again, and Argo CD is not: nothing
    /// that needs it may come after. What Git has stays.
    ///
    /// # Errors
    /// When a part does not start; the error quotes its log.
    pub async fn lose(&self) -> Result<()> {
        if let Some(argo) = self.argo.get() {
            argo.kill().await?;
        }
        if let Some(flux) = self.flux.get() {
            flux.end().await?;
        }
        self.stage.lose().await?;
        if let Some(flux) = self.flux.get() {
            flux.again(&self.stage.cluster, &self.tools.0).await?;
        }
        Ok(())
    }

    /// Fails if a part ended by itself, quoting the end of its log.
    ///
    /// # Errors
    /// As said.
    pub async fn alive(&self) -> Result<()> {
        if let Some(flux) = self.flux.get() {
            flux.alive().await?;
        }
        if let Some(argo) = self.argo.get() {
            argo.alive().await?;
        }
        self.stage.controller.alive().await?;
        self.stage.cluster.alive().await
    }
}
