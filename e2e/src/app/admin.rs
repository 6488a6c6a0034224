//! Orders to a running copy of the demo app, for stories.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, Result, ensure};
use hyper::{Method, StatusCode};

use super::{Counts, call::call};

const LIMIT: Duration = Duration::from_secs(5);

/// Makes the pod at `address` (pod IP and a port of its) ready, or not ready.
///
/// # Errors
/// When the app does not answer 200.
pub async fn set_ready(address: SocketAddr, ready: bool) -> Result<()> {
    order(address, Method::PUT, "/admin/readiness", ready.to_string()).await
}

/// Makes the pod behave as the image tag `tag` from now on, e.g. `v2-fail50`.
///
/// # Errors
/// When the app does not know the tag or does not answer 200.
pub async fn set_behaviour(address: SocketAddr, tag: &str) -> Result<()> {
    order(address, Method::PUT, "/admin/behaviour", tag.to_owned()).await
}

/// Makes the pod's process exit with `code` at once: a crash.
///
/// # Errors
/// When the app cannot be reached.
pub async fn exit(address: SocketAddr, code: u8) -> Result<()> {
    // It dies without an answer, so only a failed connection is an error.
    match call(
        address,
        Method::POST,
        "/admin/exit",
        code.to_string(),
        LIMIT,
    )
    .await
    {
        Err(error) if error.downcast_ref::<std::io::Error>().is_some() => Err(error),
        _ => Ok(()),
    }
}

/// What the pod served so far.
///
/// # Errors
/// When the app does not answer.
pub async fn counts(address: SocketAddr) -> Result<Counts> {
    let (status, body) = call(address, Method::GET, "/counts", "", LIMIT).await?;
    ensure!(status == StatusCode::OK, "{address}/counts: {status}");
    serde_json::from_slice(&body).with_context(|| format!("{address}/counts"))
}

async fn order(address: SocketAddr, method: Method, path: &str, body: String) -> Result<()> {
    let (status, answer) = call(address, method, path, body, LIMIT).await?;
    ensure!(
        status == StatusCode::OK,
        "{address}{path}: {status} {}",
        String::from_utf8_lossy(&answer)
    );
    Ok(())
}
