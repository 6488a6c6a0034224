//! Write-back to Git, with a page of its own.

use std::net::SocketAddr;

use tokio::sync::watch;

use crate::admin;
use crate::args::Logs;

/// How git-sync runs.
// Without a group: that of the arguments within has the same name.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub struct Args {
    /// Where Git is.
    #[command(flatten)]
    git: sluice_git_sync::Args,

    /// Where /metrics, /livez and /readyz are served.
    #[arg(long, env = "SLUICE_ADMIN_ADDRESS", default_value = "0.0.0.0:8080")]
    admin_address: SocketAddr,

    /// How it logs.
    #[command(flatten)]
    logs: Logs,
}

/// Runs it until it is told to stop.
pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    args.logs.init()?;
    let metrics = sluice_git_sync::Metrics::default();
    let shown = metrics.clone();
    let (ready, is_ready) = watch::channel(false);
    // It is never told to stop: the program ends with it.
    let (_stop, stopping) = watch::channel(false);
    let page = move || shown.encode();
    let served = admin::serve(args.admin_address, page, is_ready, stopping);
    tokio::select! {
        served = served => served,
        done = sluice_git_sync::run(args.git, metrics, ready) => done,
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser as _};

    use crate::args::Args;

    /// clap looks for contradictions among arguments only when it is asked, or at the first start.
    #[test]
    fn the_command_line_is_sound() {
        Args::command().debug_assert();
        let line = ["sluice", "git-sync", "--repository", "file:///srv/git"];
        assert!(Args::try_parse_from(line).is_ok());
    }
}
