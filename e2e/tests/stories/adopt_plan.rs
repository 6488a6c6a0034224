//! `sluice adopt --plan` before an adoption: what it names is what changes, and what it writes instead is right before
//! and after.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use e2e::stage::{App, Scene, Stage, eventually, no_failure};
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

const AUTOSCALER: &str = "autoscaling/v2/HorizontalPodAutoscaler";
const PATIENCE: Duration = Duration::from_secs(20);
/// What a team's dashboard shows: requests answered by its Service.
const SHOWN: &str = "sum(rate(istio_requests_total{reporter=\"waypoint\",\
                     destination_service_namespace=\"adopt-plan\",destination_service_name=\"shop\"}[4s]))";

const NEIGHBOURS: &str = "
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: cpu, namespace: NAMESPACE}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: shop}
  minReplicas: 2
  maxReplicas: 5
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: shop, namespace: NAMESPACE}
spec: {minAvailable: 1, selector: {matchLabels: {app: shop}}}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: cart, namespace: NAMESPACE}
spec: {minAvailable: 1, selector: {matchLabels: {app: cart}}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: shop, namespace: NAMESPACE}
spec: {host: shop, trafficPolicy: {connectionPool: {http: {http2MaxRequests: 1000}}}}
";

/// Told by fate, kind and name; then the adoption, and the same dashboard with the old query and the new one.
pub(crate) async fn what_it_names_is_what_changes(stage: &Stage) -> Result<()> {
    let scene = stage.scene("adopt-plan").await?;
    let shop = App::new("shop", "v1");
    scene.deploy(&shop).await?;
    scene.others(NEIGHBOURS).await?;
    scene.settled("shop", 2).await?;
    let board = json!({"panels": [{"title": "Requests", "targets": [{"expr": SHOWN}]}]});
    let board = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "board", "namespace": "NAMESPACE", "labels": {"grafana_dashboard": "1"}},
        "data": {"board.json": board.to_string()},
    });
    scene.others(&board.to_string()).await?;
    let load = scene.load("shop", 8080, 100.0).await?;

    let admin = stage.cluster.admin_kubeconfig();
    let plan = plan(&scene, admin).await?;
    let told = [
        ("ConfigMap board", "change"),
        ("DestinationRule shop", "stays"),
        ("HorizontalPodAutoscaler cpu", "changeWhenTold"),
        ("PodDisruptionBudget shop", "change"),
    ];
    let told: BTreeMap<_, _> = told
        .map(|(object, fate)| (object.to_owned(), fate.to_owned()))
        .into();
    ensure!(fates(&plan) == told, "{plan:#}");
    gap(
        &plan,
        "verticalpodautoscalers.autoscaling.k8s.io",
        "notInstalled",
    )?;
    gap(&plan, "scaledobjects.keda.sh", "notInstalled")?;
    let rewritten = replacement(&plan, "ConfigMap")?.1;
    for query in [SHOWN, &rewritten] {
        until_shown(&scene, query, true).await?;
    }
    by_the_controllers_rights(&scene).await?;

    // As it says, in its order; it is right at every moment.
    scene.adopt(&shop, "").await?;
    until_shown(&scene, &rewritten, true).await?;
    until_shown(&scene, SHOWN, false).await?;
    let words = ["point scaleTargetRef of HorizontalPodAutoscaler cpu at this Canary"];
    scene
        .told("shop", "AutoscalerOnTarget", &words, PATIENCE)
        .await?;
    scene
        .patch("shop", &json!({"spec": {"replicas": 2}}))
        .await?;
    let target: Value = serde_yaml_ng::from_str(&replacement(&plan, "HorizontalPodAutoscaler")?.1)?;
    let patch = Patch::Merge(json!({"spec": target}));
    scene
        .of_kind(AUTOSCALER)?
        .patch("cpu", &PatchParams::default(), &patch)
        .await?;
    scene.clean("shop").await?;
    let left = fates(&self::plan(&scene, admin).await?);
    ensure!(
        !left.contains_key("HorizontalPodAutoscaler cpu"),
        "what was moved is told again: {left:?}"
    );
    no_failure(&load.stop().await)?;
    scene.close().await
}

/// Who may not read a kind is told so, and of the rest what there is.
async fn by_the_controllers_rights(scene: &Scene<'_>) -> Result<()> {
    let cluster = &scene.stage.cluster;
    let kubeconfig = cluster.kubeconfig_for_service_account("sluice-system", "sluice");
    let plan = plan(scene, &kubeconfig.await?).await?;
    gap(&plan, "poddisruptionbudgets.policy", "notReadable")?;
    // Of a kind that is not there it is told the same: the API server does not say more.
    gap(
        &plan,
        "verticalpodautoscalers.autoscaling.k8s.io",
        "notReadable",
    )?;
    let fates = fates(&plan);
    ensure!(
        fates.contains_key("HorizontalPodAutoscaler cpu")
            && !fates.contains_key("PodDisruptionBudget shop"),
        "{plan:#}"
    );
    Ok(())
}

async fn plan(scene: &Scene<'_>, kubeconfig: &Path) -> Result<Value> {
    let arguments = ["adopt", "--plan", "adopt-plan/shop", "-o", "json"];
    let output = scene.stage.sluice_by(kubeconfig, &arguments).await?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}: {said}", output.status);
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn items<'a>(plan: &'a Value, list: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    let items = plan.get(list).and_then(Value::as_array);
    items.into_iter().flatten()
}

fn text(value: &Value, pointer: &str) -> String {
    let text = value.pointer(pointer).and_then(Value::as_str);
    text.unwrap_or_default().to_owned()
}

/// What is told of each object, by kind and name.
fn fates(plan: &Value) -> BTreeMap<String, String> {
    let told = items(plan, "items").map(|item| {
        let object = ["/object/kind", "/object/name"].map(|field| text(item, field));
        (object.join(" "), text(item, "/fate"))
    });
    told.collect()
}

/// The first text to replace in an object of a kind, and what to write instead.
fn replacement(plan: &Value, kind: &str) -> Result<(String, String)> {
    let mut all = items(plan, "items");
    let found = all.find(|item| text(item, "/object/kind") == kind);
    let item = found.with_context(|| format!("no {kind} in {plan:#}"))?;
    Ok((text(item, "/replace/0/from"), text(item, "/replace/0/to")))
}

fn gap(plan: &Value, kind: &str, reading: &str) -> Result<()> {
    let mut gaps = items(plan, "gaps");
    let told = gaps.any(|gap| text(gap, "/kind") == kind && text(gap, "/reading") == reading);
    ensure!(told, "{kind} is not {reading} in {plan:#}");
    Ok(())
}

/// Waits until a query shows requests, or none.
async fn until_shown(scene: &Scene<'_>, query: &str, some: bool) -> Result<()> {
    let url = format!("{}/api/v1/query", scene.stage.cluster.prometheus_url());
    let url = reqwest::Url::parse_with_params(&url, [("query", query)])?;
    eventually(
        &format!("requests by {query}: {some}"),
        PATIENCE,
        async || {
            let answer = reqwest::get(url.clone()).await?.error_for_status()?;
            let answer: Value = answer.json().await?;
            let rate = text(&answer, "/data/result/0/value/1").parse::<f64>();
            let shows = rate.is_ok_and(|rate| rate > 1.0);
            Ok(if shows == some { Ok(()) } else { Err(answer) })
        },
    )
    .await
}
