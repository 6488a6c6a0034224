//! The program under test.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use super::ADMIN;
use crate::cluster::Cluster;
use crate::process::{Launch, Process};

/// Sluice, as the audit log names it.
pub const USER: &str = "system:serviceaccount:sluice-system:sluice";
const NAMESPACE: &str = "sluice-system";
const ACCOUNT: &str = "sluice";
const START: Duration = Duration::from_secs(20);

/// Sluice, running under the rights that its manifests grant.
pub struct Controller {
    process: Process,
}

impl Controller {
    pub(super) async fn start(cluster: &Cluster, program: &Path) -> Result<Self> {
        let kubeconfig = cluster
            .kubeconfig_for_service_account(NAMESPACE, ACCOUNT)
            .await?;
        let process = Launch::new("sluice", program, cluster.run_dir())
            .args([
                "--admin-address",
                &ADMIN.to_string(),
                "--log-format",
                "text",
            ])
            .env("KUBECONFIG", kubeconfig)
            .env("SLUICE_LOG", "info,sluice=debug,kube=warn")
            .env("RUST_BACKTRACE", "1")
            .start()?;
        let controller = Self { process };
        controller.ready().await?;
        Ok(controller)
    }

    /// Kills it, as a lost machine would.
    ///
    /// # Errors
    /// When the system refuses.
    pub async fn kill(&self) -> Result<()> {
        self.process.kill().await
    }

    /// Starts it again and waits until it is ready.
    ///
    /// # Errors
    /// When it does not become ready; the error quotes its log.
    pub async fn restart(&self) -> Result<()> {
        self.process.restart().await?;
        self.ready().await
    }

    /// Its metrics, in Prometheus' text format.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn metrics(&self) -> Result<String> {
        let answer = reqwest::get(format!("http://{ADMIN}/metrics")).await?;
        Ok(answer.error_for_status()?.text().await?)
    }

    /// Fails if it ended by itself, quoting its log.
    ///
    /// # Errors
    /// As said.
    pub async fn alive(&self) -> Result<()> {
        self.process.alive().await
    }

    async fn ready(&self) -> Result<()> {
        self.process
            .ready(START, async || {
                let answer = reqwest::get(format!("http://{ADMIN}/readyz")).await?;
                answer.error_for_status().context("not ready")?;
                Ok(())
            })
            .await
    }
}
