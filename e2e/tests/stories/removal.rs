//! The app itself is removed: nothing of ours stays behind, and nothing hangs.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::stage::{App, Scene, Stage, app, eventually};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Namespace, Pod, Service};
use kube::Api;
use kube::api::{DeleteParams, ListParams};
use sluice_crds::{Canary, Phase};
use tokio::time::Instant;

/// From the first deletion until all is gone, pods too.
const MOST: Duration = Duration::from_secs(30);
/// Between two objects of an app.
const PAUSE: Duration = Duration::from_millis(300);
/// One pod each, and a step that outlasts the story.
const POLICY: &str = "replicas: 1\nsteps: [{weight: 50%, bake: 5m}]\n";

#[derive(Clone, Copy, Debug)]
enum Part {
    Canary,
    Deployment,
    Service,
}
use Part::{Canary as C, Deployment as D, Service as S};

/// Every order of three.
const ORDERS: [[Part; 3]; 6] = [
    [C, D, S],
    [C, S, D],
    [D, C, S],
    [D, S, C],
    [S, C, D],
    [S, D, C],
];

/// Canary, Deployment and Service go one after the other, in every order; every second app is in the middle of
/// a rollout.
pub(crate) async fn in_every_order(stage: &Stage) -> Result<()> {
    let scene = stage.scene("removal").await?;
    let apps = apps(&scene, ORDERS.len()).await?;
    let begun = Instant::now();
    let each = apps.iter().zip(ORDERS);
    futures::future::try_join_all(each.map(|(app, order)| remove(&scene, app, order))).await?;
    for app in &apps {
        nothing_left(&scene, app, begun).await?;
    }
    scene.close().await
}

/// The whole namespace goes, and its policy with it: creating is refused from then on. One app is suspended.
pub(crate) async fn with_its_namespace(stage: &Stage) -> Result<()> {
    let scene = stage.scene("removal-namespace").await?;
    let apps = apps(&scene, 3).await?;
    let suspended = apps.last().context("no app")?;
    scene.suspend(&suspended.name, true).await?;
    let begun = Instant::now();
    let namespaces: Api<Namespace> = Api::all(scene.client());
    namespaces
        .delete(&scene.namespace, &DeleteParams::default())
        .await?;
    for app in &apps {
        nothing_left(&scene, app, begun).await?;
    }
    let left = MOST.saturating_sub(begun.elapsed());
    eventually("the namespace gone", left, async || {
        let namespace = namespaces.get_opt(&scene.namespace).await?;
        Ok(namespace.map_or(Ok(()), |left| Err(format!("{:?}", left.status))))
    })
    .await?;
    scene.close().await
}

/// Adopted apps that follow a policy of their namespace; every second one is in a rollout.
async fn apps(scene: &Scene<'_>, count: usize) -> Result<Vec<App>> {
    let policy = app::merged(&app::quick_policy(scene.stage.cluster.prometheus_url()), "");
    let policy = policy.replace('\n', "\n  ");
    let yaml = format!(
        "apiVersion: sluice.dev/v1alpha1
kind: CanaryPolicy
metadata: {{name: default, namespace: {}}}
spec:
  {}",
        scene.namespace,
        policy.trim_end()
    );
    scene.stage.cluster.apply(&yaml).await?;
    let apps: Vec<_> = (0..count)
        .map(|n| App::new(&format!("shop-{n}"), "v1"))
        .collect();
    for app in &apps {
        scene.deploy(app).await?;
        scene.canary(&app.name, POLICY).await?;
    }
    for app in &apps {
        scene
            .phase(&app.name, Phase::Succeeded, Duration::from_mins(1))
            .await?;
    }
    for app in apps.iter().step_by(2) {
        let v2 = app.tagged("v2");
        scene.deploy(&v2).await?;
        scene.at_step(&v2, 1, Duration::from_secs(30)).await?;
    }
    Ok(apps)
}

async fn remove(scene: &Scene<'_>, app: &App, order: [Part; 3]) -> Result<()> {
    let params = DeleteParams::default();
    for part in order {
        match part {
            Part::Canary => drop(scene.api::<Canary>().delete(&app.name, &params).await?),
            Part::Deployment => drop(scene.api::<Deployment>().delete(&app.name, &params).await?),
            Part::Service => drop(scene.api::<Service>().delete(&app.name, &params).await?),
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

/// Waits until the Canary, everything that has its label, and the app's pods are gone.
async fn nothing_left(scene: &Scene<'_>, app: &App, begun: Instant) -> Result<()> {
    let name = &app.name;
    let left = || MOST.saturating_sub(begun.elapsed());
    eventually(&format!("Canary {name} gone"), left(), async || {
        let canary = scene.api::<Canary>().get_opt(name).await?;
        let text = |canary: Canary| format!("{:?}", canary.status.map(|s| s.conditions));
        Ok(canary.map_or(Ok(()), |canary| Err(text(canary))))
    })
    .await?;
    scene.only_left(name, &[], left()).await?;
    let pods = ListParams::default().labels(&format!("app={name}"));
    eventually(&format!("no pod of {name} left"), left(), async || {
        let pods = scene.api::<Pod>().list(&pods).await?.items.len();
        Ok(if pods == 0 { Ok(()) } else { Err(pods) })
    })
    .await?;
    let took = begun.elapsed();
    ensure!(took <= MOST, "{name} was gone after {took:?}");
    Ok(())
}
