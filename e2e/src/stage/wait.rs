//! Waiting for something to become true.

use std::fmt::Display;
use std::time::Duration;

use anyhow::{Result, bail};
use tokio::time::Instant;

/// How often a story looks.
pub const TICK: Duration = Duration::from_millis(100);

/// Looks until `look` returns `Ok(value)`; `Err(text)` is what it sees instead.
///
/// # Errors
/// When the time is up, with what was seen last; or at once when looking itself fails.
pub async fn eventually<T, D: Display>(
    what: &str,
    within: Duration,
    mut look: impl AsyncFnMut() -> Result<Result<T, D>>,
) -> Result<T> {
    let deadline = Instant::now() + within;
    loop {
        match look().await? {
            Ok(value) => return Ok(value),
            Err(seen) if Instant::now() > deadline => {
                bail!("{what}: not within {within:?}; last seen: {seen}")
            }
            Err(_) => tokio::time::sleep(TICK).await,
        }
    }
}
