//! Pushes: a good one, a bad one, its revert; and edits by hand, that Flux or Sluice puts back.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Result, ensure};
use e2e::delivery::Delivery;
use e2e::stage::{App, EDITOR, eventually, no_failure, serves};
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use sluice_crds::{Outcome, Phase};

use super::{PODS, RATE, ROLLOUT, SHOP, SOON, adopted, nothing_drifts, ship, wrote_just};

const REPLICAS: usize = 2;

/// A good image is promoted; a bad one is rejected, which Flux calls healthy, since the service is; and
/// reverting it in Git moves nothing. Flux writes what was pushed, and nothing else.
pub(crate) async fn a_bad_image_is_healthy_but_rejected(delivery: &Delivery) -> Result<()> {
    let scene = delivery.stage.scene("flux-rollouts").await?;
    let audit = delivery.stage.cluster.audit();
    let (team, v1) = adopted(delivery, &scene, "").await?;
    let load = scene.load(SHOP, 8080, RATE).await?;
    let pods = scene.record_ready(PODS).await?;
    let told = scene.record_canary(SHOP).await?;

    let mark = audit.mark()?;
    let v2 = v1.tagged("v2");
    let good = ship(&team, &v2).await?;
    let status = scene.outcome(&v2, ROLLOUT).await?;
    let serving = scene.revision_of(&v2).await?;
    serves(&status, &serving)?;
    team.healthy(&good, SOON).await?;
    wrote_just(&team, mark, &["patch deployments/shop"])?;
    no_failure(&load.stop().await)?;

    let load = scene.load(SHOP, 8080, RATE).await?;
    let v3 = v1.tagged("v3-fail20");
    let mark = audit.mark()?;
    let bad = ship(&team, &v3).await?;
    let status = scene.outcome(&v3, ROLLOUT).await?;
    ensure!(status.phase == Some(Phase::Failed), "{status:?}");
    serves(&status, &serving)?;
    team.healthy(&bad, SOON).await?;
    nothing_drifts(&team).await?;
    wrote_just(&team, mark, &["patch deployments/shop"])?;

    let mark = audit.mark()?;
    let routed = scene.record_weights(SHOP).await?;
    let back = team.revert(&bad).await?;
    let status = scene.phase(SHOP, Phase::Succeeded, ROLLOUT).await?;
    serves(&status, &serving)?;
    team.healthy(&back, SOON).await?;
    let weights = routed.all();
    ensure!(weights.len() == 1, "traffic moved: {weights:?}");
    wrote_just(&team, mark, &["patch deployments/shop"])?;

    // And back to the version before, at once.
    let older = team.revert(&good).await?;
    let status = scene.outcome(&v1, ROLLOUT).await?;
    serves(&status, &scene.revision_of(&v1).await?)?;
    team.healthy(&older, SOON).await?;
    let last = status.history.last().map(|past| past.outcome);
    ensure!(last == Some(Outcome::Promoted), "{:?}", status.history);
    nothing_drifts(&team).await?;
    let seen = super::kstatus::fits(delivery, &told).await?;
    ensure!(seen.contains("Failed"), "no rejection was seen: {seen:?}");
    let users = load.stop().await;
    let of_v3 = users.totals.versions.get("v3");
    let failed = of_v3.map(|tally| tally.failed).unwrap_or_default();
    ensure!(
        failed > 0 && users.totals.all.failed == failed,
        "failures that are not the bad version's: {users}"
    );
    pods.never_below(REPLICAS)?;
    scene.close().await
}

/// Somebody sets another image by hand. Sluice begins to bring it to users, Flux puts Git's back, and Sluice
/// ends where Git is.
pub(crate) async fn an_edit_by_hand_ends_where_git_is(delivery: &Delivery) -> Result<()> {
    let scene = delivery.stage.scene("flux-edit").await?;
    let (team, v1) = adopted(delivery, &scene, "steps: [{weight: 20%, bake: 10m}]\n").await?;
    let load = scene.load(SHOP, 8080, RATE).await?;
    let serving = scene.revision_of(&v1).await?;
    let mark = delivery.stage.cluster.audit().mark()?;
    let by_hand = PatchParams {
        field_manager: Some(EDITOR.to_owned()),
        ..PatchParams::default()
    };
    let containers = json!([{"name": "app", "image": "demo:v9"}]);
    let image = json!({"spec": {"template": {"spec": {"containers": containers}}}});
    scene
        .api::<Deployment>()
        .patch(SHOP, &by_hand, &Patch::Strategic(image))
        .await?;
    let edited = App::new(SHOP, "v9");
    let other = scene.revision_of(&edited).await?;
    eventually("Git's image on the Deployment", SOON, async || {
        let target = scene.api::<Deployment>().get(SHOP).await?;
        let pod = target.spec.and_then(|spec| spec.template.spec);
        let image = pod.and_then(|pod| pod.containers.into_iter().next()?.image);
        let image = image.unwrap_or_default();
        Ok(if image == "demo:v1" {
            Ok(())
        } else {
            Err(image)
        })
    })
    .await?;
    scene
        .until(SHOP, "Git's version serves alone", ROLLOUT, |status| {
            let rest = status.phase == Some(Phase::Succeeded);
            (rest && status.stable.as_deref() == Some(serving.as_str())).then_some(())
        })
        .await?;
    scene.pods_gone(&other, SOON).await?;
    nothing_drifts(&team).await?;
    // Once for the image; and Flux takes the editor's name off the object's managed fields.
    let written = team.written_since(mark)?;
    let only = written.iter().all(|line| line == "patch deployments/shop");
    ensure!(only && (1..=2).contains(&written.len()), "{written:?}");
    no_failure(&load.stop().await)?;
    scene.close().await
}

/// Somebody gives a candidate more requests than its step has. The route is Sluice's, which puts it back; Flux does not
/// even look at it.
pub(crate) async fn a_route_edited_by_hand_is_put_back(delivery: &Delivery) -> Result<()> {
    let scene = delivery.stage.scene("flux-route").await?;
    let audit = delivery.stage.cluster.audit();
    let (team, v1) = adopted(delivery, &scene, "steps: [{weight: 20%, bake: 10m}]\n").await?;
    let load = scene.load(SHOP, 8080, RATE).await?;
    let old = scene.revision_of(&v1).await?;
    let mark = audit.mark()?;
    let v2 = v1.tagged("v2");
    let pushed = ship(&team, &v2).await?;
    let new = scene.at_step(&v2, 1, ROLLOUT).await?;
    let planned = BTreeMap::from([(old, 80.0), (new.clone(), 20.0)]);
    let routed = scene.record_weights(SHOP).await?;
    let by_hand = |backend: &str| if backend == new { 60 } else { 40 };
    scene.edit_route(SHOP, by_hand).await?;
    eventually("the route put back", Duration::from_secs(5), async || {
        // As it was, as a person made it, and as it was again.
        let seen: Vec<_> = routed.all().into_iter().map(|seen| seen.what).collect();
        let back = seen.len() > 2 && scene.weights(SHOP).await? == planned;
        Ok(if back {
            Ok(())
        } else {
            Err(format!("{seen:?}"))
        })
    })
    .await?;
    let seen: Vec<_> = routed.all().into_iter().map(|seen| seen.what).collect();
    ensure!(
        seen.iter()
            .any(|split| split.weights.get(&new) == Some(&60.0)),
        "nobody edited it: {seen:?}"
    );
    let events = scene.events(SHOP).await?.join("\n");
    let words = format!("{EDITOR} changed the route; it was put back");
    ensure!(events.contains(&words), "{events}");
    wrote_just(&team, mark, &["patch deployments/shop"])?;

    let back = team.revert(&pushed).await?;
    let status = scene.outcome(&v1, ROLLOUT).await?;
    serves(&status, &scene.revision_of(&v1).await?)?;
    team.healthy(&back, SOON).await?;
    nothing_drifts(&team).await?;
    no_failure(&load.stop().await)?;
    scene.close().await
}
