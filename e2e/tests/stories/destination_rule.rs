//! What a team said about calls to its Service holds for the revisions behind it.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::stage::{App, Scene, Stage, eventually, no_failure};
use kube::ResourceExt;
use kube::api::{DeleteParams, ListParams};
use serde_json::{Value, json};
use sluice_crds::{Canary, labels};

const RULE: &str = "networking.istio.io/v1/DestinationRule";
const POLICY: &str = "gateway.networking.k8s.io/v1/BackendTLSPolicy";
const PORT: u16 = 8080;
/// Time for an edit to reach istiod and Envoy by way of us.
const SOON: Duration = Duration::from_secs(10);

/// Outlier detection and connection settings of the Service's `DestinationRule` are those of each
/// revision in Envoy itself: the same before adoption and after, after an edit, and gone with the rule.
pub(crate) async fn settings_of_the_service_hold_for_revisions(stage: &Stage) -> Result<()> {
    let scene = stage.scene("destination-rule").await?;
    let v1 = App::new("shop", "v1");
    scene.deploy(&v1).await?;
    scene.others(&rule(7)).await?;
    let load = scene.load("shop", PORT, 200.0).await?;
    let before = in_envoy(&scene, "shop", Some(7)).await?;
    ensure!(
        before.pointer("/limits/max_pending_requests") == Some(&json!(1100)),
        "Envoy does not have the rule before adoption: {before}"
    );
    scene
        .adopt(&v1, "steps: [{weight: 50%, bake: 2s}]\n")
        .await?;
    let old = scene.revision_of(&v1).await?;
    let after = in_envoy(&scene, &old, Some(7)).await?;
    ensure!(after == before, "before adoption {before}, after {after}");

    // A candidate is called like that as well, and an edit reaches both.
    let v2 = v1.tagged("v2");
    scene
        .patch(
            "shop",
            &json!({"spec": {"steps": [{"weight": "50%", "bake": "10m"}]}}),
        )
        .await?;
    scene.deploy(&v2).await?;
    let new = scene.at_step(&v2, 1, Duration::from_secs(30)).await?;
    let candidate = in_envoy(&scene, &new, Some(7)).await?;
    ensure!(
        candidate == before,
        "before adoption {before}, the candidate {candidate}"
    );
    scene.others(&rule(3)).await?;
    for revision in [&old, &new] {
        in_envoy(&scene, revision, Some(3)).await?;
    }
    // Two of theirs for one host are one for a revision.
    scene
        .others(&rule(9).replace("name: shop,", "name: younger,"))
        .await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    for revision in [&old, &new] {
        let copies = copies(&scene, RULE, revision).await?;
        ensure!(copies.len() == 1, "{revision} has {copies:?}");
        in_envoy(&scene, revision, Some(3)).await?;
    }
    scene.delete(RULE, "younger").await?;

    // Theirs goes, and so do the copies.
    scene.delete(RULE, "shop").await?;
    for revision in [&old, &new] {
        in_envoy(&scene, revision, None).await?;
        none_left(&scene, RULE, revision).await?;
    }
    no_failure(&load.stop().await)?;

    // With TLS towards the app its plain pods could not be called, so no clients look at this.
    scene.others(TLS).await?;
    let name = eventually("a policy for the revision", SOON, async || {
        let copies = copies(&scene, POLICY, &old).await?;
        Ok(copies.first().cloned().ok_or("none"))
    })
    .await?;
    let copy = scene.of_kind(POLICY)?.get(&name).await?;
    let target = copy.data.pointer("/spec/targetRefs/0/name");
    ensure!(target == Some(&json!(old)), "{copy:?}");
    eventually("TLS towards the revision in Envoy", SOON, async || {
        let cluster = scene.waypoint.cluster(&old, PORT).await?;
        let text = cluster
            .map(|cluster| cluster.to_string())
            .unwrap_or_default();
        Ok(if text.contains("shop.example") {
            Ok(())
        } else {
            Err(text)
        })
    })
    .await?;
    scene.others(&rule(5)).await?;
    in_envoy(&scene, &old, Some(5)).await?;

    // Sluice goes: nothing of ours stays, and theirs is as it was.
    scene
        .api::<Canary>()
        .delete("shop", &DeleteParams::default())
        .await?;
    scene.canary_gone("shop", Duration::from_secs(40)).await?;
    // The template in Git is the candidate's: the stable revision goes on serving, with its copies.
    none_left(&scene, RULE, &new).await?;
    none_left(&scene, POLICY, &new).await?;
    scene
        .of_kind(RULE)?
        .get("shop")
        .await
        .context("their rule")?;
    scene
        .of_kind(POLICY)?
        .get("shop")
        .await
        .context("their policy")?;
    scene.close().await
}

/// What a team would write down, with a number to tell edits apart.
fn rule(errors: u32) -> String {
    format!(
        "apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: shop, namespace: NAMESPACE}}
spec:
  host: shop.NAMESPACE.svc.cluster.local
  trafficPolicy:
    outlierDetection: {{consecutive5xxErrors: {errors}, interval: 5s, baseEjectionTime: 15s}}
    connectionPool: {{http: {{http1MaxPendingRequests: 1100, maxRequestsPerConnection: 500}}}}
  subsets: [{{name: v1, labels: {{app: shop}}}}]
"
    )
}

const TLS: &str = "apiVersion: v1
kind: ConfigMap
metadata: {name: ca, namespace: NAMESPACE}
data: {ca.crt: none}
---
apiVersion: gateway.networking.k8s.io/v1
kind: BackendTLSPolicy
metadata: {name: shop, namespace: NAMESPACE}
spec:
  targetRefs: [{group: '', kind: Service, name: shop}]
  validation: {hostname: shop.example, wellKnownCACertificates: System}
";

/// How Envoy calls a Service, once its limit of errors is this.
async fn in_envoy(scene: &Scene<'_>, service: &str, errors: Option<u32>) -> Result<Value> {
    let what = format!("outlier detection {errors:?} for {service} in Envoy");
    eventually(&what, SOON, async || {
        let Some(cluster) = scene.waypoint.cluster(service, PORT).await? else {
            return Ok(Err("no cluster".to_owned()));
        };
        let at = |path| cluster.pointer(path).cloned().unwrap_or_default();
        let settings = json!({
            "outliers": at("/outlier_detection"),
            "limits": at("/circuit_breakers/thresholds/0"),
            "protocol": at("/typed_extension_protocol_options"),
        });
        let now = settings
            .pointer("/outliers/consecutive_5xx")
            .and_then(Value::as_u64);
        Ok(if now == errors.map(u64::from) {
            Ok(settings)
        } else {
            Err(settings.to_string())
        })
    })
    .await
}

/// The names of a revision's copies.
async fn copies(scene: &Scene<'_>, kind: &str, revision: &str) -> Result<Vec<String>> {
    let of = ListParams::default().labels(&format!("{}={revision}", labels::REVISION));
    let found = scene.of_kind(kind)?.list(&of).await?;
    Ok(found.iter().map(ResourceExt::name_any).collect())
}

async fn none_left(scene: &Scene<'_>, kind: &str, revision: &str) -> Result<()> {
    eventually(&format!("no {kind} of {revision}"), SOON, async || {
        let left = copies(scene, kind, revision).await?;
        Ok(if left.is_empty() {
            Ok(())
        } else {
            Err(format!("{left:?}"))
        })
    })
    .await
}
