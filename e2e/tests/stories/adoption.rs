//! Taking a running Deployment over: whoever sets its size, there are never fewer ready pods than before, and
//! the words of the condition lead to a state in which nothing is left to say.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::load::Load;
use e2e::stage::{App, Recording, Scene, Stage, app, eventually, no_failure, says};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use sluice_crds::{Canary, Phase};

/// The size of the Deployment.
const REPLICAS: usize = 3;
/// `drainDelay` of the stories' policy.
const DRAIN: Duration = Duration::from_secs(2);
const RATE: f64 = 300.0;
/// All pods of the app; and those of its own Deployment.
const PODS: &str = "app=shop";
const OWN_PODS: &str = "app=shop,!sluice.dev/revision";
/// What the condition says once Git may drop the size.
const NOW: &str = "now remove spec.replicas from Deployment shop in Git";

/// Git says `replicas: 3`. The first revision serves, the Deployment's own pods stay, through a rollout too, and it is
/// told. They leave when Git drops the size, and nothing is put back by anybody.
pub(crate) async fn with_its_size_in_git(stage: &Stage) -> Result<()> {
    let scene = stage.scene("adoption").await?;
    let (app, load, pods) = running(&scene, Some(3)).await?;
    let size = scene.record_size("shop").await?;
    let routed = scene.record_weights("shop").await?;
    scene
        .canary("shop", &policy(&scene, "suspend: true\n"))
        .await?;
    let told = scene.record_canary("shop").await?;
    let status = scene.adopt(&app, "").await?;
    let revision = scene.revision_of(&app).await?;
    ensure!(
        status.stable.as_deref() == Some(revision.as_str()),
        "{status:?}"
    );
    ensure!(
        scene.pods(&revision).await?.len() == REPLICAS,
        "not the size that Git asks for"
    );
    let wait = Duration::from_secs(5);
    let words = [
        NOW,
        "e2e",
        "set spec.replicas: 3 on this Canary",
        "3 pods run",
    ];
    scene.told("shop", "ReplicasInGit", &words, wait).await?;
    let served_at = routed.all().first().context("no route")?.at;
    let told_at = told.all().into_iter().find(|seen| says_now(&seen.what));
    let waited = told_at.context("never told")?.at - served_at;
    ensure!(waited >= DRAIN, "told {waited:?} after the route came");

    // Git goes on: its own pods follow, and serve nobody.
    let v2 = app.tagged("v2");
    scene.deploy(&v2).await?;
    let wait = Duration::from_secs(30);
    scene.outcome(&v2, wait).await?;
    scene.told("shop", "ReplicasInGit", &words, wait).await?;
    scene.settled("shop", 3).await?;
    answers_nothing(&scene).await?;
    ensure!(sizes(&size) == [3], "Sluice wrote what Git keeps");

    // Just as told: `adopt` applies what Git holds.
    let mut followed = v2.clone();
    followed.replicas = None;
    scene.deploy(&followed).await?;
    scene
        .canary("shop", &policy(&scene, "replicas: 3\n"))
        .await?;
    let wait = Duration::from_secs(10);
    scene.told("shop", "Promoted", &[], wait).await?;
    scene.clean("shop").await?;

    // Git says it once more.
    scene.deploy(&v2).await?;
    let words = [NOW, "e2e applies it"];
    scene.told("shop", "ReplicasInGit", &words, wait).await?;
    scene.settled("shop", 3).await?;
    answers_nothing(&scene).await?;
    scene.deploy(&followed).await?;
    scene.told("shop", "Promoted", &[], wait).await?;
    scene.clean("shop").await?;
    // Nobody owned the size beside Git, and the API server made it 1 for a moment: of pods that serve nobody.
    ensure!(
        sizes(&size) == [3, 1, 0, 3, 1, 0],
        "the Deployment had {:?} replicas",
        sizes(&size)
    );
    let events = scene.events("shop").await?.join("\n");
    ensure!(!events.contains("TargetRestored"), "put back: {events}");
    end(scene, load, &pods).await
}

/// Git drops the size before it was told to: the API server would make it 1.
pub(crate) async fn with_its_size_dropped_too_early(stage: &Stage) -> Result<()> {
    let scene = stage.scene("adoption-early").await?;
    let (app, load, pods) = running(&scene, Some(3)).await?;
    let size = scene.record_size("shop").await?;
    scene
        .canary("shop", &policy(&scene, "drainDelay: 4s\n"))
        .await?;
    let wait = Duration::from_secs(10);
    eventually("Sluice owns the size too", wait, async || {
        let owners = scene.owners_of_size("shop").await?;
        Ok(if owners.contains(&"sluice".to_owned()) {
            Ok(())
        } else {
            Err(format!("{owners:?}"))
        })
    })
    .await?;
    let mut dropped = app.clone();
    dropped.replicas = None;
    scene.deploy(&dropped).await?;
    let owners = scene.owners_of_size("shop").await?;
    ensure!(owners == ["sluice"], "Git did not drop it: {owners:?}");
    scene
        .phase("shop", Phase::Succeeded, Duration::from_secs(30))
        .await?;
    scene.clean("shop").await?;
    let sizes = sizes(&size);
    ensure!(sizes == [3, 0], "the Deployment had {sizes:?} replicas");
    end(scene, load, &pods).await
}

/// Somebody scales the emptied Deployment again and again, by its scale alone: put back once, then left and reported by
/// name. The pods that are started serve nobody.
pub(crate) async fn with_a_hand_going_on(stage: &Stage) -> Result<()> {
    let scene = stage.scene("adoption-contest").await?;
    let (app, load, pods) = scaled_by_hand(&scene).await?;
    scene.adopt(&app, "replicas: 3\n").await?;
    scene.clean("shop").await?;

    let size = scene.record_size("shop").await?;
    scene.scale_target("shop", 3).await?;
    let wait = Duration::from_secs(10);
    eventually("set by hand, and put back", wait, async || {
        let seen = sizes(&size);
        Ok(if seen == [0, 3, 0] {
            Ok(())
        } else {
            Err(format!("{seen:?}"))
        })
    })
    .await?;
    scene.clean("shop").await?;
    let events = scene.events("shop").await?.join("\n");
    says(
        &events,
        &["TargetRestored: kubectl set spec.replicas", "to 3"],
    )?;

    scene.scale_target("shop", 3).await?;
    let words = [
        "kubectl set spec.replicas",
        "to 3 again",
        "remove spec.replicas",
    ];
    scene
        .told("shop", "ReplicasContested", &words, wait)
        .await?;
    scene.settled("shop", 3).await?;
    tokio::time::sleep(DRAIN + Duration::from_secs(2)).await;
    ensure!(scene.replicas("shop").await? == 3, "they write in turn");
    let status = scene.status("shop").await?;
    ensure!(status.phase == Some(Phase::Succeeded), "{status:?}");
    answers_nothing(&scene).await?;

    scene.scale_target("shop", 0).await?;
    scene.told("shop", "Promoted", &[], wait).await?;
    scene.clean("shop").await?;
    end(scene, load, &pods).await
}

/// Git says nothing of the size, a person has set it: nothing is left to do, and Git changes nothing.
pub(crate) async fn without_its_size_in_git(stage: &Stage) -> Result<()> {
    let scene = stage.scene("adoption-plain").await?;
    let (app, load, pods) = scaled_by_hand(&scene).await?;
    let status = scene.adopt(&app, "").await?;
    scene.clean("shop").await?;
    let stable = status.stable.context("nothing serves")?;
    ensure!(scene.pods(&stable).await?.len() == REPLICAS, "another size");
    scene.deploy(&app).await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    scene.clean("shop").await?;
    end(scene, load, &pods).await
}

/// An autoscaler set the size. At 0 it is disabled; the condition says where to point it, and there it works, from the
/// size that serves on.
pub(crate) async fn with_an_autoscaler(stage: &Stage) -> Result<()> {
    let scene = stage.scene("adoption-hpa").await?;
    let app = App::new("shop", "v1");
    scene.deploy(&app).await?;
    let autoscaler = format!(
        "apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {{name: cpu, namespace: {}}}
spec:
  scaleTargetRef: {{apiVersion: apps/v1, kind: Deployment, name: shop}}
  minReplicas: 3
  maxReplicas: 5
",
        scene.namespace
    );
    stage.cluster.apply(&autoscaler).await?;
    let (_, load, pods) = running(&scene, None).await?;
    scene.adopt(&app, "").await?;
    let words = [
        "point scaleTargetRef of HorizontalPodAutoscaler cpu at this Canary",
        "apiVersion: sluice.dev/v1alpha1, kind: Canary",
    ];
    let wait = Duration::from_secs(10);
    scene
        .told("shop", "AutoscalerOnTarget", &words, wait)
        .await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    ensure!(scene.replicas("shop").await? == 0, "the autoscaler works");

    // Just as told. The Canary says no size, and one without could not be scaled.
    let canary = json!({"apiVersion": "sluice.dev/v1alpha1", "kind": "Canary", "name": "shop"});
    autoscale(&scene, &json!({"scaleTargetRef": canary})).await?;
    eventually("the Canary says its size", wait, async || {
        let size = scene.api::<Canary>().get("shop").await?.spec.replicas;
        Ok(if size == Some(3) {
            Ok(())
        } else {
            Err(format!("{size:?}"))
        })
    })
    .await?;
    scene.clean("shop").await?;
    autoscale(&scene, &json!({"minReplicas": 4})).await?;
    let revision = scene.revision_of(&app).await?;
    // The controller of autoscalers looks for new kinds, such as Canaries, every 30 s.
    let found = Duration::from_secs(45);
    eventually("four pods by the autoscaler", found, async || {
        let pods = scene.pods(&revision).await?.len();
        Ok(if pods == 4 { Ok(()) } else { Err(pods) })
    })
    .await?;
    scene.clean("shop").await?;
    end(scene, load, &pods).await
}

/// The Deployment is in the middle of a rolling update of its own: that ends first.
pub(crate) async fn in_mid_rolling_update(stage: &Stage) -> Result<()> {
    let scene = stage.scene("adoption-rolling").await?;
    let (app, load, pods) = scaled_by_hand(&scene).await?;
    scene
        .canary("shop", &policy(&scene, "suspend: true\nreplicas: 3\n"))
        .await?;
    let told = scene.record_canary("shop").await?;
    // A pod counts only after so many seconds: the update cannot be over before Sluice looks.
    let slowly = Patch::Merge(json!({"spec": {"minReadySeconds": 2}}));
    scene
        .api::<Deployment>()
        .patch("shop", &PatchParams::default(), &slowly)
        .await?;
    let v2 = app.tagged("v2");
    scene.deploy(&v2).await?;
    scene.adopt(&v2, "replicas: 3\n").await?;
    let waited = told.all().into_iter().any(|seen| {
        let conditions = seen.what.status.unwrap_or_default().conditions;
        conditions.iter().any(|c| c.reason == "TargetNotReady")
    });
    ensure!(waited, "it did not say that it waits: the update was over");
    let revision = scene.revision_of(&v2).await?;
    let snapshots = scene.snapshots("shop").await?.len();
    ensure!(snapshots == 1, "{snapshots} revisions were made");
    scene
        .told("shop", "Promoted", &[&revision], Duration::from_secs(5))
        .await?;
    scene.clean("shop").await?;
    end(scene, load, &pods).await
}

/// An app of three ready pods, with users; Sluice knows nothing of it. The pods are watched from here on.
async fn running(
    scene: &Scene<'_>,
    replicas: Option<u32>,
) -> Result<(App, Load, Recording<usize>)> {
    let mut app = App::new("shop", "v1");
    app.replicas = replicas;
    scene.deploy(&app).await?;
    scene.settled("shop", 3).await?;
    let load = scene.load("shop", 8080, RATE).await?;
    let pods = scene.record_ready(PODS).await?;
    Ok((app, load, pods))
}

/// The same, with a size that a person has set.
async fn scaled_by_hand(scene: &Scene<'_>) -> Result<(App, Load, Recording<usize>)> {
    scene.deploy(&App::new("shop", "v1")).await?;
    scene.scale_target("shop", 3).await?;
    running(scene, None).await
}

/// The Deployment's own pods, which are new ones, are ready and got no request.
async fn answers_nothing(scene: &Scene<'_>) -> Result<()> {
    let answered = scene.answered_by(OWN_PODS).await?;
    ensure!(
        answered.len() == REPLICAS && answered.iter().all(|(_, requests)| *requests == 0),
        "requests past the route: {answered:?}"
    );
    Ok(())
}

/// The sizes that the Deployment had.
fn sizes(size: &Recording<i32>) -> Vec<i32> {
    size.all().into_iter().map(|seen| seen.what).collect()
}

/// No user noticed, and no pod was missing.
async fn end(scene: Scene<'_>, load: Load, pods: &Recording<usize>) -> Result<()> {
    no_failure(&load.stop().await)?;
    pods.never_below(REPLICAS)?;
    scene.close().await
}

fn policy(scene: &Scene<'_>, more: &str) -> String {
    app::merged(
        &app::quick_policy(scene.stage.cluster.prometheus_url()),
        more,
    )
}

/// Changes the spec of the autoscaler, as its owner does.
async fn autoscale(scene: &Scene<'_>, spec: &serde_json::Value) -> Result<()> {
    let patch = Patch::Merge(json!({"spec": spec}));
    scene
        .api::<HorizontalPodAutoscaler>()
        .patch("cpu", &PatchParams::default(), &patch)
        .await?;
    Ok(())
}

fn says_now(canary: &Canary) -> bool {
    let mut conditions = canary.status.iter().flat_map(|status| &status.conditions);
    conditions.any(|condition| condition.message.contains(NOW))
}
