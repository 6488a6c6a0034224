//! Commands for people, a file each: what they ask is read from the cluster, from Prometheus or from files.
//! Orders alone write to a cluster, one field of a Canary each. And git-sync, a program of its own that comes in the
//! same binary.

mod adopt;
mod backtest;
#[cfg(test)]
mod edited;
mod order;
mod place;
mod plot;
mod preflight;
mod read;
pub mod rehearse;
pub mod replay;
mod timeline;
mod why;
mod words;

use std::io::{ErrorKind, Write as _};

use clap::{Subcommand, ValueEnum};

use crate::args::Logs;
use order::Verb;

/// What a person asks for.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Explains the last decisions about a Canary: what it waits for, and the evidence.
    Why(why::Args),
    /// Orders all requests to the candidate, whatever its gates say.
    Promote(order::Args),
    /// Orders the candidate's requests back to the stable revision, and rejects it.
    Abort(order::Args),
    /// Orders another try of the revision that was rejected.
    Retry(order::Args),
    /// Approves that the candidate goes on from where it waits for that.
    Approve(order::Args),
    /// Stops every write about a Canary.
    Suspend(order::WholeArgs),
    /// Lets a Canary that was suspended go on.
    Resume(order::WholeArgs),
    /// Names what of a cluster or a service is missing or in conflict, before it is adopted.
    ///
    /// The exit code is 1 if something must be mended. What may not be read is told, and fails nothing.
    Preflight(preflight::Args),
    /// Tells what changes around a Deployment when it is taken over, and what to write instead.
    ///
    /// It reads by your kubeconfig, and writes nothing. What may not be read is told, and fails nothing.
    Adopt(adopt::Args),
    /// Tells from Prometheus' history what the gates of a policy would have done.
    Backtest(Box<backtest::Args>),
    /// Play a rollout in virtual time, by the controller's own decision, without a cluster.
    ///
    /// The Canary is adopted and serves; then its template changes. The cluster does at once what it is told, and the
    /// requests are drawn at random, from a seed. What comes out is printed, and the exit code is 0 whatever it is.
    Rehearse(rehearse::Args),
    /// Decide every step of a recorded rollout once more, and compare.
    ///
    /// A controller with --record writes a bundle for each rollout. The timeline is printed; if a decision is another
    /// one now, so is how it differs, and the exit code is 1.
    Replay(replay::Args),
    /// Writes the outcome of rollouts back to Git, until it is told to stop.
    ///
    /// A program of its own, with a service account of its own: see docs/git-sync.md. It needs the command git.
    GitSync {
        /// Where Git is.
        #[command(flatten)]
        args: Box<sluice_git_sync::Args>,
        /// How it logs.
        #[command(flatten)]
        logs: Logs,
    },
}

/// How an answer is printed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Output {
    /// For a person.
    Text,
    /// For a program.
    Json,
}

impl Command {
    /// Does it, and prints the answer to stdout.
    ///
    /// # Errors
    /// When something that it needs cannot be read.
    pub async fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Why(args) => why::run(&args).await,
            Self::Promote(args) => order::run(Verb::Promote, &args).await,
            Self::Abort(args) => order::run(Verb::Abort, &args).await,
            Self::Retry(args) => order::run(Verb::Retry, &args).await,
            Self::Approve(args) => order::run(Verb::Approve, &args).await,
            Self::Suspend(args) => order::run(Verb::Suspend, &args.of_all()).await,
            Self::Resume(args) => order::run(Verb::Resume, &args.of_all()).await,
            Self::Preflight(args) => preflight::run(&args).await,
            Self::Adopt(args) => adopt::run(&args).await,
            Self::Backtest(args) => backtest::run(&args).await,
            Self::Rehearse(args) => args.run(),
            Self::Replay(args) => args.run(),
            Self::GitSync { args, logs } => {
                logs.init()?;
                Box::pin(sluice_git_sync::run(*args)).await
            }
        }
    }
}

/// Prints to stdout; that nobody reads on is no failure.
fn print(text: &str) -> anyhow::Result<()> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}
