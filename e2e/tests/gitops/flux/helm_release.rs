//! An app as a chart in Git, delivered by a `HelmRelease` that corrects drift.

use anyhow::{Result, ensure};
use e2e::cluster::audit::Mark;
use e2e::delivery::flux::HELM_MANAGER;
use e2e::delivery::{Commit, Delivery, Team};
use e2e::stage::{App, EDITOR, Scene, eventually, no_failure, serves};
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use sluice_crds::Phase;

use super::{
    APP, CANARY, INTERVAL, NOTE, PODS, RATE, ROLLOUT, SHOP, SOON, canary, note, nothing_is_shared,
};

const REPLICAS: usize = 3;
/// The chart's folder, as a path from the repository's root.
const CHART: &str = "./chart";
const RELEASE: &str = "release.yaml";
/// What an upgrade by Helm applies: the whole chart, whatever of it changed.
const UPGRADE: [&str; 3] = [
    "patch canaries/shop",
    "patch deployments/shop",
    "patch services/shop",
];

/// The chart's values.
struct Values {
    tag: &'static str,
    /// `None` takes the size out of the Deployment.
    replicas: Option<usize>,
    canary: bool,
    /// As Helm 3 did, and as releases that it began go on.
    client_side: bool,
}

/// Deployment with its size and Service, as most charts make them; then the Canary; then what its condition says, late;
/// a new image by a change of values; an edit by hand, which helm-controller corrects; a bad image, which it does not
/// roll back; and the end of the release. Each upgrade writes once, and nothing that Sluice does is drift.
pub(crate) async fn promoted_by_values(delivery: &Delivery) -> Result<()> {
    let scene = delivery.stage.scene("flux-helm").await?;
    let audit = delivery.stage.cluster.audit();
    let team = delivery.team(&scene, INTERVAL).await?;
    let mut values = Values {
        tag: "v1",
        replicas: Some(REPLICAS),
        canary: false,
        client_side: false,
    };
    let commit = begin(&team, &values).await?;
    team.healthy(&commit, ROLLOUT).await?;
    scene.settled(SHOP, 3).await?;
    let load = scene.load(SHOP, 8080, RATE).await?;
    let pods = scene.record_ready(PODS).await?;
    let size = scene.record_size(SHOP).await?;

    values.canary = true;
    release(&team, &values, "A canary for the shop").await?;
    super::scene_has_canary(&scene).await?;
    let words = [
        HELM_MANAGER,
        "remove spec.replicas from Deployment shop in Git",
    ];
    scene.told(SHOP, "ReplicasInGit", &words, ROLLOUT).await?;
    nothing_drifts(&team).await?;
    values.replicas = None;
    let commit = release(&team, &values, "As the condition says").await?;
    scene.told(SHOP, "Promoted", &[], ROLLOUT).await?;
    scene.clean(SHOP).await?;
    team.healthy(&commit, SOON).await?;
    let sizes: Vec<_> = size.all().into_iter().map(|seen| seen.what).collect();
    // When Helm drops it the API server makes it 1 for a moment: of pods that serve nobody.
    ensure!(sizes == [3, 1, 0], "the Deployment had {sizes:?} replicas");
    nothing_drifts(&team).await?;

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
    let commit = team
        .push(&[("kustomization.yaml", &listed(&[NOTE]))], "No shop")
        .await?;
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
    let team = delivery.team(&scene, INTERVAL).await?;
    let mut values = Values {
        tag: "v1",
        replicas: Some(REPLICAS),
        canary: false,
        client_side: true,
    };
    let commit = begin(&team, &values).await?;
    team.healthy(&commit, ROLLOUT).await?;
    scene.settled(SHOP, 3).await?;
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
    println!("{}: the Deployment had {sizes:?} replicas", scene.namespace);
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

/// Pushes the chart and its first release.
async fn begin(team: &Team<'_>, values: &Values) -> Result<Commit> {
    let scene = team.scene;
    let app = App::new(SHOP, "{{ .Values.tag }}").yaml(&scene.namespace);
    let sized = "\nspec:{{ with .Values.replicas }}\n  replicas: {{ . }}{{ end }}\n  selector: {matchLabels";
    let app = app.replacen("\nspec:\n  selector: {matchLabels", sized, 1);
    ensure!(app.contains("replicas"), "a chart without a size: {app}");
    let canary = canary(scene, "replicas: 3\n");
    let canary = format!("{{{{ if .Values.canary }}}}\n{canary}{{{{ end }}}}\n");
    let files = [
        (
            "Chart.yaml",
            "{apiVersion: v2, name: shop, version: 0.1.0}\n",
        ),
        (&format!("templates/{APP}"), &app),
        (&format!("templates/{CANARY}"), &canary),
    ];
    let files = files.map(|(path, text)| (format!("{CHART}/{path}"), text));
    let mut all: Vec<_> = files.iter().map(|(path, text)| (&**path, *text)).collect();
    let (note, release) = (note(scene), manifest(scene, values));
    let listed = listed(&[NOTE, RELEASE]);
    all.extend([
        (NOTE, note.as_str()),
        (RELEASE, &release),
        ("kustomization.yaml", &listed),
    ]);
    team.push(&all, "shop").await
}

/// Pushes other values.
async fn release(team: &Team<'_>, values: &Values, message: &str) -> Result<Commit> {
    let release = manifest(team.scene, values);
    team.push(&[(RELEASE, &release)], message).await
}

fn manifest(scene: &Scene<'_>, values: &Values) -> String {
    let Values {
        tag,
        replicas,
        canary,
        client_side,
    } = values;
    let install = if *client_side {
        "\n  install: {serverSideApply: false}"
    } else {
        ""
    };
    let replicas = replicas.map_or("null".to_owned(), |replicas| replicas.to_string());
    let namespace = &scene.namespace;
    format!(
        "apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata: {{name: {SHOP}, namespace: {namespace}}}
spec:
  interval: {INTERVAL}
  timeout: 1m
  serviceAccountName: flux{install}
  chart:
    spec:
      chart: {CHART}
      sourceRef: {{kind: GitRepository, name: team}}
  driftDetection: {{mode: enabled}}
  values: {{tag: {tag}, replicas: {replicas}, canary: {canary}}}
"
    )
}

/// Which files of the repository Flux applies: templates of a chart are none of them.
fn listed(files: &[&str]) -> String {
    let files = files.join(", ");
    format!(
        "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: [{files}]\n"
    )
}
