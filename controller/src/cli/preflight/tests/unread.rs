//! What may not be read is told, and called nothing else.

use std::collections::BTreeSet;

use super::*;

/// Every kind that is read, as it is named there.
fn kinds() -> BTreeSet<(String, String)> {
    let objects = Scene::healthy().objects;
    let read = objects.iter().map(|object| {
        let [version, kind] = ["apiVersion", "kind"].map(|field| object[field].as_str().unwrap());
        let group = version.split_once('/').map_or("", |(group, _)| group);
        let plural = match kind {
            "APIResourceList" => "apiresources".to_owned(),
            "GatewayClass" => "gatewayclasses".to_owned(),
            kind if kind.ends_with("Policy") => {
                format!("{}ies", kind.to_lowercase().trim_end_matches('y'))
            }
            "Canary" => "canaries".to_owned(),
            kind => format!("{}s", kind.to_lowercase()),
        };
        let dot = if group.is_empty() { "" } else { "." };
        (kind.to_owned(), format!("{plural}{dot}{group}"))
    });
    let more = [
        ("GRPCRoute", "grpcroutes.gateway.networking.k8s.io"),
        ("VirtualService", "virtualservices.networking.istio.io"),
        ("Canary", "canaries.sluice.dev"),
        ("CanaryPolicy", "canarypolicies.sluice.dev"),
        ("CiliumNetworkPolicy", "ciliumnetworkpolicies.cilium.io"),
    ];
    let more = more.map(|(kind, name)| (kind.to_owned(), name.to_owned()));
    read.chain(more).collect()
}

#[test]
fn what_may_not_be_read_is_cannot_tell_and_no_fault() {
    for (kind, name) in kinds() {
        let mut scene = Scene::healthy();
        scene.objects.retain(|object| object["kind"] != *kind);
        let why = format!("not allowed to list {name}");
        scene.found.objects.unread.insert(name.clone(), why.clone());
        let report = scene.report();
        let items = items(&report);
        let worse: Vec<_> = items
            .iter()
            .filter(|one| one.level > Level::CannotTell)
            .collect();
        assert!(worse.is_empty(), "without {name}: {worse:?}");
        let told = items
            .iter()
            .any(|one| one.level == Level::CannotTell && one.message.contains(&why));
        // Who may list no policies of Cilium's, where a policy lets all in, needs none.
        let needless = [
            "ciliumnetworkpolicies.cilium.io",
            "networkpolicies.networking.k8s.io",
        ];
        assert_eq!(
            told,
            !needless.contains(&name.as_str()),
            "without {name}: {items:?}"
        );
    }
}

#[test]
fn with_nothing_to_read_nothing_fails() {
    let mut scene = Scene::healthy();
    scene.objects.clear();
    for (_, name) in kinds() {
        scene
            .found
            .objects
            .unread
            .insert(name.clone(), format!("not allowed to list {name}"));
    }
    scene.found.rights = Some(Err(
        "not allowed to create subjectaccessreviews.authorization.k8s.io".to_owned(),
    ));
    scene.found.series.clear();
    let report = scene.report();
    let worse: Vec<_> = items(&report)
        .into_iter()
        .filter(|one| one.level > Level::CannotTell)
        .collect();
    assert!(worse.is_empty(), "{worse:?}");
}
