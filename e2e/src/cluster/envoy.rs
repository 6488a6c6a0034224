//! Reads what an Envoy says of itself on its admin port.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use serde_json::Value;

/// The admin port of a waypoint's Envoy.
#[derive(Clone, Copy, Debug)]
pub(super) struct Admin {
    pub(super) address: SocketAddr,
}

impl Admin {
    pub(super) async fn text(self, path: &str) -> Result<String> {
        let url = format!("http://{}{path}", self.address);
        Ok(reqwest::get(url).await?.error_for_status()?.text().await?)
    }

    /// Names of the listeners in force.
    pub(super) async fn listeners(self) -> Result<Vec<String>> {
        let text = self.text("/listeners?format=json").await?;
        let listeners: Value = serde_json::from_str(&text).context("reading Envoy's listeners")?;
        let statuses = listeners["listener_statuses"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        Ok(statuses
            .iter()
            .filter_map(|s| s["name"].as_str().map(str::to_owned))
            .collect())
    }
}
