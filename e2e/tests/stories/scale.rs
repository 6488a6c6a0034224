//! Whoever scales, scales the Canary: a person, or an autoscaler. It has as many pods as it should, at
//! every moment of a rollout.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::stage::{
    App, Recording, Scene, Stage, condition, eventually, is_ready, no_failure, says, serves,
};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use kube::api::{Api, Patch, PatchParams, PostParams};
use serde_json::json;
use sluice_crds::{Canary, CanaryStatus, Phase};

const SOON: Duration = Duration::from_secs(15);
const SPEC: &str =
    "replicas: 2\ndrainDelay: 3s\nsteps: [{weight: 20%, bake: 6s}, {weight: 50%, bake: 2s}]\n";

/// Up and down between rollouts; up and down in the middle of one: the stable revision never shrinks
/// before the drain is over, and the candidate is as large as its next weight asks. No request fails.
pub(crate) async fn by_hand_between_and_in_rollouts(stage: &Stage) -> Result<()> {
    let scene = stage.scene("scale").await?;
    let v1 = scaled_in_use();
    scene.deploy(&v1).await?;
    let load = scene.load("shop", 8080, 200.0).await?;
    scene.adopt(&v1, SPEC).await?;
    let old = scene.revision_of(&v1).await?;
    scaled(&scene, &old, 4).await?;
    scaled(&scene, &old, 3).await?;

    let sizes = scene.record_replicas("shop").await?;
    let v2 = v1.tagged("v2");
    scene.deploy(&v2).await?;
    let new = scene.at_step(&v2, 1, Duration::from_secs(30)).await?;
    ensure!(scene.replicas(&new).await? == 1, "20% of 3 pods is one");
    scene.scale("shop", 6).await?;
    asks_for(&scene, &old, 6).await?;
    asks_for(&scene, &new, 2).await?;
    scene.scale("shop", 2).await?;
    let end = scene.outcome(&v2, Duration::from_mins(1)).await?;
    serves(&end, &new)?;
    asks_for(&scene, &new, 2).await?;
    counted(&scene, 2).await?;

    // 20% of 6, 50% of 6, all of 6, and what was asked for once the old pods are gone.
    ensure!(
        history(&sizes, &old) == [3, 6, 0],
        "{old}: {:?}",
        sizes.all()
    );
    ensure!(
        history(&sizes, &new) == [1, 2, 3, 6, 2],
        "{new}: {:?}",
        sizes.all()
    );
    let shrunk = |name: &str, to: i32| {
        let seen = sizes.all();
        let found = seen
            .iter()
            .rev()
            .find(|seen| seen.what == (name.to_owned(), to));
        found.map(|seen| seen.at).context("never shrunk")
    };
    ensure!(
        shrunk(&new, 2)? >= shrunk(&old, 0)?,
        "{new} shrank before {old} was drained"
    );
    no_failure(&load.stop().await)?;
    scene.close().await
}

/// At 0 nothing runs, and nothing new is started; once it is more, what was there serves again, and
/// what is new is brought to users as ever.
pub(crate) async fn to_nothing_and_back(stage: &Stage) -> Result<()> {
    let scene = stage.scene("scale-zero").await?;
    let v1 = App::new("shop", "v1");
    // Scaled to 0 from the start: nothing is taken over, and what serves goes on.
    scene.deploy(&v1).await?;
    let load = scene.load("shop", 8080, 100.0).await?;
    let policy = e2e::stage::app::quick_policy(stage.cluster.prometheus_url());
    let zero = e2e::stage::app::merged(&policy, "replicas: 0\nprogressDeadline: 10s\n");
    scene.canary("shop", &zero).await?;
    scene
        .until("shop", "scaled to zero", SOON, |status| {
            waits(status).map(drop)
        })
        .await?;
    tokio::time::sleep(Duration::from_secs(12)).await;
    ensure!(scene.routes("shop").await?.is_empty(), "a route to nothing");
    ensure!(scene.replicas("shop").await? == 1, "the target was scaled");
    scene.scale("shop", 2).await?;
    scene
        .phase("shop", Phase::Succeeded, Duration::from_secs(30))
        .await?;
    let old = scene.revision_of(&v1).await?;
    no_failure(&load.stop().await)?;

    scene.scale("shop", 0).await?;
    scene.pods_gone(&old, SOON).await?;
    let routed = scene.weights("shop").await?;
    ensure!(
        routed.get(&old) == Some(&100.0),
        "the route says {routed:?}"
    );
    let v2 = v1.tagged("v2");
    scene.deploy(&v2).await?;
    let new = scene.revision_of(&v2).await?;
    let told = scene.until("shop", "scaled to zero", SOON, waits).await?;
    says(&told, &["spec.replicas is 0", &new])?;
    // Longer than the deadline, which does not count: nobody is to blame.
    tokio::time::sleep(Duration::from_secs(12)).await;
    ensure!(scene.pods(&new).await?.is_empty(), "{new} runs at 0");
    scene.until("shop", "still waiting", SOON, waits).await?;

    scene.scale("shop", 2).await?;
    ready_pods(&scene, &old, 2).await?;
    let load = scene.load("shop", 8080, 200.0).await?;
    let end = scene.outcome(&v2, Duration::from_secs(40)).await?;
    serves(&end, &new)?;
    no_failure(&load.stop().await)?;
    scene.close().await
}

/// The real autoscaler, with the Canary as its target: without metrics it keeps to its limits.
pub(crate) async fn by_an_autoscaler(stage: &Stage) -> Result<()> {
    let scene = stage.scene("scale-hpa").await?;
    let v1 = scaled_in_use();
    scene.deploy(&v1).await?;
    let load = scene.load("shop", 8080, 200.0).await?;
    scene.adopt(&v1, SPEC).await?;
    let old = scene.revision_of(&v1).await?;
    let api: Api<HorizontalPodAutoscaler> = scene.api();
    let target = json!({"apiVersion": "sluice.dev/v1alpha1", "kind": "Canary", "name": "shop"});
    let cpu = json!({"type": "Utilization", "averageUtilization": 50});
    let hpa = serde_json::from_value(json!({
        "metadata": {"name": "shop"},
        "spec": {
            "scaleTargetRef": target,
            "minReplicas": 3,
            "maxReplicas": 5,
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": cpu}}],
        },
    }))?;
    api.create(&PostParams::default(), &hpa).await?;
    ready_pods(&scene, &old, 3).await?;
    // What it says of its target: it read the Canary's scale, and found the selector.
    let able = async || {
        let status = api.get("shop").await?.status.unwrap_or_default();
        let able = status
            .conditions
            .iter()
            .flatten()
            .any(|c| c.type_ == "AbleToScale" && c.status == "True");
        let right = able && status.current_replicas == Some(3) && status.desired_replicas == 3;
        Ok(if right {
            Ok(())
        } else {
            Err(format!("{status:?}"))
        })
    };
    eventually("the autoscaler knows 3 pods", SOON, able).await?;

    let v2 = v1.tagged("v2");
    scene.deploy(&v2).await?;
    let new = scene.at_step(&v2, 1, Duration::from_secs(30)).await?;
    let smaller = json!({"spec": {"minReplicas": 1, "maxReplicas": 2}});
    api.patch("shop", &PatchParams::default(), &Patch::Merge(&smaller))
        .await?;
    let asked = async || {
        let replicas = scene.api::<Canary>().get("shop").await?.spec.replicas;
        Ok(if replicas == Some(2) {
            Ok(())
        } else {
            Err(format!("{replicas:?}"))
        })
    };
    eventually("the autoscaler asks for 2", SOON, asked).await?;
    ensure!(
        scene.replicas(&old).await? == 3,
        "{old} shrank in the rollout"
    );
    let end = scene.outcome(&v2, Duration::from_mins(1)).await?;
    serves(&end, &new)?;
    asks_for(&scene, &new, 2).await?;
    no_failure(&load.stop().await)?;
    scene.close().await
}

/// Pods of a revision that serves go when somebody asks for fewer, as those of any Deployment do: a proxy that
/// hears late of it calls them for as long, and they need a `preStop` sleep, here as in production. (Seven that
/// went at once without one, on a busy machine: 11 requests failed.) Stories about drains have none: there it would
/// hide one that is too short.
fn scaled_in_use() -> App {
    App {
        pre_stop: Some(3),
        ..App::new("shop", "v1")
    }
}

/// Scales between rollouts; waits until the pods are there, and nothing but their number changed.
async fn scaled(scene: &Scene<'_>, stable: &str, replicas: i32) -> Result<()> {
    let generation = route_generation(scene).await?;
    scene.scale("shop", replicas).await?;
    asks_for(scene, stable, replicas).await?;
    ready_pods(scene, stable, usize::try_from(replicas)?).await?;
    counted(scene, replicas).await?;
    let status = scene.status("shop").await?;
    ensure!(condition(&status, "Ready")?.status == "True", "{status:?}");
    ensure!(
        generation == route_generation(scene).await?,
        "the route was written"
    );
    Ok(())
}

/// The scale subresource, as an autoscaler reads it: pods asked for, pods there are, and which.
async fn counted(scene: &Scene<'_>, replicas: i32) -> Result<()> {
    let look = async || {
        let scale = scene.api::<Canary>().get_scale("shop").await?;
        let asked = scale.spec.and_then(|spec| spec.replicas);
        let status = scale.status.unwrap_or_default();
        let selector = status.selector.as_deref();
        let right = asked == Some(replicas)
            && status.replicas == replicas
            && selector == Some("sluice.dev/canary=shop");
        Ok(if right {
            Ok(())
        } else {
            Err(format!("{asked:?}, {status:?}"))
        })
    };
    eventually(&format!("a scale of {replicas}"), SOON, look).await
}

async fn asks_for(scene: &Scene<'_>, revision: &str, replicas: i32) -> Result<()> {
    let look = async || {
        let now = scene.replicas(revision).await?;
        Ok(if now == replicas { Ok(()) } else { Err(now) })
    };
    eventually(&format!("{revision} asks for {replicas} pods"), SOON, look).await
}

async fn ready_pods(scene: &Scene<'_>, revision: &str, wanted: usize) -> Result<()> {
    let look = async || {
        let ready = scene
            .pods(revision)
            .await?
            .iter()
            .filter(|pod| is_ready(pod))
            .count();
        Ok(if ready == wanted { Ok(()) } else { Err(ready) })
    };
    eventually(&format!("{wanted} ready pods of {revision}"), SOON, look).await
}

async fn route_generation(scene: &Scene<'_>) -> Result<Option<i64>> {
    let routes = scene.routes("shop").await?;
    Ok(routes.first().context("no route")?.metadata.generation)
}

/// The sizes that a revision's Deployment had, in order.
fn history(sizes: &Recording<(String, i32)>, revision: &str) -> Vec<i32> {
    let seen = sizes.all();
    let own = seen.iter().filter(|seen| seen.what.0 == revision);
    own.map(|seen| seen.what.1).collect()
}

/// The message of a Canary that waits because it is scaled to nothing.
fn waits(status: &CanaryStatus) -> Option<String> {
    let ready = condition(status, "Ready").ok()?;
    (ready.reason == "ScaledToZero").then(|| ready.message.clone())
}
