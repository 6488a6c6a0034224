//! `sluice preflight` looks at a cluster as `cilium-below-ambient` makes it.

use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::files::{documents, read};
use super::{Stage, charts};

/// Of what the example is about. The others ask for a mesh that runs.
const CHECKS: [&str; 3] = ["cilium", "health-probes", "one-controller"];

/// What istiod makes.
const CLASS: &str = "{apiVersion: gateway.networking.k8s.io/v1, kind: GatewayClass, \
                     metadata: {name: istio-waypoint}, spec: {controllerName: istio.io/mesh-controller}}";

/// What is told of each of them: its level, and what is to be done.
type Told = Vec<(String, String)>;

pub(super) async fn finds_nothing_wrong_below_ambient(stage: &Stage) -> Result<()> {
    let apply = async |file: &str| stage.bare.apply(&read(file)?).await;
    apply("argocd/waypoint/shop.yaml").await?;
    apply("argocd/apps/shop/podinfo.yaml").await?;
    apply("cilium-below-ambient/network-policy.yaml").await?;
    apply("cilium-below-ambient/canary.yaml").await?;
    settings(stage, "cilium-below-ambient/values.yaml").await?;
    let before = told(stage)?;
    ensure!(
        levels(&before) == ["ok", "error", "ok"],
        "without health-probes.yaml: {before:?}"
    );

    apply("cilium-below-ambient/health-probes.yaml").await?;
    let good = told(stage)?;
    ensure!(levels(&good) == ["ok", "ok", "ok"], "{good:?}");

    // So that this is known to look.
    settings(stage, "cilium-mesh/values.yaml").await?;
    let alone = told(stage)?;
    ensure!(levels(&alone) == ["ok", "ok", "warning"], "{alone:?}");
    stage.bare.apply(CLASS).await?;
    let beside = told(stage)?;
    ensure!(levels(&beside) == ["error", "ok", "warning"], "{beside:?}");
    Ok(())
}

/// Has Cilium be installed with these values: as far as anybody can see without nodes.
async fn settings(stage: &Stage, file: &str) -> Result<()> {
    let objects = charts::made_of(stage, "cilium", "kube-system", file)?;
    let config = objects.iter().find(|object| {
        object["kind"] == "ConfigMap" && object["metadata"]["name"] == "cilium-config"
    });
    let config = config.context("Cilium's chart makes no cilium-config")?;
    stage.bare.apply(&config.to_string()).await?;
    Ok(())
}

fn levels(told: &Told) -> Vec<&str> {
    told.iter().map(|(level, _)| level.as_str()).collect()
}

fn told(stage: &Stage) -> Result<Told> {
    let output = Command::new(&stage.sluice)
        .args(["preflight", "shop/podinfo", "--output", "json"])
        .env("KUBECONFIG", stage.bare.kubeconfig())
        .stdin(Stdio::null())
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    let report = documents(std::str::from_utf8(&output.stdout)?)?;
    let report = report.first().with_context(|| said.into_owned())?;
    let sections = report["sections"].as_array().into_iter().flatten();
    let items: Vec<&Value> = sections
        .filter_map(|section| section["items"].as_array())
        .flatten()
        .collect();
    CHECKS
        .iter()
        .map(|check| {
            let item = items.iter().find(|item| item["check"] == *check);
            let item = item.with_context(|| format!("preflight says nothing of {check}"))?;
            let text = |field: &str| item[field].as_str().unwrap_or_default().to_owned();
            Ok((text("level"), text("message")))
        })
        .collect()
}
