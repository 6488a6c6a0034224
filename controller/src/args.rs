//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Parser, ValueEnum};
use tracing_subscriber::EnvFilter;

use crate::cli::Command;

/// Progressive delivery for Kubernetes: brings new images to users by SLO evidence.
///
/// Without a command it is the controller.
#[derive(Clone, Debug, Parser)]
#[command(version, about, args_conflicts_with_subcommands = true)]
pub struct Args {
    /// What a person asks for.
    #[command(subcommand)]
    pub command: Option<Command>,

    /// How the controller runs.
    #[command(flatten)]
    pub controller: Controller,
}

/// How the controller runs.
#[derive(Clone, Debug, clap::Args)]
pub struct Controller {
    /// Where /metrics, /livez and /readyz are served.
    #[arg(long, env = "SLUICE_ADMIN_ADDRESS", default_value = "0.0.0.0:8080")]
    pub admin_address: SocketAddr,

    /// Watch and act in this namespace alone; what is shared by the cluster is still read. All
    /// namespaces unless given.
    #[arg(long, env = "SLUICE_NAMESPACE")]
    pub namespace: Option<String>,

    /// Namespace of the Lease by which one of several processes is chosen to act.
    #[arg(long, env = "POD_NAMESPACE", default_value = "sluice-system")]
    pub lease_namespace: String,

    /// Name of that Lease.
    #[arg(long, env = "SLUICE_LEASE_NAME", default_value = "sluice")]
    pub lease_name: String,

    /// Record every decision of every rollout in this directory, a file for each rollout, for
    /// `sluice replay`. The oldest files go when there are too many.
    #[arg(long, env = "SLUICE_RECORD", value_name = "DIR")]
    pub record: Option<PathBuf>,

    /// How it logs.
    #[command(flatten)]
    pub logs: Logs,
}

/// How a program logs, to stderr.
#[derive(Clone, Debug, clap::Args)]
pub struct Logs {
    /// How log lines look.
    #[arg(long, env = "SLUICE_LOG_FORMAT", value_enum, default_value_t = LogFormat::Json)]
    pub log_format: LogFormat,

    /// What is logged, as tracing-subscriber's filter.
    #[arg(long, env = "SLUICE_LOG", default_value = "info,kube=warn")]
    pub log: String,
}

impl Logs {
    /// Logs from here on.
    ///
    /// # Errors
    /// When the filter is none.
    pub fn init(&self) -> anyhow::Result<()> {
        let filter = EnvFilter::try_new(&self.log).context("--log is no valid filter")?;
        let logs = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(std::io::stderr);
        match self.log_format {
            LogFormat::Json => logs.json().init(),
            LogFormat::Text => logs.init(),
        }
        Ok(())
    }
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For a person at a terminal.
    Text,
}
