//! What several examples say, they say alike: each is to be taken without the others.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context as _, Result, ensure};
use e2e::paths;
use serde_json::{Value, json};

use super::files::{documents, manifests, read, value};
use super::{Stage, examples};

/// Files that are the same in several folders.
const COPIES: [&[&str]; 4] = [
    &["argocd/apps/shop/podinfo.yaml", "flux/shop/podinfo.yaml"],
    &[
        "argocd/waypoint/shop.yaml",
        "flux/waypoint/shop.yaml",
        "gloo-ambient/waypoint.yaml",
    ],
    &[
        "cilium-below-ambient/values.yaml",
        "flux/cilium/values.yaml",
    ],
    &[
        "cilium-below-ambient/health-probes.yaml",
        "flux/cilium/health-probes.yaml",
    ],
];
const OPERATOR: &str = "opentelemetry-collector/operator.yaml";
/// Writes it anew.
const BLESS: &str = "SLUICE_BLESS=1 cargo test -p e2e --test examples -- operators_collector";

pub(super) async fn copies_are_equal(_: &Stage) -> Result<()> {
    for copies in COPIES {
        let texts: BTreeSet<_> = copies.iter().map(read).collect::<Result<_>>()?;
        ensure!(texts.len() == 1, "these differ: {copies:?}");
    }
    Ok(())
}

/// Each version is named in one way, and where the tests have the thing itself, it is theirs.
pub(super) async fn versions_are_those_tried_out(stage: &Stage) -> Result<()> {
    let mut istio = BTreeSet::new();
    let mut gateway_api = BTreeSet::new();
    let mut cilium = BTreeSet::new();
    let mut sluice = BTreeSet::new();
    for manifest in manifests(&stage.kubectl)? {
        let spec = &manifest.object["spec"];
        let (chart, version) = match manifest.text("/kind") {
            Some("Application") => (&spec["source"]["chart"], &spec["source"]["targetRevision"]),
            Some("HelmRelease") => (
                &spec["chart"]["spec"]["chart"],
                &spec["chart"]["spec"]["version"],
            ),
            Some("GitRepository" | "OCIRepository") => {
                let tag = &spec["ref"]["tag"];
                (&manifest.object["metadata"]["name"], tag)
            }
            Some("ServiceMeshController") => (&json!("istiod"), &spec["version"]),
            _ => continue,
        };
        let Some(version) = version.as_str() else {
            continue;
        };
        let repository = manifest.text("/spec/source/repoURL").unwrap_or_default();
        match chart.as_str() {
            Some("base" | "istiod" | "cni" | "ztunnel") => istio.insert(version.to_owned()),
            Some("cilium") => cilium.insert(version.to_owned()),
            Some("sluice") => sluice.insert(version.to_owned()),
            Some("gateway-api") => gateway_api.insert(version.to_owned()),
            None if repository.ends_with("/gateway-api") => gateway_api.insert(version.to_owned()),
            _ => false,
        };
    }
    let one = |version: &str| BTreeSet::from([version.to_owned()]);
    ensure!(istio.len() == 1, "Istio: {istio:?}");
    ensure!(
        sluice == one(env!("CARGO_PKG_VERSION")),
        "Sluice: {sluice:?}"
    );
    let tried = pinned("istio", "sigs.k8s.io/gateway-api")?;
    ensure!(
        gateway_api == one(&tried),
        "Gateway API {gateway_api:?}, not {tried}"
    );
    let tried = pinned("examples", "github.com/cilium/cilium")?;
    let tried = tried.trim_start_matches('v');
    ensure!(cilium == one(tried), "Cilium {cilium:?}, not {tried}");
    for file in [
        "flux/README.md",
        "cilium-below-ambient/README.md",
        "cilium-mesh/README.md",
    ] {
        let named = format!("--version {tried} ");
        ensure!(read(file)?.contains(&named), "{file} does not say {named}");
    }
    Ok(())
}

/// Flux takes over what a person installed by Helm only where name, namespace, chart and values are the same.
pub(super) async fn cilium_is_taken_over_as_it_was_installed(stage: &Stage) -> Result<()> {
    let readme = read("flux/README.md")?;
    let line = readme.lines().map(str::trim);
    let mut installs = line.filter_map(|line| line.strip_prefix("helm install "));
    let install = installs.next().context("the README installs nothing")?;
    ensure!(installs.next().is_none(), "it installs more than Cilium");

    let manifests = manifests(&stage.kubectl)?;
    let named = |kind: &str, name: &str| {
        let mut all = manifests.iter().map(|manifest| &manifest.object);
        all.find(|object| object["kind"] == kind && object["metadata"]["name"] == name)
    };
    let release = named("HelmRelease", "cilium").context("no HelmRelease cilium")?;
    let spec = &release["spec"];
    let chart = &spec["chart"]["spec"];
    let source = chart["sourceRef"]["name"].as_str().unwrap_or_default();
    let source = named("HelmRepository", source).context("no such repository")?;
    // As helm-controller reads them (helm.toolkit.fluxcd.io/v2): without these two it is the HelmRelease's namespace.
    for other in ["targetNamespace", "storageNamespace"] {
        ensure!(spec[other].is_null(), "{other}: {}", spec[other]);
    }
    let text = |value: &Value| value.as_str().map(str::to_owned).context("no text");
    let told = format!(
        "{} {} --repo {} --version {} --namespace {} --values flux/cilium/values.yaml",
        text(&spec["releaseName"])?,
        text(&chart["chart"])?,
        text(&source["spec"]["url"])?,
        text(&chart["version"])?,
        text(&release["metadata"]["namespace"])?,
    );
    ensure!(install == told, "a person: {install}\nFlux: {told}");

    let from = &spec["valuesFrom"];
    let map = from[0]["name"].as_str().context("no values")?;
    let map = named("ConfigMap", map).context("no such ConfigMap")?;
    let same = map["data"]["values.yaml"] == json!(read("flux/cilium/values.yaml")?);
    let alone = from[1].is_null() && spec["values"].is_null();
    ensure!(same && alone, "other values: {from}, {}", spec["values"]);
    Ok(())
}

/// The version of a module that a module of ours asks for.
fn pinned(module: &str, path: &str) -> Result<String> {
    let file = paths::workspace()
        .join("e2e/tools")
        .join(module)
        .join("go.mod");
    let text = fs::read_to_string(file)?;
    let line = text
        .lines()
        .find_map(|line| line.trim().strip_prefix(path)?.strip_prefix(" v"));
    let version = line.and_then(|line| line.split_whitespace().next());
    Ok(format!("v{}", version.context("no such module")?))
}

/// An expression has one truth, and the docs explain it.
pub(super) async fn expressions_are_those_of_the_docs(_: &Stage) -> Result<()> {
    let docs = fs::read_to_string(paths::workspace().join("docs/flux.md"))?;
    let (_, block) = docs
        .split_once("  healthCheckExprs:\n")
        .context("docs/flux.md has no expressions")?;
    let (block, _) = block.split_once("```").context("a block without end")?;
    let told: Value = serde_yaml_ng::from_str(block)?;
    let kustomizations = documents(&read("flux/cluster/kustomizations.yaml")?)?;
    let shop = kustomizations
        .iter()
        .find(|one| one["metadata"]["name"] == "shop");
    let used = &shop.context("no Kustomization shop")?["spec"]["healthCheckExprs"];
    ensure!(*used == told, "{used} is not {told}");
    Ok(())
}

pub(super) async fn the_operators_collector_is_made_of_the_configuration(_: &Stage) -> Result<()> {
    let object = json!({
        "apiVersion": "opentelemetry.io/v1beta1",
        "kind": "OpenTelemetryCollector",
        "metadata": {"name": "mesh-collector", "namespace": "monitoring"},
        "spec": {
            "mode": "deployment",
            "replicas": 1,
            "serviceAccount": "mesh-collector",
            "image": "ghcr.io/open-telemetry/opentelemetry-collector-releases/opentelemetry-collector-k8s:0.161.0",
            "config": value("opentelemetry-collector/collector.yaml")?,
        },
    });
    if std::env::var_os("SLUICE_BLESS").is_some() {
        let yaml = serde_yaml_ng::to_string(&object)?;
        let head = "# The collector of collector.yaml, for the OpenTelemetry operator; do not edit. Made by:\n#   ";
        fs::write(examples().join(OPERATOR), format!("{head}{BLESS}\n{yaml}"))?;
    }
    ensure!(
        value(OPERATOR)? == object,
        "{OPERATOR} is not made of collector.yaml: {BLESS}"
    );
    Ok(())
}
