//! Sluice's commands, as a person calls them.

use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tokio::process::Command;

use super::Stage;

/// No command takes longer.
const PATIENCE: Duration = Duration::from_mins(2);

impl Stage {
    /// Runs `sluice` with these arguments by the administrator's kubeconfig, and returns what it prints.
    ///
    /// # Errors
    /// When it fails; the error quotes what it says.
    pub async fn sluice(&self, arguments: &[&str]) -> Result<String> {
        let output = self.sluice_by(self.cluster.admin_kubeconfig(), arguments);
        let output = output.await?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success(),
            "sluice {arguments:?}: {}: {said}",
            output.status
        );
        Ok(String::from_utf8(output.stdout)?)
    }

    /// Runs it by somebody's kubeconfig, however it ends.
    ///
    /// # Errors
    /// When it does not end.
    pub async fn sluice_by(&self, kubeconfig: &Path, arguments: &[&str]) -> Result<Output> {
        let command = Command::new(&self.programs.sluice)
            .args(arguments)
            .env("KUBECONFIG", kubeconfig)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let output = tokio::time::timeout(PATIENCE, command)
            .await
            .with_context(|| format!("sluice {arguments:?} does not end"))??;
        Ok(output)
    }
}
