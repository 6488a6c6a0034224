//! What Sluice costs: writes, from the audit log, and memory.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;

use crate::cluster::audit::{Audit, Event, Mark};
use crate::stage::USER;

/// More writes than this of one object within a minute are a quarrel or a loop. A rollout with its
/// adoption, all within one minute, writes a status about 20 times.
const HOT: u64 = 60;

/// What was counted so far.
#[derive(Debug)]
pub(super) struct Costs {
    audit: Audit,
    mark: Mark,
    /// Writes, Events not counted: they are not part of what a rollout needs.
    pub(super) writes: u64,
    /// By resource, for the report.
    pub(super) by_resource: BTreeMap<String, u64>,
    /// Writes of one object within one minute.
    minutes: BTreeMap<(String, String), u64>,
    /// Resident memory in bytes, and when it was read.
    pub(super) memory: Vec<(Duration, u64)>,
}

impl Costs {
    pub(super) fn begin(audit: Audit) -> Result<Self> {
        let mark = audit.mark()?;
        Ok(Self {
            audit,
            mark,
            writes: 0,
            by_resource: BTreeMap::new(),
            minutes: BTreeMap::new(),
            memory: Vec::new(),
        })
    }

    /// Counts what was asked since the last call.
    pub(super) fn read_on(&mut self) -> Result<()> {
        for event in self.audit.read_on(&mut self.mark)? {
            if event.by(USER) && event.writes() {
                self.count(&event);
            }
        }
        Ok(())
    }

    fn count(&mut self, event: &Event) {
        let Some(object) = &event.object_ref else {
            return;
        };
        if matches!(object.resource.as_str(), "events" | "leases") {
            return;
        }
        self.writes += 1;
        let resource = if object.subresource.is_empty() {
            object.resource.clone()
        } else {
            format!("{}/{}", object.resource, object.subresource)
        };
        let path = format!("{resource} {}", object.name);
        *self.by_resource.entry(resource).or_default() += 1;
        // RFC 3339 down to the minute.
        let minute: String = event.request_received_timestamp.chars().take(16).collect();
        *self.minutes.entry((path, minute)).or_default() += 1;
    }

    /// Objects that were written too often within a minute.
    pub(super) fn hot(&self) -> Vec<String> {
        let hot = self.minutes.iter().filter(|(_, writes)| **writes > HOT);
        hot.map(|((path, minute), writes)| format!("{path}: {writes} writes at {minute}"))
            .collect()
    }

    /// The most writes of one object within one minute.
    pub(super) fn hottest(&self) -> u64 {
        self.minutes.values().copied().max().unwrap_or_default()
    }
}
