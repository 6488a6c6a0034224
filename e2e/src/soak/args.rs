//! What `cargo soak` can be told.

use std::path::PathBuf;

use clap::Parser;

/// Lets a cluster and its people do their worst to many Canaries under load, and checks that users notice
/// nothing.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "soak",
    bin_name = "cargo soak --",
    version,
    long_about = "\
Runs a whole cluster on this machine, with many apps under load, each with a Canary, and does to it what
happens to clusters: Sluice is killed and frozen, Prometheus and the API server go down, routes are
edited and deleted by hand, statuses wiped, labels removed; good, failing, slow and crashing versions
are pushed, Canaries are deleted and made anew, suspended, and given orders. What happens when is drawn
from the seed, and printed before it happens.

All the time it is checked from outside that no request fails but by a bad version's own answer, that
weights are whole and grow step by step, that no bad version ever serves everybody; and at the end that
every Canary is at rest and nothing is left over. The exit code is 0 only if no check found anything."
)]
pub(super) struct Args {
    /// How long the chaos lasts
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub(super) minutes: u64,
    /// How many apps there are, each with a Canary
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=99))]
    pub(super) canaries: u16,
    /// What happens is drawn from this number
    #[arg(long, default_value_t = 1)]
    pub(super) seed: u64,
    /// Writes the result into this file as Markdown: in place of its generated section, if it has one
    #[arg(long, value_name = "FILE")]
    pub(super) report: Option<PathBuf>,
}

impl Args {
    /// Reads them, with or without the `--` of `cargo soak -- --minutes 2`: Cargo's alias has one already.
    pub(super) fn read() -> Self {
        let mut args: Vec<_> = std::env::args_os().collect();
        if args.get(1).is_some_and(|arg| arg == "--") {
            args.remove(1);
        }
        Self::parse_from(args)
    }

    /// The command that repeats the run.
    pub(super) fn command(&self) -> String {
        let Self {
            minutes,
            canaries,
            seed,
            ..
        } = self;
        format!("cargo soak -- --minutes {minutes} --canaries {canaries} --seed {seed}")
    }
}
