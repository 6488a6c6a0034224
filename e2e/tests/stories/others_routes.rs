//! Objects of others that would take a share of the requests past Sluice.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::cluster::Shares;
use e2e::load::Load;
use e2e::stage::{App, Scene, Stage, condition, eventually, no_failure, says, serves};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use sluice_crds::{Canary, Phase};

const HTTP_ROUTE: &str = "gateway.networking.k8s.io/v1/HTTPRoute";
const SOON: Duration = Duration::from_secs(10);
const PORT: u16 = 8080;

/// Somebody else's object, and what Sluice says to it.
struct Foreign {
    kind: &'static str,
    name: &'static str,
    yaml: &'static str,
    reason: &'static str,
    /// The object, and how to mend it.
    words: &'static [&'static str],
}

const SECOND_ROUTE: Foreign = Foreign {
    kind: HTTP_ROUTE,
    name: "second",
    yaml: "apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: second, namespace: NAMESPACE}
spec:
  parentRefs: [{group: '', kind: Service, name: shop, port: 8080}]
  rules: [{matches: [{path: {value: /second}}], backendRefs: [{name: shop, port: 8080}]}]
",
    reason: "ForeignRoute",
    words: &[
        "HTTPRoute second is on Service shop",
        "delete it",
        "spec.waivers: [ForeignRoute]",
    ],
};

/// Behind an `HTTPRoute` a waypoint leaves it aside; alone it would answer other requests with 404.
const GRPC_ROUTE: Foreign = Foreign {
    kind: "gateway.networking.k8s.io/v1/GRPCRoute",
    name: "calls",
    yaml: "apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: {name: calls, namespace: NAMESPACE}
spec:
  parentRefs: [{group: '', kind: Service, name: shop}]
  rules: [{matches: [{method: {service: shop.Cart}}], backendRefs: [{name: shop, port: 8080}]}]
",
    reason: "ForeignRoute",
    words: &[
        "GRPCRoute calls is on Service shop",
        "spec.waivers: [ForeignRoute]",
    ],
};

/// Of a host that a waypoint matches and of a path that nobody calls.
const VIRTUAL_SERVICE: Foreign = Foreign {
    kind: "networking.istio.io/v1/VirtualService",
    name: "virtual",
    yaml: "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: virtual, namespace: NAMESPACE}
spec:
  hosts: [shop]
  http: [{route: [{destination: {host: shop, port: {number: 8080}}}]}]
",
    reason: "ForeignRoute",
    words: &[
        "VirtualService virtual",
        "Service shop",
        "spec.waivers: [ForeignRoute]",
    ],
};

const SECOND_SERVICE: Foreign = Foreign {
    kind: "v1/Service",
    name: "also-shop",
    yaml: "apiVersion: v1
kind: Service
metadata: {name: also-shop, namespace: NAMESPACE}
spec: {selector: {app: shop}, ports: [{name: http, port: 80, targetPort: 8080}]}
",
    reason: "SharedPods",
    words: &[
        "Service also-shop selects the same pods as shop",
        "spec.waivers: [SharedPods]",
    ],
};

const INGRESS: Foreign = Foreign {
    kind: HTTP_ROUTE,
    name: "ingress",
    yaml: "apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge, namespace: NAMESPACE}
spec: {gatewayClassName: somebodys, listeners: [{name: http, port: 80, protocol: HTTP}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: ingress, namespace: NAMESPACE}
spec: {parentRefs: [{name: edge}], rules: [{backendRefs: [{name: shop, port: 8080}]}]}
",
    reason: "AroundWaypoint",
    words: &[
        "HTTPRoute ingress leads from Gateway",
        "to Service shop past the waypoint",
        "istio.io/ingress-use-waypoint: \"true\"",
        "spec.waivers: [AroundWaypoint]",
    ],
};

/// What is said of a route that two controllers program.
const TWO_PROGRAMS: [&str; 2] = [
    "io.cilium/gateway-controller and istio.io/",
    "spec.waivers: [ForeignRoute]",
];

/// Each of them keeps Sluice from taking over, by name; gone, or waived, it goes on by itself.
pub(crate) async fn adoption_stops_by_name_until_it_is_alone(stage: &Stage) -> Result<()> {
    let scene = stage.scene("others").await?;
    let v1 = App::new("shop", "v1");
    scene.deploy(&v1).await?;
    let load = scene.load("shop", PORT, 100.0).await?;
    // The other routes alone would answer other requests with 404.
    for foreign in [
        &VIRTUAL_SERVICE,
        &SECOND_ROUTE,
        &GRPC_ROUTE,
        &SECOND_SERVICE,
        &INGRESS,
    ] {
        scene.others(foreign.yaml).await?;
    }
    let policy = e2e::stage::app::quick_policy(stage.cluster.prometheus_url());
    scene.canary("shop", &policy).await?;
    // The first is named; mended, the next one is.
    for foreign in [&SECOND_ROUTE, &GRPC_ROUTE] {
        told(&scene, foreign).await?;
        untouched(&scene).await?;
        scene.delete(foreign.kind, foreign.name).await?;
    }
    // Each waiver is for one kind of danger, and for no other.
    let mut waived = Vec::new();
    for (foreign, waiver) in [
        (&VIRTUAL_SERVICE, "ForeignRoute"),
        (&SECOND_SERVICE, "SharedPods"),
        (&INGRESS, "AroundWaypoint"),
    ] {
        told(&scene, foreign).await?;
        untouched(&scene).await?;
        waived.push(waiver);
        waive(&scene, &waived).await?;
    }
    scene
        .phase("shop", Phase::Succeeded, Duration::from_secs(30))
        .await?;
    // Unwaived each is told again, and the other way to mend it holds as well.
    waive(&scene, &[]).await?;
    for foreign in [&VIRTUAL_SERVICE, &SECOND_SERVICE] {
        told(&scene, foreign).await?;
        scene.delete(foreign.kind, foreign.name).await?;
    }
    told(&scene, &INGRESS).await?;
    let label = json!({"metadata": {"labels": {"istio.io/ingress-use-waypoint": "true"}}});
    let merge = Patch::Merge(label);
    scene
        .of_kind("v1/Service")?
        .patch("shop", &PatchParams::default(), &merge)
        .await?;
    at_rest(&scene).await?;
    no_failure(&load.stop().await)?;
    scene.close().await
}

/// A route that was left serving is programmed by a second controller meanwhile: the Canary that takes it up moves
/// nothing until that is waived.
pub(crate) async fn a_route_left_serving_is_taken_up_when_one_programs_it(
    stage: &Stage,
) -> Result<()> {
    let scene = stage.scene("others-left").await?;
    let v1 = App::new("shop", "v1");
    scene.deploy(&v1).await?;
    let load = scene.load("shop", PORT, 100.0).await?;
    scene
        .adopt(&v1, "steps: [{weight: 50%, bake: 20s}]\n")
        .await?;
    let old = scene.revision_of(&v1).await?;
    // Git's template is not the one that serves: that one stays as the Canary goes.
    let v2 = v1.tagged("v2");
    scene.deploy(&v2).await?;
    scene.at_step(&v2, 1, Duration::from_secs(20)).await?;
    scene
        .api::<Canary>()
        .delete("shop", &DeleteParams::default())
        .await?;
    scene.canary_gone("shop", Duration::from_secs(40)).await?;
    says_who_programs(&scene, true).await?;
    let left = scene.weights("shop").await?;
    ensure!(left == Shares::from([(old.clone(), 100.0)]), "{left:?}");

    let policy = e2e::stage::app::quick_policy(stage.cluster.prometheus_url());
    let routed = scene.record_weights("shop").await?;
    scene.canary("shop", &policy).await?;
    says_blocked(&scene, "ForeignRoute", &TWO_PROGRAMS).await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let said = routed.all();
    ensure!(
        said.iter().all(|seen| seen.what.weights == left),
        "traffic was moved: {said:?}"
    );
    waive(&scene, &["ForeignRoute"]).await?;
    let end = scene.outcome(&v2, Duration::from_secs(40)).await?;
    serves(&end, &scene.revision_of(&v2).await?)?;
    finish(load).await?;
    scene.close().await
}

/// What appears after adoption is told by a condition; the traffic stays where it is, no rollout grows,
/// and all goes on by itself when it is gone.
pub(crate) async fn what_comes_later_is_told_and_takes_no_traffic(stage: &Stage) -> Result<()> {
    let scene = stage.scene("others-later").await?;
    let v1 = App::new("shop", "v1");
    scene.deploy(&v1).await?;
    let load = scene.load("shop", PORT, 100.0).await?;
    scene
        .adopt(
            &v1,
            "steps: [{weight: 20%, bake: 2s}, {weight: 60%, bake: 1s}]\n",
        )
        .await?;
    let old = scene.revision_of(&v1).await?;
    let routed = scene.record_weights("shop").await?;
    let pods = scene.record_ready("app=shop").await?;
    for foreign in [&SECOND_ROUTE, &GRPC_ROUTE, &SECOND_SERVICE, &INGRESS] {
        scene.others(foreign.yaml).await?;
        told(&scene, foreign).await?;
        scene.delete(foreign.kind, foreign.name).await?;
        at_rest(&scene).await?;
    }
    says_who_programs(&scene, true).await?;
    says_blocked(&scene, "ForeignRoute", &TWO_PROGRAMS).await?;
    says_who_programs(&scene, false).await?;
    at_rest(&scene).await?;
    let weights = routed
        .all()
        .last()
        .context("no route")?
        .what
        .weights
        .clone();
    ensure!(weights.get(&old) == Some(&100.0), "{weights:?}");

    // In mid-rollout: no step more, and none less.
    let v2 = v1.tagged("v2");
    scene.deploy(&v2).await?;
    let new = scene.at_step(&v2, 1, Duration::from_secs(30)).await?;
    scene.others(VIRTUAL_SERVICE.yaml).await?;
    told(&scene, &VIRTUAL_SERVICE).await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let share = scene.weights("shop").await?.get(&new).copied();
    ensure!(share == Some(20.0), "{new} has {share:?}");
    scene
        .delete(VIRTUAL_SERVICE.kind, VIRTUAL_SERVICE.name)
        .await?;
    let end = scene.outcome(&v2, Duration::from_secs(40)).await?;
    serves(&end, &new)?;
    let fewest = pods.all().into_iter().map(|seen| seen.what).min();
    ensure!(fewest >= Some(1), "{fewest:?} pods were ready");
    finish(load).await?;
    scene.close().await
}

async fn waive(scene: &Scene<'_>, waivers: &[&str]) -> Result<()> {
    let waivers = json!({"spec": {"waivers": waivers}});
    scene.patch("shop", &waivers).await
}

async fn finish(load: Load) -> Result<()> {
    no_failure(&load.stop().await)
}

async fn told(scene: &Scene<'_>, foreign: &Foreign) -> Result<()> {
    says_blocked(scene, foreign.reason, foreign.words).await
}

/// Waits until the conditions say that a person must mend something, and what.
async fn says_blocked(scene: &Scene<'_>, reason: &str, words: &[&str]) -> Result<()> {
    let status = scene
        .until("shop", reason, SOON, |status| {
            let ready = condition(status, "Ready").ok()?;
            let stalled = condition(status, "Stalled").ok()?;
            let is_told = words.iter().all(|word| ready.message.contains(word));
            let is_so = ready.status == "False" && stalled.status == "True";
            (is_told && is_so && ready.reason == reason).then(|| status.clone())
        })
        .await?;
    says(&condition(&status, "Stalled")?.message, words)
}

async fn at_rest(scene: &Scene<'_>) -> Result<()> {
    scene
        .until("shop", "at rest again", SOON, |status| {
            let ready = condition(status, "Ready").ok()?;
            let stalled = condition(status, "Stalled").is_ok();
            (ready.status == "True" && !stalled).then_some(())
        })
        .await
}

/// Nothing was taken over.
async fn untouched(scene: &Scene<'_>) -> Result<()> {
    tokio::time::sleep(Duration::from_secs(1)).await;
    let routes = scene.routes("shop").await?.len();
    let (snapshots, replicas) = (
        scene.snapshots("shop").await?.len(),
        scene.replicas("shop").await?,
    );
    ensure!(
        (routes, snapshots, replicas) == (0, 0, 1),
        "{routes} routes, {snapshots} revisions, {replicas} replicas of the Deployment"
    );
    Ok(())
}

/// Another controller writes its word into our route's status, or takes it away.
async fn says_who_programs(scene: &Scene<'_>, two: bool) -> Result<()> {
    const OTHER: &str = "io.cilium/gateway-controller";
    let api = scene.of_kind(HTTP_ROUTE)?;
    eventually("the status written", SOON, async || {
        let mut routes = scene.routes("shop").await?.into_iter();
        let mut route = routes.next().context("no route")?;
        let name = route.metadata.name.clone().unwrap_or_default();
        let parents = route
            .data
            .pointer_mut("/status/parents")
            .and_then(Value::as_array_mut);
        let parents = parents.context("no status")?;
        parents.retain(|parent| parent.get("controllerName") != Some(&json!(OTHER)));
        if two {
            let mut own = parents.first().context("nobody took the route")?.clone();
            *own.get_mut("controllerName").context("no name")? = OTHER.into();
            parents.push(own);
        }
        let params = PostParams {
            field_manager: Some("cilium-operator".to_owned()),
            ..PostParams::default()
        };
        let written = api.replace_status(&name, &params, &route).await;
        // istiod may have written in between.
        Ok(written.map(|_| ()))
    })
    .await
}
