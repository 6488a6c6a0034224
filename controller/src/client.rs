//! How the API server is asked: with time limits, without retries of the client's own, and fenced.
//!
//! Every client but the lease's own passes the [`Fence`]: nothing else of the program can write.

use std::time::Duration;

use anyhow::Context as _;
use kube::Client;
use kube::client::ClientBuilder;

use crate::lease::{Fence, PATIENCE};

/// How long the API server may be silent in an answer: a rollback must not wait for a connection that
/// is only half there.
const REQUEST_PATIENCE: Duration = Duration::from_secs(10);
/// The same for a watch, which the server ends within five minutes.
const WATCH_PATIENCE: Duration = Duration::from_secs(330);

/// For writes, and the rare read of what no cache keeps. A request that fails is not sent again: by then
/// it may be wrong. The next reconcile decides anew.
///
/// # Errors
/// When the configuration cannot be used.
pub fn for_requests(config: &kube::Config, fence: &Fence) -> anyhow::Result<Client> {
    build(config, REQUEST_PATIENCE, Some(fence))
}

/// For watches, which know themselves when to try again.
///
/// # Errors
/// When the configuration cannot be used.
pub fn for_watches(config: &kube::Config, fence: &Fence) -> anyhow::Result<Client> {
    build(config, WATCH_PATIENCE, Some(fence))
}

/// For the lease's own writes: by them the fence opens.
pub(crate) fn for_the_lease(config: &kube::Config) -> anyhow::Result<Client> {
    build(config, PATIENCE, None)
}

fn build(
    config: &kube::Config,
    patience: Duration,
    fence: Option<&Fence>,
) -> anyhow::Result<Client> {
    let mut config = config.clone();
    config.read_timeout = Some(patience);
    // It would sleep for minutes inside a request, and then write what was decided before.
    config.default_retry = false;
    let builder = ClientBuilder::try_from(config).context("no client for the API server")?;
    // The outermost layer: what it abandons, no other layer can send again.
    Ok(match fence {
        Some(fence) => builder.with_layer(fence).build(),
        None => builder.build(),
    })
}
