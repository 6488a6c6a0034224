//! The program `sluice`.

use anyhow::Context as _;
use clap::Parser as _;
use sluice::args::Args;

fn main() -> anyhow::Result<()> {
    // Two TLS libraries could be meant; without this line reqwest panics at the first client.
    if rustls::crypto::ring::default_provider()
        .install_default()
        .is_err()
    {
        anyhow::bail!("another TLS library was installed before this one");
    }
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("no async runtime")?;
    if let Some(command) = args.command {
        return runtime.block_on(command.run());
    }
    let args = args.controller;
    args.logs.init()?;
    runtime.block_on(sluice::run::run(args))
}
