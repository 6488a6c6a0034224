//! `sluice preflight` before an adoption: a scene as it should be, and one in which things are missing.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Result, ensure};
use e2e::stage::{App, Scene, Stage, app, eventually, no_failure};
use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

const GATEWAY: &str = "gateway.networking.k8s.io/v1/Gateway";
const PATIENCE: Duration = Duration::from_secs(30);
/// What is not as in a cluster: istiod is a process beside it, without a Deployment.
const STAND_IN: &str = "istiod";
/// Told when the server has scraped the waypoint a few times.
const SCRAPED: &str = "series of shop by source istio-waypoint, every 1s";

const SECOND_ROUTE: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: second, namespace: NAMESPACE}
spec:
  parentRefs: [{group: '', kind: Service, name: shop, port: 8080}]
  rules: [{matches: [{path: {value: /second}}], backendRefs: [{name: shop, port: 8080}]}]
";

/// A line: its level, and what it says.
type Line = (String, String);

/// All is ok, or cannot be told of what stands in; then each thing that is broken is named. With the controller's
/// rights it tells the same, less what it may not read.
pub(crate) async fn what_is_broken_is_named(stage: &Stage) -> Result<()> {
    let scene = stage.scene("preflight").await?;
    let shop = App::new("shop", "v1");
    scene.deploy(&shop).await?;
    let policy = app::quick_policy(stage.cluster.prometheus_url());
    let policy = policy.lines().map(|line| format!("  {line}\n"));
    let policy: String = policy.collect();
    scene
        .others(&format!(
            "apiVersion: sluice.dev/v1alpha1\nkind: CanaryPolicy\n\
             metadata: {{name: default, namespace: NAMESPACE}}\nspec:\n{policy}"
        ))
        .await?;
    let load = scene.load("shop", 8080, 50.0).await?;

    let healthy = eventually("nothing to mend", PATIENCE, async || {
        let (ok, lines) = preflight(&scene).await?;
        let wrong = lines.iter().filter(|(check, (level, message))| {
            let stand_in = level == "cannotTell" && *check == STAND_IN;
            let early = *check == "metrics" && !message.contains(SCRAPED);
            early || level != "ok" && !stand_in
        });
        let wrong: Vec<_> = wrong.collect();
        Ok(if ok && wrong.is_empty() {
            Ok(lines)
        } else {
            Err(format!("ended well: {ok}, and {wrong:?}"))
        })
    })
    .await?;
    for (check, (level, message)) in &healthy {
        println!("{level} {check}: {message}");
    }
    let told = |check: &str| healthy.get(check).cloned().unwrap_or_default().1;
    ensure!(
        told("gateway-api").contains("standard channel"),
        "{healthy:?}"
    );
    ensure!(
        told("waypoint-class").contains("istio.io/mesh-controller"),
        "{healthy:?}"
    );
    no_failure(&load.stop().await)?;
    by_the_controllers_rights(&scene).await?;

    scene.others(SECOND_ROUTE).await?;
    named(
        &scene,
        &[(
            "other-routes",
            "HTTPRoute second is on Service shop as well: delete it",
        )],
    )
    .await?;
    scene.delete(GATEWAY, "waypoint").await?;
    named(
        &scene,
        &[
            ("other-routes", "HTTPRoute second"),
            ("waypoint", "istio.io/use-waypoint names the waypoint preflight/waypoint, and there is no such Gateway"),
            ("waypoint", "no waypoint serves Service shop: WaypointIsNotReady"),
        ],
    )
    .await?;
    let namespaces: Api<Namespace> = Api::all(scene.client());
    let labels = json!({"metadata": {"labels": {"istio.io/use-waypoint": null}}});
    namespaces
        .patch(
            &scene.namespace,
            &PatchParams::default(),
            &Patch::Merge(labels),
        )
        .await?;
    named(
        &scene,
        &[
            ("other-routes", "HTTPRoute second"),
            (
                "waypoint",
                "label the Service or its namespace istio.io/use-waypoint",
            ),
        ],
    )
    .await?;
    scene.close().await
}

/// As the chart's init container would: what may not be read is told, and nothing fails.
async fn by_the_controllers_rights(scene: &Scene<'_>) -> Result<()> {
    let cluster = &scene.stage.cluster;
    let kubeconfig = cluster.kubeconfig_for_service_account("sluice-system", "sluice");
    let arguments = ["preflight", "preflight/shop", "-o", "json"];
    let output = scene
        .stage
        .sluice_by(&kubeconfig.await?, &arguments)
        .await?;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(
        output.status.success(),
        "by the controller's rights: {said}"
    );
    let lines = all(&output.stdout)?;
    let refused = [
        (
            "waypoint-class",
            "not allowed to list gatewayclasses.gateway.networking.k8s.io",
        ),
        (
            "sluice-crds",
            "not allowed to get customresourcedefinitions.apiextensions.k8s.io",
        ),
    ];
    for (check, why) in refused {
        let told = lines.iter().any(|(own, (level, message))| {
            own == check && level == "cannotTell" && message.contains(why)
        });
        ensure!(told, "{check}: {why}: not in {lines:?}");
    }
    let own = lines.iter().any(|(check, (level, message))| {
        check == "rights" && level == "ok" && message.contains("sluice-system/sluice")
    });
    ensure!(own, "its own rights: {lines:?}");
    Ok(())
}

/// Waits until just these are errors, and the command says so by its exit code.
async fn named(scene: &Scene<'_>, wanted: &[(&str, &str)]) -> Result<()> {
    eventually(&format!("{wanted:?} named"), PATIENCE, async || {
        let output = run(scene).await?;
        let lines = all(&output.stdout)?;
        let errors = lines.iter().filter(|(_, (level, _))| level == "error");
        let errors: Vec<_> = errors
            .map(|(check, (_, says))| (check.as_str(), says))
            .collect();
        let all_told = wanted.iter().all(|(check, words)| {
            errors
                .iter()
                .any(|(own, says)| own == check && says.contains(words))
        });
        let none_else = errors
            .iter()
            .all(|(own, _)| wanted.iter().any(|(check, _)| own == check));
        Ok(
            if all_told && none_else && output.status.code() == Some(1) {
                Ok(())
            } else {
                Err(format!("{}: {errors:?}", output.status))
            },
        )
    })
    .await
}

async fn run(scene: &Scene<'_>) -> Result<std::process::Output> {
    let admin = scene.stage.cluster.admin_kubeconfig();
    let arguments = ["preflight", "preflight/shop", "-o", "json"];
    scene.stage.sluice_by(admin, &arguments).await
}

/// Whether it ended well, and the worst line of each check.
async fn preflight(scene: &Scene<'_>) -> Result<(bool, BTreeMap<String, Line>)> {
    let output = run(scene).await?;
    let mut worst: BTreeMap<String, Line> = BTreeMap::new();
    for (check, line) in all(&output.stdout)? {
        let known = worst.entry(check).or_insert_with(|| line.clone());
        if known.0 == "ok" {
            *known = line;
        }
    }
    Ok((output.status.success(), worst))
}

fn all(json: &[u8]) -> Result<Vec<(String, Line)>> {
    let report: Value = serde_json::from_slice(json)?;
    let sections = report
        .get("sections")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    let items = sections
        .filter_map(|one| one.get("items").and_then(Value::as_array))
        .flatten();
    let lines = items.map(|item| {
        let text = |field: &str| {
            item.get(field)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        (text("check"), (text("level"), text("message")))
    });
    Ok(lines.collect())
}
