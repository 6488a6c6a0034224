//! The Gateway API: which release of it, and whether it has what is written.

use std::collections::BTreeMap;

use kube::ResourceExt as _;

use crate::cli::preflight::found::{Found, api_resources, definition};
use crate::cli::preflight::item::{Findings, Item};

use super::number;

/// <https://gateway-api.sigs.k8s.io/concepts/versioning/>: on every definition of a release.
const BUNDLE: &str = "gateway.networking.k8s.io/bundle-version";
const CHANNEL: &str = "gateway.networking.k8s.io/channel";
/// The first release whose standard channel has the `port` of a `parentRefs` entry, by which each port of a Service has
/// a route of its own; before, the API server drops it.
const OLDEST: (u32, u32) = (1, 1);
const INSTALL: &str = "apply standard-install.yaml of a release, \
                       https://github.com/kubernetes-sigs/gateway-api/releases";

/// Whether `HTTPRoute` v1 is served, and of which release all is.
pub(super) fn versions(found: &Found) -> Vec<Item> {
    let mut findings = Findings::new("gateway-api");
    if let Some(why) = found.unread(&api_resources()) {
        findings.unknown([why]);
        return findings.or_ok(String::new);
    }
    if !found
        .served("gateway.networking.k8s.io/v1")
        .contains(&"httproutes")
    {
        findings.error(format!("HTTPRoute v1 is not served: {INSTALL}"));
        return findings.or_ok(String::new);
    }
    let kind = definition();
    let theirs = found.all(&kind).filter(|one| {
        let name = one.name_any();
        name.ends_with(".gateway.networking.k8s.io")
    });
    let mut releases: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut unmarked = Vec::new();
    for one in theirs {
        let [bundle, channel] = [BUNDLE, CHANNEL].map(|name| one.annotations().get(name));
        let name = one.name_any();
        let plural = name.split('.').next().unwrap_or_default().to_owned();
        match (bundle, channel) {
            (Some(bundle), channel) => {
                let channel = channel.map_or("unknown", String::as_str);
                let release = format!("{bundle}, {channel} channel");
                releases.entry(release).or_default().push(plural);
            }
            (None, _) => unmarked.push(plural),
        }
    }
    let told =
        |(release, kinds): (&String, &Vec<String>)| format!("{release} ({})", kinds.join(", "));
    if releases.len() > 1 {
        let all = releases.iter().map(told).collect::<Vec<_>>().join("; ");
        findings.warning(format!(
            "definitions of several releases, which were never tested together: {all}; {INSTALL}"
        ));
    }
    let routes = found.one(&kind, None, "httproutes.gateway.networking.k8s.io");
    let bundle = routes.and_then(|routes| routes.annotations().get(BUNDLE));
    if let Some(bundle) = bundle
        && number(bundle).is_some_and(|number| number < OLDEST)
    {
        findings.error(format!(
            "HTTPRoute is of {bundle}, whose parentRefs have no port, so a route would be for all ports of a Service: \
             update to v{}.{}.0 or later; {INSTALL}",
            OLDEST.0, OLDEST.1
        ));
    }
    if !unmarked.is_empty() {
        findings.warning(format!(
            "{} without {BUNDLE}, so of no release; {INSTALL}",
            unmarked.join(", ")
        ));
    }
    if let Some(why) = found.unread(&kind) {
        findings.unknown([format!("HTTPRoute v1 is served; of which release: {why}").as_str()]);
    }
    findings.or_ok(|| {
        let release = releases.keys().next().map(String::as_str);
        format!(
            "HTTPRoute v1 is served; {}",
            release.unwrap_or("no definition says of which release")
        )
    })
}
