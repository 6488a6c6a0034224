//! `cargo soak`: a cluster and its people do their worst to many Canaries under load; users must notice
//! nothing. What happens is drawn from a seed ([`schedule`]), carried out ([`actors`]), watched from
//! outside ([`watchers`], users themselves, the audit log), and held to what was promised ([`judge`]).

mod actors;
mod args;
mod costs;
mod dice;
mod fleet;
mod journal;
mod judge;
mod report;
mod rest;
mod rules;
mod run;
mod schedule;
mod tally;
mod version;
mod watchers;

use std::process::ExitCode;

use crate::build;
use crate::sandbox::{self, Options};
use args::Args;

/// The program: 0 if every check held, 1 if not, 130 after Ctrl-C.
#[must_use]
pub fn main() -> ExitCode {
    start(Args::read())
}

fn start(args: Args) -> ExitCode {
    let _ = tracing_subscriber::fmt()
        // The Kubernetes client logs every refusal, and an outage is thousands of them.
        .with_env_filter("error,kube_client=off")
        .with_writer(std::io::stderr)
        .try_init();
    sandbox::run(Options::default(), build::prepare, |prepared, _| {
        run::run(args, prepared)
    })
}
