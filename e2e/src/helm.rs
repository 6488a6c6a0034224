//! Helm, as people call it, and the chart.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, bail};

use crate::paths;

/// The name that the docs give the release; its objects are called the same.
pub const RELEASE: &str = "sluice";
/// The namespace that the docs give it.
pub const NAMESPACE: &str = "sluice-system";

/// Folder of the chart.
#[must_use]
pub fn chart() -> PathBuf {
    paths::workspace().join("charts/sluice")
}

/// A Helm that knows nothing of the settings of whoever runs it.
#[derive(Clone, Debug)]
pub struct Helm {
    program: PathBuf,
    home: PathBuf,
    kubeconfig: PathBuf,
}

impl Helm {
    /// One without a cluster.
    #[must_use]
    pub fn new(program: &Path) -> Self {
        let home = paths::cache().join("helm");
        Self {
            program: program.to_path_buf(),
            kubeconfig: home.join("none"),
            home,
        }
    }

    /// One for a cluster.
    #[must_use]
    pub fn with_kubeconfig(mut self, kubeconfig: &Path) -> Self {
        self.kubeconfig = kubeconfig.to_path_buf();
        self
    }

    /// Runs it to its end. The exit code is the caller's to judge.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn output(&self, arguments: &[&str]) -> Result<Output> {
        Command::new(&self.program)
            .args(arguments)
            .env("HELM_CACHE_HOME", self.home.join("cache"))
            .env("HELM_CONFIG_HOME", self.home.join("config"))
            .env("HELM_DATA_HOME", self.home.join("data"))
            .env("KUBECONFIG", &self.kubeconfig)
            // Each cluster has the same address, and not the same kinds.
            .env("KUBECACHEDIR", self.kubeconfig.with_extension("cache"))
            .env_remove("HELM_NAMESPACE")
            .current_dir(paths::workspace())
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("starting {}", self.program.display()))
    }

    /// Runs it, and returns what it prints.
    ///
    /// # Errors
    /// When it fails; the error quotes what it says.
    pub fn run(&self, arguments: &[&str]) -> Result<String> {
        let output = self.output(arguments)?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!("helm {arguments:?}: {}: {said}", output.status);
        }
        Ok(String::from_utf8(output.stdout)?)
    }

    /// What the chart at `chart` makes as the docs install it, with more arguments.
    ///
    /// # Errors
    /// When it refuses.
    pub fn template(&self, chart: &Path, more: &[&str]) -> Result<String> {
        let chart = chart.to_string_lossy();
        let command = ["template", RELEASE, &chart, "--namespace", NAMESPACE];
        self.run(&[&command, more].concat())
    }
}

/// Copies the chart to `folder`, the linked definitions as files of its own.
///
/// # Errors
/// When it cannot be read or written.
pub fn copy_chart(folder: &Path) -> Result<()> {
    copy(&chart(), folder)
}

/// Copies a chart, or another folder.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("making {}", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("reading {}", from.display()))? {
        let path = entry?.path();
        let target = to.join(path.file_name().unwrap_or_default());
        if path.is_dir() {
            copy(&path, &target)?;
        } else {
            fs::copy(&path, &target).with_context(|| format!("copying {}", path.display()))?;
        }
    }
    Ok(())
}
