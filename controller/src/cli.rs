//! Commands for people, a file each: what they ask is read from the cluster, from Prometheus or from files,
//! and nothing is ever written to a cluster.

mod backtest;
mod why;
mod words;

use clap::{Subcommand, ValueEnum};

/// What a person asks for.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Explains the last decisions about a Canary: what it waits for, and the evidence.
    Why(why::Args),
    /// Tells from Prometheus' history what the gates of a policy would have done.
    Backtest(Box<backtest::Args>),
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
            Self::Backtest(args) => backtest::run(&args).await,
        }
    }
}
