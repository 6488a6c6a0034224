//! What the app served, by port and status code.

use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};
use serde::{Deserialize, Serialize};

/// The answer of `/counts`: what one pod served so far, its own paths not counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Requests answered.
    pub total: u64,
    /// Those answered with a 5xx.
    pub failed: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    port: u16,
    code: u16,
}

/// Counts of one process.
#[derive(Debug)]
pub(super) struct Counters {
    registry: Registry,
    requests: Family<Labels, Counter>,
    total: AtomicU64,
    failed: AtomicU64,
}

impl Counters {
    pub(super) fn new() -> Self {
        let requests = Family::default();
        let mut registry = Registry::default();
        registry.register(
            "demo_requests",
            "Requests answered",
            Family::clone(&requests),
        );
        Self {
            registry,
            requests,
            total: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        }
    }

    pub(super) fn served(&self, port: u16, code: u16) {
        self.requests.get_or_create(&Labels { port, code }).inc();
        self.total.fetch_add(1, Ordering::Relaxed);
        if code >= 500 {
            self.failed.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn counts(&self) -> Counts {
        Counts {
            total: self.total.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
        }
    }

    /// The Prometheus text format.
    pub(super) fn metrics(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}
