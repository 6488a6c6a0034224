//! An app as a chart in Git, delivered by a `HelmRelease` that corrects drift.

mod chart;

use anyhow::{Result, ensure};
use e2e::cluster::audit::Mark;
use e2e::delivery::flux::HELM_MANAGER;
use e2e::delivery::{Delivery, Team};
use e2e::stage::{App, EDITOR, Scene, eventually, no_failure, serves};
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use sluice_crds::Phase;

use super::{INTERVAL, PODS, RATE, ROLLOUT, SHOP, SOON, nothing_is_shared};
use chart::{Apply, Values, begin, end, release};

const REPLICAS: usize = 3;
/// What an upgrade by Helm applies: the whole chart, whatever of it changed.
const UPGRADE: [&str; 3] = [
    "patch canaries/shop",
    "patch deployments/shop",
    "patch services/shop",
];

/// Deployment with its size and Service, as most charts make them; then the Canary; then what its condition says, late;
/// a new image by a change of values; an edit by hand, which helm-controller corrects; a bad image, which it does not
/// roll back; and the end of the release. Each upgrade writes once, and nothing that Sluice does is drift.
pub(crate) async fn promoted_by_values(delivery: &Delivery) -> Result<()> {
    let scene = delivery.stage.scene("flux-helm").await?;
    let audit = delivery.stage.cluster.audit();
    let (team, mut values) = installed(delivery, &scene, Apply::ServerSide).await?;
    let load = scene.load(SHOP, 8080, RATE).await?;
    let pods = scene.record_ready(PODS).await?;
    let size = scene.record_size(SHOP).await?;

    adopts(&team, &mut values).await?;
    let sizes: Vec<_> = size.all().into_iter().map(|seen| seen.what).collect();
    // When Helm drops it the API server makes it 1 for a moment: of pods that serve nobody.
    ensure!(sizes == [3, 1, 0], "the Deployment had {sizes:?} replicas");

    let mark = audit.mark()?;
    let v2 = App::new(SHOP, "v2");
    values.tag = "v2";
    let commit = release(&team, &values, "Ship v2").await?;
    scene.revision_of_within(&v2, SOON).await?;
    let status = scene.outcome(&v2, ROLLOUT).await?;
    let serving = scene.revision_of(&v2).await?;
    serves(&status, &serving)?;
    team.healthy(&commit, SOON).await?;
    nothing_drifts(&team).await?;
    wrote_just(&team, mark, &UPGRADE)?;

    corrects_an_edit(&scene, &team, &serving).await?;
    no_failure(&load.stop().await)?;

    // From here on some users are answered badly, as they are to be.
    let load = scene.load(SHOP, 8080, RATE).await?;
    let mark = audit.mark()?;
    let v3 = App::new(SHOP, "v3-fail20");
    values.tag = "v3-fail20";
    let bad = release(&team, &values, "Ship v3").await?;
    scene.revision_of_within(&v3, SOON).await?;
    let status = scene.outcome(&v3, ROLLOUT).await?;
    ensure!(status.phase == Some(Phase::Failed), "{status:?}");
    serves(&status, &serving)?;
    team.healthy(&bad, SOON).await?;
    nothing_drifts(&team).await?;
    wrote_just(&team, mark, &UPGRADE)?;
    let events = scene.events(SHOP).await?.join("\n");
    ensure!(!events.contains("Restored"), "put back: {events}");
    load.stop().await;
    pods.never_below(REPLICAS)?;

    // The release goes, with all that it installed.
    let commit = end(&team).await?;
    scene.only_left(SHOP, &[], ROLLOUT).await?;
    eventually("no release", ROLLOUT, async || {
        let release = team.releases().get_opt(SHOP).await?;
        let target = scene.api::<Deployment>().get_opt(SHOP).await?;
        let left = [release.is_some(), target.is_some()];
        Ok(if left == [false; 2] {
            Ok(())
        } else {
            Err(format!("HelmRelease, Deployment: {left:?}"))
        })
    })
    .await?;
    team.healthy(&commit, SOON).await?;
    scene.close().await
}

/// Applied from the client nothing tells that the chart keeps the size: Sluice scales to 0, helm-controller finds drift and
/// puts it back, Sluice does so once, and then says who does it and what to remove. No user notices; after that nothing
/// drifts either.
pub(crate) async fn client_side(delivery: &Delivery) -> Result<()> {
    let scene = delivery.stage.scene("flux-helm-client").await?;
    let (team, mut values) = installed(delivery, &scene, Apply::ClientSide).await?;
    let load = scene.load(SHOP, 8080, RATE).await?;
    let pods = scene.record_ready(PODS).await?;
    let size = scene.record_size(SHOP).await?;

    values.canary = true;
    release(&team, &values, "A canary for the shop").await?;
    super::scene_has_canary(&scene).await?;
    let words = [
        HELM_MANAGER,
        "remove spec.replicas from the Deployment in Git",
    ];
    scene
        .told(SHOP, "ReplicasContested", &words, ROLLOUT)
        .await?;
    values.replicas = None;
    let commit = release(&team, &values, "As the condition says").await?;
    scene.told(SHOP, "Promoted", &[], ROLLOUT).await?;
    scene.clean(SHOP).await?;
    team.healthy(&commit, SOON).await?;
    let sizes: Vec<_> = size.all().into_iter().map(|seen| seen.what).collect();
    // Scaled away, drift, put back, and drift again; then Helm drops it.
    ensure!(
        sizes == [3, 0, 3, 0, 3, 1, 0],
        "the Deployment had {sizes:?} replicas"
    );
    nothing_drifts(&team).await?;

    let v2 = App::new(SHOP, "v2");
    values.tag = "v2";
    let commit = release(&team, &values, "Ship v2").await?;
    scene.revision_of_within(&v2, SOON).await?;
    let status = scene.outcome(&v2, ROLLOUT).await?;
    serves(&status, &scene.revision_of(&v2).await?)?;
    team.healthy(&commit, SOON).await?;
    scene.clean(SHOP).await?;
    nothing_drifts(&team).await?;
    no_failure(&load.stop().await)?;
    pods.never_below(REPLICAS)?;
    scene.close().await
}

/// A release of Helm 3's that is told to apply on the server before the adoption is adopted as any other.
pub(crate) async fn moved_to_the_server_side(delivery: &Delivery) -> Result<()> {
    let scene = delivery.stage.scene("flux-helm-moved").await?;
    let (team, mut values) = installed(delivery, &scene, Apply::ClientSide).await?;
    let load = scene.load(SHOP, 8080, RATE).await?;
    let pods = scene.record_ready(PODS).await?;
    let size = scene.record_size(SHOP).await?;
    values.apply = Apply::Moved;
    adopts(&team, &mut values).await?;
    let sizes: Vec<_> = size.all().into_iter().map(|seen| seen.what).collect();
    ensure!(sizes == [3, 1, 0], "the Deployment had {sizes:?} replicas");
    no_failure(&load.stop().await)?;
    pods.never_below(REPLICAS)?;
    scene.close().await
}

/// A team whose app runs as most charts make it, by Helm alone.
async fn installed<'a>(
    delivery: &Delivery,
    scene: &'a Scene<'a>,
    apply: Apply,
) -> Result<(Team<'a>, Values)> {
    let team = delivery.team(scene, INTERVAL).await?;
    let values = Values {
        tag: "v1",
        replicas: Some(REPLICAS),
        canary: false,
        apply,
    };
    let commit = begin(&team, &values).await?;
    team.healthy(&commit, ROLLOUT).await?;
    scene.settled(SHOP, 3).await?;
    Ok((team, values))
}

/// The Canary comes, its condition says that the size is in Git and by whom, and a person follows, late.
async fn adopts(team: &Team<'_>, values: &mut Values) -> Result<()> {
    let scene = team.scene;
    values.canary = true;
    release(team, values, "A canary for the shop").await?;
    super::scene_has_canary(scene).await?;
    let words = [
        HELM_MANAGER,
        "remove spec.replicas from Deployment shop in Git",
    ];
    scene.told(SHOP, "ReplicasInGit", &words, ROLLOUT).await?;
    nothing_drifts(team).await?;
    values.replicas = None;
    let commit = release(team, values, "As the condition says").await?;
    scene.told(SHOP, "Promoted", &[], ROLLOUT).await?;
    scene.clean(SHOP).await?;
    team.healthy(&commit, SOON).await?;
    nothing_drifts(team).await
}

/// Somebody sets another image by hand: helm-controller puts back the release's, and Sluice ends there.
async fn corrects_an_edit(scene: &Scene<'_>, team: &Team<'_>, serving: &str) -> Result<()> {
    let by_hand = PatchParams {
        field_manager: Some(EDITOR.to_owned()),
        ..PatchParams::default()
    };
    let mark = scene.stage.cluster.audit().mark()?;
    let containers = json!([{"name": "app", "image": "demo:v9"}]);
    let image = json!({"spec": {"template": {"spec": {"containers": containers}}}});
    let deployments = scene.api::<Deployment>();
    deployments
        .patch(SHOP, &by_hand, &Patch::Strategic(image))
        .await?;
    let other = scene.revision_of(&App::new(SHOP, "v9")).await?;
    eventually("the release's image", SOON, async || {
        let target = deployments.get(SHOP).await?;
        let pod = target.spec.and_then(|spec| spec.template.spec);
        let image = pod.and_then(|pod| pod.containers.into_iter().next()?.image);
        let image = image.unwrap_or_default();
        Ok(if image == "demo:v2" {
            Ok(())
        } else {
            Err(image)
        })
    })
    .await?;
    scene
        .until(SHOP, "the release's serves alone", ROLLOUT, |status| {
            let rest = status.phase == Some(Phase::Succeeded);
            (rest && status.stable.as_deref() == Some(serving)).then_some(())
        })
        .await?;
    scene.pods_gone(&other, SOON).await?;
    nothing_drifts(team).await?;
    wrote_just(team, mark, &["patch deployments/shop"])
}

/// helm-controller looks for drift twice, finds none, and has no field in common with Sluice.
async fn nothing_drifts(team: &Team<'_>) -> Result<()> {
    let mark = team.scene.stage.cluster.audit().mark()?;
    for _ in 0..2 {
        team.reconcile_release(SHOP, SOON).await?;
    }
    wrote_just(team, mark, &[])?;
    let events = team.scene.events_of("HelmRelease", SHOP).await?.join("\n");
    ensure!(!events.contains("DriftCorrectionFailed"), "{events}");
    nothing_is_shared(team.scene).await
}

/// helm-controller wrote just these since `mark`.
fn wrote_just(team: &Team<'_>, mark: Mark, wanted: &[&str]) -> Result<()> {
    let mut written = team.released_since(mark)?;
    written.sort();
    ensure!(written == wanted, "Helm wrote {written:?}, not {wanted:?}");
    Ok(())
}
