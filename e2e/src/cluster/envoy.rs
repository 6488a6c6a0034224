//! Reads what an Envoy says of itself on its admin port.

use std::collections::BTreeMap;
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
        let statuses = list(&listeners, "/listener_statuses");
        Ok(statuses
            .map(|status| text_at(status, "/name").to_owned())
            .collect())
    }

    /// The shares in force for a Service's port; see [`super::Waypoint::route_shares`].
    pub(super) async fn shares(self, host: &str, port: u16) -> Result<Vec<Shares>> {
        let path = "/config_dump?resource=dynamic_listeners&name_regex=main_internal";
        let dump: Value = serde_json::from_str(&self.text(path).await?)?;
        Ok(shares(&dump, host, port))
    }
}

impl Admin {
    /// The cluster in force for a Service's port; `None` when there is none.
    pub(super) async fn cluster(self, host: &str, port: u16) -> Result<Option<Value>> {
        let path = "/config_dump?resource=dynamic_active_clusters&name_regex=inbound-vip.*";
        let dump: Value = serde_json::from_str(&self.text(path).await?)?;
        let found = list(&dump, "/configs").find(|config| {
            let parts: Vec<&str> = text_at(config, "/cluster/name").split('|').collect();
            matches!(parts.as_slice(), [_, p, "http", h] if *p == port.to_string() && *h == host)
        });
        Ok(found.and_then(|config| config.get("cluster")).cloned())
    }
}

/// For each backend Service's name, its share of a route's requests, in percent.
pub type Shares = BTreeMap<String, f64>;

fn shares(dump: &Value, host: &str, port: u16) -> Vec<Shares> {
    let port = port.to_string();
    let chain = list(dump, "/configs/0/active_state/listener/filter_chains").find(|chain| {
        // `inbound-vip|80|http|app.shop.svc.cluster.local`
        let parts: Vec<&str> = text_at(chain, "/name").split('|').collect();
        matches!(parts.as_slice(), [_, p, _, h] if *p == port && *h == host)
    });
    chain
        .into_iter()
        .flat_map(|chain| list(chain, "/filters"))
        .flat_map(|filter| list(filter, "/typed_config/route_config/virtual_hosts/0/routes"))
        .map(of_route)
        .collect()
}

fn of_route(route: &Value) -> Shares {
    // A route to one backend has no weights.
    let only = text_at(route, "/route/cluster");
    if !only.is_empty() {
        return Shares::from([(service(only), 100.0)]);
    }
    let weight = |cluster: &Value| cluster.get("weight").and_then(Value::as_f64).unwrap_or(0.0);
    let clusters = || list(route, "/route/weighted_clusters/clusters");
    let whole: f64 = clusters().map(weight).sum();
    clusters()
        .map(|cluster| {
            (
                service(text_at(cluster, "/name")),
                100.0 * weight(cluster) / whole,
            )
        })
        .collect()
}

/// The elements at a JSON pointer; none if there is no list.
fn list<'a>(value: &'a Value, pointer: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    value
        .pointer(pointer)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

/// The text at a JSON pointer; empty if there is none.
fn text_at<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// `app-v2` of `inbound-vip|80|http|app-v2.shop.svc.cluster.local`.
fn service(cluster: &str) -> String {
    let host = cluster.rsplit('|').next().unwrap_or(cluster);
    host.split('.').next().unwrap_or(host).to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Shares, shares};

    #[test]
    fn reads_shares_from_a_dump() {
        let name = |service: &str| format!("inbound-vip|80|http|{service}.shop.svc.cluster.local");
        let clusters = json!([
            {"name": name("app-v1"), "weight": 3},
            {"name": name("app-v2"), "weight": 1},
        ]);
        let routes = json!([
            {"route": {"weighted_clusters": {"clusters": clusters}}},
            {"route": {"cluster": name("app-v1")}},
        ]);
        let config = json!({"route_config": {"virtual_hosts": [{"routes": routes}]}});
        let chain = json!({"name": name("app"), "filters": [{"typed_config": config}]});
        let other = json!({"name": name("other"), "filters": []});
        let listener = json!({"filter_chains": [other, chain]});
        let dump = json!({"configs": [{"active_state": {"listener": listener}}]});

        let split = Shares::from([("app-v1".to_owned(), 75.0), ("app-v2".to_owned(), 25.0)]);
        let whole = Shares::from([("app-v1".to_owned(), 100.0)]);
        assert_eq!(
            shares(&dump, "app.shop.svc.cluster.local", 80),
            [split, whole]
        );
        assert!(shares(&dump, "app.shop.svc.cluster.local", 81).is_empty());
    }
}
