//! What Sluice made and nobody needs any more.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use kube::ResourceExt as _;
use kube::api::{DynamicObject, ListParams};
use kube::discovery::{ApiGroup, Discovery, Scope, verbs};
use sluice_crds::labels;

use crate::soak::rules::WINDOW;
use crate::soak::schedule::name;
use crate::stage::Scene;

/// Snapshots of rejected revisions that Sluice remembers, as its documentation says.
const REJECTIONS: usize = 10;
/// Services that belong to no app.
const WAYPOINT: &str = "waypoint";

/// Everything that has no reason to be there: of which app, and what.
pub(super) async fn find(scene: &Scene<'_>, canaries: usize) -> Result<Vec<(String, String)>> {
    let labelled = ListParams::default().labels(labels::CANARY);
    let mut owned: BTreeMap<String, BTreeMap<String, BTreeSet<String>>> = BTreeMap::new();
    let mut services: BTreeSet<String> = BTreeSet::new();
    let discovered = Discovery::new(scene.client()).run().await?;
    let kinds = discovered
        .groups()
        .flat_map(ApiGroup::recommended_resources);
    for (kind, can) in kinds {
        if can.scope != Scope::Namespaced || !can.supports_operation(verbs::LIST) {
            continue;
        }
        let api = scene.dynamic(&kind);
        let of_mine = |object: &DynamicObject| object.labels().get(labels::CANARY).cloned();
        for object in api.list(&labelled).await?.items {
            let canary = of_mine(&object).unwrap_or_default();
            let of_canary = owned.entry(canary).or_default();
            of_canary
                .entry(kind.kind.clone())
                .or_default()
                .insert(object.name_any());
        }
        if kind.kind == "Service" {
            let all = api.list(&ListParams::default()).await?.items;
            let strangers = all.iter().filter(|service| of_mine(service).is_none());
            services.extend(strangers.map(kube::ResourceExt::name_any));
        }
    }
    let mut found = Vec::new();
    for canary in (0..canaries).map(name) {
        services.remove(&canary);
        let of_canary = owned.remove(&canary).unwrap_or_default();
        found.extend(
            too_much(&of_canary)
                .into_iter()
                .map(|what| (canary.clone(), what)),
        );
    }
    services.remove(WAYPOINT);
    let nobodys = services
        .into_iter()
        .map(|service| format!("Service {service} is nobody's"));
    found.extend(nobodys.map(|what| ("the namespace".to_owned(), what)));
    let of_others = owned
        .into_iter()
        .map(|(canary, objects)| (canary, format!("{objects:?}")));
    found.extend(of_others);
    Ok(found)
}

fn too_much(objects: &BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
    let nothing = BTreeSet::new();
    let named = |kind: &str| objects.get(kind).unwrap_or(&nothing);
    let revisions = named("Deployment");
    let mut found = Vec::new();
    let mut at_most = |kind: &str, most: usize| {
        let found_of_kind = named(kind);
        if found_of_kind.len() > most {
            found.push(format!(
                "{} of kind {kind}, {most} are due: {found_of_kind:?}",
                found_of_kind.len()
            ));
        }
    };
    at_most("Deployment", 1 + WINDOW);
    at_most("PodTemplate", 1 + WINDOW + REJECTIONS + 1);
    at_most("HTTPRoute", 1);
    if named("Service") != revisions {
        let services = named("Service");
        found.push(format!(
            "Services {services:?} for Deployments {revisions:?}"
        ));
    }
    for (kind, names) in objects {
        match kind.as_str() {
            "Deployment" | "Service" | "PodTemplate" | "HTTPRoute" => {}
            "ConfigMap" if names.len() <= named("PodTemplate").len() => {}
            "Pod" | "ReplicaSet" | "EndpointSlice" => {
                let lost = names.iter().filter(|name| {
                    !revisions
                        .iter()
                        .any(|revision| name.starts_with(&format!("{revision}-")))
                });
                found.extend(lost.map(|name| format!("{kind} {name} is of no revision")));
            }
            _ => found.push(format!("{kind} {names:?}")),
        }
    }
    found
}
