//! What is looked at: a file for each part of a cluster. All pure: objects in, lines out.

mod around;
mod cilium;
mod gateway_api;
mod istio;
mod metrics;
mod own;
pub(super) mod sidecars;
mod target;
mod waypoint;

use super::found::Found;
use super::item::Item;
use super::subject::Subject;

/// The lines about a cluster.
pub(super) fn of_cluster(found: &Found) -> Vec<Item> {
    let all = [
        own::definitions(found),
        own::rights(found),
        gateway_api::versions(found),
        istio::istiod(found),
        istio::waypoint_class(found),
        cilium::settings(found),
        sidecars::clients(found),
    ];
    all.into_iter().flatten().collect()
}

/// The lines about what will be adopted.
pub(super) fn of(found: &Found, subject: &Subject) -> Vec<Item> {
    let all = [
        target::target(found, subject),
        target::service(found, subject),
        target::policy(found, subject),
        around::ambient(found, subject),
        waypoint::waypoint(found, subject),
        around::ingress(found, subject),
        around::routes(found, subject),
        around::controllers(found, subject),
        around::services(found, subject),
        cilium::probes(found, subject),
        metrics::server(found, subject),
    ];
    all.into_iter().flatten().collect()
}

/// Up to five of many, for a person.
fn few<T: ToString>(all: impl IntoIterator<Item = T>) -> String {
    const MOST: usize = 5;
    let all: Vec<_> = all.into_iter().map(|one| one.to_string()).collect();
    let named = all
        .iter()
        .take(MOST)
        .cloned()
        .collect::<Vec<_>>()
        .join(", ");
    match all.len().saturating_sub(MOST) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

/// Major and minor of a release, as `v1.30.3`.
fn number(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.trim_start_matches('v').split(['.', '-']);
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}
