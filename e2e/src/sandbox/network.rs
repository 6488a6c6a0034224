//! The sandbox's network: its loopback, with address ranges of its own.

use std::net::{IpAddr, Ipv4Addr};

use anyhow::{Context, Result};
use futures::TryStreamExt;
use rtnetlink::LinkUnspec;

/// An address range, all of it local to the sandbox.
#[derive(Clone, Copy, Debug)]
pub struct Range {
    first: Ipv4Addr,
    prefix: u8,
}

/// The API server (192.0.2.1) and the waypoints: 192.0.2.0/24, reserved for documentation.
pub const WAYPOINTS: Range = Range {
    first: Ipv4Addr::new(192, 0, 2, 1),
    prefix: 24,
};
/// The pods: 198.18.0.0/16, reserved for benchmarks.
pub const PODS: Range = Range {
    first: Ipv4Addr::new(198, 18, 0, 1),
    prefix: 16,
};

impl Range {
    /// The `n`th address, from 1; `None` past the end of the range.
    #[must_use]
    pub fn nth(self, n: u32) -> Option<Ipv4Addr> {
        let size = 1_u32 << (32 - u32::from(self.prefix));
        let base = u32::from(self.first) & !(size - 1);
        (n > 0 && n < size - 1).then(|| Ipv4Addr::from(base + n))
    }
}

/// Brings `lo` up and adds the ranges: on a loopback device, an address makes its whole prefix
/// local, so that any address of it can be bound.
pub(super) async fn up() -> Result<()> {
    let (connection, handle, _) =
        rtnetlink::new_connection().context("opening a netlink socket")?;
    tokio::spawn(connection);
    let mut links = handle.link().get().match_name("lo".to_owned()).execute();
    let lo = links
        .try_next()
        .await?
        .context("no loopback device")?
        .header
        .index;
    let up = LinkUnspec::new_with_index(lo).up().build();
    handle
        .link()
        .set(up)
        .execute()
        .await
        .context("bringing lo up")?;
    for range in [WAYPOINTS, PODS] {
        let first = IpAddr::V4(range.first);
        let add = handle.address().add(lo, first, range.prefix);
        add.execute()
            .await
            .with_context(|| format!("adding {first}/{} to lo", range.prefix))?;
    }
    Ok(())
}
