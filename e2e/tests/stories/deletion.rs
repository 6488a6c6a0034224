//! The Canary goes, the app stays: the version that serves and its ready pods are the same before, during and
//! after, whoever deletes it, however and when.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::cluster::Shares;
use e2e::load::Load;
use e2e::stage::{App, Recording, Scene, Stage, app, no_failure, says};
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{DeleteParams, PropagationPolicy};
use serde_json::json;
use sluice_crds::{Canary, Phase, annotations};

const REPLICAS: usize = 3;
const RATE: f64 = 300.0;
/// All pods of the app; and those of its own Deployment.
const PODS: &str = "app=shop";
const OWN_PODS: &str = "app=shop,!sluice.dev/revision";
/// A first step that outlasts what happens in it.
const LONG_STEP: &str = "replicas: 3\nsteps: [{weight: 20%, bake: 20s}]\nminRequests: 20\n";
const SHORT_STEP: &str = "replicas: 3\nsteps: [{weight: 20%, bake: 1s}]\nminRequests: 20\n";

/// Git's template is the one that serves, and the Canary is deleted as Argo CD prunes it, or without what depends on
/// it: the Deployment's own pods come back before the route goes.
pub(crate) async fn when_git_has_what_serves(stage: &Stage) -> Result<()> {
    tokio::try_join!(
        at_rest(stage, "deletion", PropagationPolicy::Foreground),
        at_rest(stage, "deletion-orphan", PropagationPolicy::Orphan),
    )?;
    Ok(())
}

async fn at_rest(stage: &Stage, name: &str, propagation: PropagationPolicy) -> Result<()> {
    let scene = stage.scene(name).await?;
    let (_, load) = adopted(&scene, SHORT_STEP).await?;
    let (pods, own) = (
        scene.record_ready(PODS).await?,
        scene.record_ready(OWN_PODS).await?,
    );
    let routed = scene.record_weights("shop").await?;
    delete(&scene, propagation).await?;
    scene.canary_gone("shop", Duration::from_secs(40)).await?;
    // Pods end a moment after their Deployment.
    scene
        .only_left("shop", &[], Duration::from_secs(15))
        .await?;
    let last = routed.all().into_iter().next_back();
    let gone_at = last.filter(|seen| seen.what.weights.is_empty());
    let gone_at = gone_at.context("the route is still there")?.at;
    let before = own.all().into_iter().take_while(|seen| seen.at <= gone_at);
    let back = before.last().map(|seen| seen.what);
    ensure!(
        back == Some(REPLICAS),
        "{back:?} of the Deployment's pods ready as the route went"
    );
    ensure!(scene.replicas("shop").await? == 3, "another size");
    end(scene, load, &pods, &["v1"]).await
}

/// In the middle of a rollout Git's template is not the one that serves. That one stays, whoever deletes the Canary;
/// made again, it goes on from there.
pub(crate) async fn in_mid_rollout(stage: &Stage) -> Result<()> {
    tokio::try_join!(
        mid_rollout(stage, "deletion-rollout", PropagationPolicy::Orphan),
        mid_rollout(stage, "deletion-pruned", PropagationPolicy::Foreground),
    )?;
    Ok(())
}

async fn mid_rollout(stage: &Stage, name: &str, propagation: PropagationPolicy) -> Result<()> {
    let scene = stage.scene(name).await?;
    let (v1, load) = adopted(&scene, LONG_STEP).await?;
    let old = scene.revision_of(&v1).await?;
    let v2 = v1.tagged("v2");
    scene.deploy(&v2).await?;
    scene.at_step(&v2, 1, Duration::from_secs(20)).await?;
    let (pods, own) = (
        scene.record_ready(PODS).await?,
        scene.record_ready(&of_revision(&old)).await?,
    );
    let routed = scene.record_weights("shop").await?;
    delete(&scene, propagation).await?;
    let words = [old.as_str(), "stay and go on serving"];
    let wait = Duration::from_secs(30);
    scene.told("shop", "Finalising", &words, wait).await?;
    scene.canary_gone("shop", Duration::from_secs(30)).await?;
    let change = "spec.containers[app].image from demo:v1 to demo:v2";
    left_serving(&scene, &old, "Deployment", change).await?;
    let mark = load.now();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let served = load.since(mark).versions;
    ensure!(served.keys().eq(["v1"]), "users meet {served:?}");

    scene.canary("shop", &policy(&scene, SHORT_STEP)).await?;
    let end_of_it = scene.outcome(&v2, Duration::from_secs(40)).await?;
    let new = scene.revision_of(&v2).await?;
    ensure!(
        end_of_it.stable.as_deref() == Some(new.as_str()),
        "v2 did not pass: {end_of_it:?}"
    );
    scene.clean("shop").await?;
    // Its pods leave only after v2 took over, and drain then: until the route was its, all of them were ready.
    let is_taken = |weights: &Shares| *weights == Shares::from([(new.clone(), 100.0)]);
    let said = routed.all();
    let taken_over = said.iter().find(|seen| is_taken(&seen.what.weights));
    let taken_over = taken_over.with_context(|| format!("v2 never took over: {said:?}"))?;
    ensure!(
        said.iter()
            .all(|seen| seen.what.route == taken_over.what.route),
        "more than one route: {said:?}"
    );
    let seen = own.all();
    let (before, after): (Vec<_>, Vec<_>) = seen.iter().partition(|seen| seen.at <= taken_over.at);
    ensure!(
        !before.is_empty() && before.iter().all(|seen| seen.what == REPLICAS),
        "the pods of {old} came and went before v2 took over: {seen:?}"
    );
    ensure!(
        after.is_sorted_by(|a, b| a.what >= b.what)
            && after.last().is_some_and(|last| last.what == 0),
        "the pods of {old} did not leave after v2 took over: {seen:?}"
    );
    end(scene, load, &pods, &["v1", "v2"]).await
}

/// Git asks for what was rejected. What the Event says of how to go on is true: the template reverted, the
/// Canary made again and deleted, all of it is handed over.
pub(crate) async fn after_a_rejection(stage: &Stage) -> Result<()> {
    let scene = stage.scene("deletion-rejected").await?;
    let (v1, load) = adopted(&scene, LONG_STEP).await?;
    let old = scene.revision_of(&v1).await?;
    let v2 = v1.tagged("v2");
    scene.deploy(&v2).await?;
    let new = scene.at_step(&v2, 1, Duration::from_secs(20)).await?;
    scene.order("shop", annotations::ABORT, &new).await?;
    scene
        .phase("shop", Phase::Failed, Duration::from_secs(10))
        .await?;
    let pods = scene.record_ready(PODS).await?;
    delete(&scene, PropagationPolicy::Background).await?;
    scene.canary_gone("shop", Duration::from_secs(40)).await?;
    let change = "spec.containers[app].image from demo:v1 to demo:v2";
    left_serving(&scene, &old, "Deployment", change).await?;

    scene.deploy(&v1).await?;
    scene.canary("shop", &policy(&scene, SHORT_STEP)).await?;
    scene
        .phase("shop", Phase::Succeeded, Duration::from_secs(20))
        .await?;
    scene.clean("shop").await?;
    let status = scene.status("shop").await?;
    ensure!(status.stable.as_deref() == Some(old.as_str()), "{status:?}");
    delete(&scene, PropagationPolicy::Background).await?;
    scene.canary_gone("shop", Duration::from_secs(40)).await?;
    scene
        .only_left("shop", &[], Duration::from_secs(15))
        .await?;
    end(scene, load, &pods, &["v1", "v2"]).await
}

/// Somebody takes the finalizer off in the middle of a rollout: nobody hands anything over, and nothing moves to
/// a version that was not judged. Made again, the Canary takes up what it finds.
pub(crate) async fn with_its_finalizer_forced_off(stage: &Stage) -> Result<()> {
    let scene = stage.scene("deletion-forced").await?;
    let (v1, load) = adopted(&scene, LONG_STEP).await?;
    let old = scene.revision_of(&v1).await?;
    let v2 = v1.tagged("v2");
    scene.deploy(&v2).await?;
    scene.at_step(&v2, 1, Duration::from_secs(20)).await?;
    let pods = scene.record_ready(PODS).await?;
    delete(&scene, PropagationPolicy::Background).await?;
    let none = json!({"metadata": {"finalizers": null}});
    scene.patch("shop", &none).await?;
    scene.canary_gone("shop", Duration::from_secs(5)).await?;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let weights = scene.weights("shop").await?;
    let most = weights.get(&old).copied().unwrap_or_default();
    ensure!(most >= 80.0, "{old} serves no more: {weights:?}");
    ensure!(scene.pods(&old).await?.len() == REPLICAS, "{old} lost pods");

    scene.canary("shop", &policy(&scene, SHORT_STEP)).await?;
    let end_of_it = scene.outcome(&v2, Duration::from_secs(40)).await?;
    let new = scene.revision_of(&v2).await?;
    ensure!(
        end_of_it.stable.as_deref() == Some(new.as_str()),
        "v2 did not pass: {end_of_it:?}"
    );
    scene.clean("shop").await?;
    end(scene, load, &pods, &["v1", "v2"]).await
}

/// A `PodTemplate` has no pods to hand over to: what serves stays, and is taken up again.
pub(crate) async fn of_a_pod_template(stage: &Stage) -> Result<()> {
    let scene = stage.scene("deletion-template").await?;
    let v1 = App::new("shop", "v1");
    template(&scene, &v1).await?;
    scene
        .phase("shop", Phase::Succeeded, Duration::from_secs(30))
        .await?;
    scene.clean("shop").await?;
    let revision = scene.revision_of(&v1).await?;
    let load = scene.load("shop", 8080, RATE).await?;
    let pods = scene.record_ready(PODS).await?;
    delete(&scene, PropagationPolicy::Background).await?;
    scene.canary_gone("shop", Duration::from_secs(30)).await?;
    left_serving(&scene, &revision, "PodTemplate", "").await?;
    template(&scene, &v1).await?;
    scene
        .phase("shop", Phase::Succeeded, Duration::from_secs(30))
        .await?;
    scene.clean("shop").await?;
    let status = scene.status("shop").await?;
    ensure!(
        status.stable.as_deref() == Some(revision.as_str()),
        "{status:?}"
    );
    end(scene, load, &pods, &["v1"]).await
}

/// A `PodTemplate` instead of the app's Deployment, its Service, and a Canary for them.
async fn template(scene: &Scene<'_>, app: &App) -> Result<()> {
    let (name, tag, namespace) = (&app.name, &app.tag, &scene.namespace);
    let yaml = format!(
        "apiVersion: v1
kind: PodTemplate
metadata: {{name: {name}, namespace: {namespace}}}
template:
  metadata: {{labels: {{app: {name}}}}}
  spec:
    terminationGracePeriodSeconds: 10
    containers: [{{name: app, image: \"demo:{tag}\", ports: [{{containerPort: 8080}}]}}]
---
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  selector: {{app: {name}}}
  ports: [{{name: http-8080, port: 8080, targetPort: 8080}}]
---
"
    );
    let canary = app::canary(namespace, name, &policy(scene, SHORT_STEP));
    let canary = canary.replace("kind: Deployment", "kind: PodTemplate");
    scene.stage.cluster.apply(&(yaml + &canary)).await?;
    Ok(())
}

/// An adopted app of three pods, with users.
async fn adopted(scene: &Scene<'_>, more: &str) -> Result<(App, Load)> {
    let mut app = App::new("shop", "v1");
    app.replicas = Some(3);
    scene.deploy(&app).await?;
    scene.settled("shop", 3).await?;
    let load = scene.load("shop", 8080, RATE).await?;
    scene.adopt(&app, more).await?;
    // As the condition says: the size is the Canary's from here on.
    app.replicas = None;
    scene.deploy(&app).await?;
    scene
        .told("shop", "Promoted", &[], Duration::from_secs(10))
        .await?;
    scene.clean("shop").await?;
    Ok((app, load))
}

async fn delete(scene: &Scene<'_>, propagation: PropagationPolicy) -> Result<()> {
    let params = DeleteParams {
        propagation_policy: Some(propagation),
        ..DeleteParams::default()
    };
    scene.api::<Canary>().delete("shop", &params).await?;
    Ok(())
}

/// Only this revision and the route are left, all requests are its own, and a warning says so, and what Git would
/// change of it.
async fn left_serving(scene: &Scene<'_>, revision: &str, source: &str, change: &str) -> Result<()> {
    let wait = Duration::from_secs(15);
    scene.only_left("shop", &[revision], wait).await?;
    let weights = scene.weights("shop").await?;
    ensure!(
        weights.len() == 1 && weights.get(revision) == Some(&100.0),
        "{weights:?}"
    );
    let target = scene.api::<Deployment>().get_opt("shop").await?;
    let replicas = target.and_then(|target| target.spec?.replicas);
    ensure!(replicas.is_none_or(|n| n == 0), "the target has pods");
    let start = format!("LeftServing: {revision} goes on serving");
    let words = [start.as_str(), "create the Canary again", change];
    for kind in ["Canary", source] {
        let events = scene.events_of(kind, "shop").await?.join("\n");
        says(&events, &words).with_context(|| kind.to_owned())?;
    }
    Ok(())
}

/// No user noticed, no pod was missing, and only these versions answered.
async fn end(
    scene: Scene<'_>,
    load: Load,
    pods: &Recording<usize>,
    versions: &[&str],
) -> Result<()> {
    let report = load.stop().await;
    no_failure(&report)?;
    let served = &report.totals.versions;
    ensure!(
        served
            .keys()
            .all(|version| versions.contains(&version.as_str())),
        "users met {served:?}"
    );
    pods.never_below(REPLICAS)?;
    scene.close().await
}

fn of_revision(revision: &str) -> String {
    format!("sluice.dev/revision={revision}")
}

fn policy(scene: &Scene<'_>, more: &str) -> String {
    app::merged(
        &app::quick_policy(scene.stage.cluster.prometheus_url()),
        more,
    )
}
