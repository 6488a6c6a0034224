//! Addresses of pods.

use std::{collections::HashSet, net::Ipv4Addr, sync::Arc};

use anyhow::{Context, Result};
use parking_lot::Mutex;

use crate::sandbox::Range;

/// Addresses in use. A freed one comes back only after all others: traffic that still goes to a
/// pod that left must not find another pod there.
#[derive(Debug)]
pub(super) struct Addresses {
    range: Range,
    used: Arc<Mutex<Used>>,
}

#[derive(Debug)]
struct Used {
    last: u32,
    taken: HashSet<Ipv4Addr>,
}

/// One pod's address, free again when dropped.
#[derive(Debug)]
pub(super) struct Lease {
    pub(super) address: Ipv4Addr,
    used: Arc<Mutex<Used>>,
}

impl Addresses {
    /// All addresses of `range` but `own`, the node's.
    pub(super) fn after(own: Ipv4Addr, range: Range) -> Self {
        let used = Used {
            last: 1,
            taken: HashSet::from([own]),
        };
        Self {
            range,
            used: Arc::new(Mutex::new(used)),
        }
    }

    pub(super) fn take(&self) -> Result<Lease> {
        let mut used = self.used.lock();
        let later = (used.last + 1..).map_while(|n| Some((n, self.range.nth(n)?)));
        let earlier = (1..=used.last).filter_map(|n| Some((n, self.range.nth(n)?)));
        let mut free = later
            .chain(earlier)
            .filter(|(_, address)| !used.taken.contains(address));
        let (n, address) = free.next().context("no address is free")?;
        drop(free);
        used.last = n;
        used.taken.insert(address);
        Ok(Lease {
            address,
            used: Arc::clone(&self.used),
        })
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.used.lock().taken.remove(&self.address);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use super::*;
    use crate::sandbox::WAYPOINTS;

    #[test]
    fn an_address_comes_back_last() {
        let own = WAYPOINTS.nth(1).unwrap();
        let addresses = Addresses::after(own, WAYPOINTS);
        let first = addresses.take().unwrap().address;
        let second = addresses.take().unwrap();
        assert_ne!(first, own);
        assert_ne!(first, second.address);
        let mut rest: Vec<_> = (0..252).map(|_| addresses.take().unwrap()).collect();
        assert_eq!(rest.last().unwrap().address, first, "the only one left");
        assert!(addresses.take().is_err());
        let freed = rest.remove(7).address;
        assert_eq!(addresses.take().unwrap().address, freed);
    }
}
