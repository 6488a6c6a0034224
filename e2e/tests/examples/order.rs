//! What needs something comes after it: the waves of Argo CD, and what Flux waits for.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::Stage;
use super::files::{Manifest, manifests, read};

/// Each needs the one before: kinds, what serves them, the mesh on the nodes, waypoints, Sluice, and what it rolls out.
const WAVES: [&str; 8] = [
    "gateway-api",
    "istio-base",
    "istiod",
    "istio-cni",
    "ztunnel",
    "waypoint",
    "sluice",
    "apps",
];
/// What of Flux needs what.
const NEEDS: [(&str, &[&str]); 7] = [
    ("istiod", &["istio-base"]),
    ("istio-cni", &["istiod"]),
    ("ztunnel", &["istiod", "istio-cni"]),
    ("istio", &["cilium", "gateway-api"]),
    ("waypoint", &["istio", "gateway-api"]),
    ("sluice", &["istio", "gateway-api"]),
    ("shop", &["waypoint", "sluice"]),
];

/// What waits for what, by name.
type Graph = BTreeMap<String, Vec<String>>;

pub(super) async fn of_argo_cds_waves(stage: &Stage) -> Result<()> {
    let mut waves = BTreeMap::new();
    for manifest in manifests(&stage.kubectl)? {
        if manifest.file.starts_with("argocd/platform/") {
            let (name, wave) = wave(&manifest.object).with_context(|| manifest.title())?;
            waves.insert(name, wave);
        }
    }
    rise(&waves)?;
    // The table tells the same.
    let readme = read("argocd/README.md")?;
    for (name, wave) in &waves {
        let row = format!("| {wave} | `{name}` |");
        ensure!(readme.contains(&row), "the README has no {row}");
    }
    // So that this is known to look.
    let mut swapped = waves.clone();
    swapped.insert("sluice".to_owned(), waves.get("apps").copied().unwrap_or(0));
    ensure!(rise(&swapped).is_err(), "Sluice may come with the apps");
    swapped.remove("sluice");
    ensure!(rise(&swapped).is_err(), "Sluice may be missing");
    Ok(())
}

/// The name of an Application, or of a set of them, and its wave.
fn wave(application: &Value) -> Result<(String, i32)> {
    let metadata = &application["metadata"];
    let wave = &metadata["annotations"]["argocd.argoproj.io/sync-wave"];
    let wave = wave.as_str().context("in no wave")?;
    let name = metadata["name"].as_str().context("without a name")?;
    Ok((name.to_owned(), wave.parse()?))
}

fn rise(waves: &BTreeMap<String, i32>) -> Result<()> {
    let mut known: Vec<_> = waves.iter().map(|(name, wave)| (*wave, name)).collect();
    known.sort_unstable();
    let names = known.iter().map(|(_, name)| name.as_str());
    let strictly = known.is_sorted_by(|(before, _), (after, _)| before < after);
    ensure!(
        strictly && names.eq(WAVES),
        "the waves are {known:?}, and each of {WAVES:?} needs the one before"
    );
    Ok(())
}

pub(super) async fn of_what_flux_waits_for(stage: &Stage) -> Result<()> {
    let manifests = manifests(&stage.kubectl)?;
    let ours = || manifests.iter().filter(|one| one.file.starts_with("flux/"));
    let kustomizations: Vec<_> = ours().filter(|one| one.is("Kustomization")).collect();
    for one in &kustomizations {
        let waits = one.object["spec"]["wait"] == json!(true);
        ensure!(waits, "{} is Ready before what it applied", one.title());
    }
    let releases: Vec<_> = ours()
        .filter(|one| one.is("HelmRelease") && one.file.starts_with("flux/istio/"))
        .collect();
    let mut graph = graph(&kustomizations)?;
    graph.extend(self::graph(&releases)?);
    complete(&graph)?;
    // So that this is known to look.
    for name in ["istiod", "istio", "shop"] {
        let mut without = graph.clone();
        without.insert(name.to_owned(), Vec::new());
        ensure!(complete(&without).is_err(), "{name} may wait for nothing");
    }
    graph.insert("cilium".to_owned(), vec!["shop".to_owned()]);
    ensure!(complete(&graph).is_err(), "all may wait for each other");
    Ok(())
}

fn graph(waiting: &[&Manifest]) -> Result<Graph> {
    let named = |one: &Value| {
        let name = one["name"].as_str().map(str::to_owned);
        name.context("without a name")
    };
    let mut graph = Graph::new();
    for one in waiting {
        let awaited = one.object["spec"]["dependsOn"].as_array();
        let awaited: Result<_> = awaited.into_iter().flatten().map(named).collect();
        graph.insert(named(&one.object["metadata"])?, awaited?);
    }
    Ok(graph)
}

/// Fails unless everything waits for all that it needs, and nothing for itself.
fn complete(graph: &Graph) -> Result<()> {
    for (name, needed) in NEEDS {
        let before = before(graph, name)?;
        for one in needed {
            ensure!(
                before.contains(&(*one).to_owned()),
                "{name} does not wait for {one}, but for {before:?}"
            );
        }
    }
    for name in graph.keys() {
        let itself = before(graph, name)?.contains(name);
        ensure!(!itself, "{name} waits for itself");
    }
    Ok(())
}

/// All that something waits for.
fn before(graph: &Graph, name: &str) -> Result<Vec<String>> {
    let mut found = Vec::new();
    let mut left = vec![name.to_owned()];
    while let Some(name) = left.pop() {
        let awaited = graph.get(&name).with_context(|| format!("no {name}"))?;
        for one in awaited {
            if !found.contains(one) {
                found.push(one.clone());
                left.push(one.clone());
            }
        }
    }
    Ok(found)
}
