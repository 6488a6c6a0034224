//! Commands for people, a file each: what they ask is read from the cluster, from Prometheus or from files,
//! and nothing is ever written to a cluster.

use clap::Subcommand;

/// What a person asks for.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {}

impl Command {
    /// Does it, and prints the answer to stdout.
    ///
    /// # Errors
    /// When something that it needs cannot be read.
    #[allow(clippy::unused_async, reason = "there is no command yet")]
    pub async fn run(self) -> anyhow::Result<()> {
        match self {}
    }
}
