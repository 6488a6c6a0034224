//! The API server takes every manifest, with the kinds of the tool that it is for.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, ensure};

use super::files::{documents, manifests, read};
use super::{Stage, files};

/// Kinds that no registry has: nobody can say whether these objects are right.
const UNKNOWN: [&str; 1] = ["ServiceMeshController"];

/// For each tool something that its own kinds do not have: a file, what it says, what it would say, and what is said to that.
const WRONG: &[(&str, &str, &str, &str)] = &[
    (
        "argocd/platform.yaml",
        "destinations:",
        "destination:",
        ".spec.destination:",
    ),
    (
        "argocd/platform/istiod.yaml",
        "targetRevision:",
        "revision:",
        ".spec.source.revision:",
    ),
    (
        "argocd/platform/apps.yaml",
        "directories:",
        "folders:",
        ".folders:",
    ),
    (
        "argocd/waypoint/shop.yaml",
        "port: 15008",
        "port: 0",
        "listeners[0].port",
    ),
    (
        "argocd/apps/shop/podinfo.yaml",
        "weight: \"5%\"",
        "weight: \"105%\"",
        "spec.steps[0].weight",
    ),
    (
        "argocd/apps/shop/podinfo.yaml",
        "name: latency,",
        "name: latency, treshold: 1s,",
        ".treshold:",
    ),
    (
        "flux/cluster/kustomizations.yaml",
        "dependsOn:",
        "needs:",
        ".spec.needs:",
    ),
    (
        "flux/cluster/kustomizations.yaml",
        "timeout: 2h ",
        "timeout: two ",
        "spec.timeout",
    ),
    (
        "flux/cluster/kustomizations.yaml",
        "current: status",
        "currently: status",
        "currently",
    ),
    (
        "flux/cluster/sources.yaml",
        "layerSelector:",
        "layers:",
        ".spec.layers:",
    ),
    (
        "flux/sluice/release.yaml",
        "chartRef:",
        "chartref:",
        ".spec.chartref:",
    ),
    (
        "flux/istio/releases.yaml",
        "dependsOn: [{name: istiod}]",
        "dependsOn: [istiod]",
        "dependsOn",
    ),
    (
        "flux/cilium/release.yaml",
        "strategy: rollback",
        "strategy: forget",
        "strategy",
    ),
    (
        "cilium-below-ambient/health-probes.yaml",
        "fromCIDR:",
        "fromCIDRs:",
        ".fromCIDRs:",
    ),
    (
        "cilium-below-ambient/network-policy.yaml",
        "fromEntities: [cluster]",
        "fromEntities: [mesh]",
        "fromEntities",
    ),
    (
        "cilium-mesh/shop.yaml",
        "source: cilium-hubble",
        "source: cilium",
        "spec.source",
    ),
    (
        "gloo-ambient/canary.yaml",
        "objective: \"99%\"",
        "objective: 99",
        "objective",
    ),
    (
        "prometheus-operator/monitors.yaml",
        "interval: 15s",
        "interval: often",
        "interval",
    ),
    (
        "prometheus-operator/monitors.yaml",
        "podMetricsEndpoints:",
        "endpoints:",
        ".spec.endpoints:",
    ),
    (
        "prometheus-operator/rules.yaml",
        "for: 5m",
        "for: long",
        "for",
    ),
    (
        "prometheus-operator/prometheus.yaml",
        "enableOTLPReceiver:",
        "enableOtlp:",
        ".spec.enableOtlp:",
    ),
    (
        "opentelemetry-collector/operator.yaml",
        "mode: deployment",
        "mode: pod",
        "spec.mode",
    ),
    (
        "opentelemetry-collector/operator.yaml",
        "pipelines:",
        "pipes:",
        "spec.config.service.pipelines",
    ),
    (
        "minimal/policy.yaml",
        "action: Hold",
        "action: Wait",
        "spec.inconclusive.action",
    ),
];

pub(super) async fn each_manifest_is(stage: &Stage) -> Result<()> {
    let mut wrong = Vec::new();
    let mut taken = BTreeMap::<String, u32>::new();
    for manifest in manifests(&stage.kubectl)? {
        let answer = stage.bare.try_out(&manifest.object).await?;
        let unknown = UNKNOWN.iter().any(|kind| manifest.is(kind));
        match answer {
            Err(said) if unknown && said.contains("no such kind") => {}
            Err(said) => wrong.push(format!("{}: {said}", manifest.title())),
            Ok(()) if unknown => wrong.push(format!("{} is known by now", manifest.title())),
            Ok(()) => {
                let (folder, _) = manifest.file.split_once('/').unwrap_or_default();
                *taken.entry(folder.to_owned()).or_default() += 1;
            }
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    let folders: BTreeSet<_> = files::yaml()?
        .iter()
        .filter_map(|path| Some(super::called(path).split_once('/')?.0.to_owned()))
        .collect();
    ensure!(
        taken.keys().eq(&folders),
        "of {folders:?} these have manifests: {taken:?}"
    );
    println!("taken: {taken:?}");
    Ok(())
}

/// So that the story above is known to look.
pub(super) async fn a_wrong_field_is_not(stage: &Stage) -> Result<()> {
    for (file, right, wrong, says) in WRONG {
        let text = read(file)?;
        ensure!(text.contains(right), "{file} does not say {right}");
        let mut refusals = Vec::new();
        for object in documents(&text.replace(right, wrong))? {
            refusals.extend(stage.bare.try_out(&object).await?.err());
        }
        let told = refusals.iter().any(|refusal| refusal.contains(says));
        ensure!(told, "{file} with {wrong}: {refusals:?} do not say {says}");
    }
    Ok(())
}
