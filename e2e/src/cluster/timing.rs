//! How long each part took to start.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// A part of the start. Parts overlap.
#[derive(Clone, Debug)]
pub struct Timing {
    /// What was started.
    pub part: String,
    /// When it began, from the cluster's start.
    pub begun: Duration,
    /// How long it took.
    pub took: Duration,
}

#[derive(Debug)]
pub(super) struct Timings {
    origin: Instant,
    parts: Mutex<Vec<Timing>>,
}

impl Timings {
    pub(super) fn new() -> Self {
        Self {
            origin: Instant::now(),
            parts: Mutex::default(),
        }
    }

    /// Times a part, and names it if it fails.
    pub(super) async fn time<T>(
        &self,
        part: &str,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let begun = self.origin.elapsed();
        let value = work.await.with_context(|| format!("starting {part}"))?;
        let took = self.origin.elapsed().saturating_sub(begun);
        let timing = Timing {
            part: part.to_owned(),
            begun,
            took,
        };
        self.parts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(timing);
        Ok(value)
    }

    pub(super) fn into_parts(self) -> Vec<Timing> {
        self.parts
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
