//! All that the cluster knew of an app is lost in the middle of a rollout; Git is all that is left.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use e2e::delivery::{Commit, Delivery, Repository, Team};
use e2e::stage::{App, Scene, eventually, no_failure, serves};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use sluice_crds::{Outcome, Phase};

use super::{
    APP, CANARY, INTERVAL, NOTE, RATE, ROLLOUT, SHOP, SOON, adopted, canary, note, nothing_drifts,
    ship,
};

/// The namespace goes, with Canary, route, revisions and verdicts, and comes again empty. Flux applies Git anew:
/// what Git says is served, by its first revision, and nothing waits for what is lost. The rest of the cluster
/// is not lost here.
pub(crate) async fn of_a_namespace_lost_in_mid_rollout(delivery: &Delivery) -> Result<()> {
    const NAMESPACE: &str = "flux-rebuild";
    let scene = delivery.stage.scene(NAMESPACE).await?;
    let long = "steps: [{weight: 20%, bake: 10m}]\n";
    let (team, v1) = adopted(delivery, &scene, long).await?;
    let load = scene.load(SHOP, 8080, RATE).await?;
    let v2 = v1.tagged("v2");
    ship(&team, &v2).await?;
    scene.at_step(&v2, 1, ROLLOUT).await?;
    no_failure(&load.stop().await)?;
    let Team { repository, .. } = team;
    let commit = repository.head().await?;
    scene.close().await?;
    let namespaces: Api<Namespace> = Api::all(delivery.stage.cluster.client());
    eventually("the namespace is gone", ROLLOUT, async || {
        let left = namespaces.get_opt(NAMESPACE).await?;
        Ok(left.map_or(Ok(()), |left| Err(format!("{:?}", left.status))))
    })
    .await?;

    let scene = delivery.stage.scene(NAMESPACE).await?;
    let team = delivery.team_of(&scene, repository, INTERVAL).await?;
    super::scene_has_canary(&scene).await?;
    let status = scene.phase(SHOP, Phase::Succeeded, ROLLOUT).await?;
    serves(&status, &scene.revision_of(&v2).await?)?;
    scene.clean(SHOP).await?;
    let revisions = scene.snapshots(SHOP).await?.len();
    ensure!(revisions == 1, "{revisions} revisions");
    team.healthy(&commit, SOON).await?;
    nothing_drifts(&team).await?;
    let load = scene.load(SHOP, 8080, RATE).await?;
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    let report = load.stop().await;
    no_failure(&report)?;
    scene.close().await
}

/// Everything goes: what the API server stored, the node, Flux, Sluice. Before, git-sync had written to Git what was
/// promoted last; the newer image was half-way. In the cluster that is made anew from Git the promoted image serves
/// from the first request on, and the newer one is judged by a rollout from its first step.
pub(crate) async fn of_a_cluster_emptied_in_mid_rollout(delivery: &Delivery) -> Result<()> {
    const NAMESPACE: &str = "flux-emptied";
    let stage = &delivery.stage;
    let url = delivery.git.address(NAMESPACE);
    let scene = stage.scene(NAMESPACE).await?;
    // No pods of its own, as Git has it once its size is the Canary's.
    let v1 = App {
        replicas: Some(0),
        ..App::new(SHOP, "v1")
    };
    let mark = format!("# {{\"$sluice\": \"{NAMESPACE}/{SHOP}:promoted\"}}");
    let steps = "replicas: 2\nsteps: [{weight: 20%, bake: 6s}, {weight: 50%, bake: 2s}]\n";
    let more = format!("{steps}promoted:\n  images:\n  - name: app\n    image: demo:v1 {mark}\n");
    let team = delivery.team(&scene, INTERVAL).await?;
    let files = [
        (APP, v1.yaml(NAMESPACE)),
        (CANARY, canary(&scene, &more)),
        (NOTE, note(&scene)),
    ];
    let files: Vec<_> = files.iter().map(|(path, text)| (*path, &**text)).collect();
    team.push(&files, "shop").await?;
    super::scene_has_canary(&scene).await?;
    scene.phase(SHOP, Phase::Succeeded, ROLLOUT).await?;
    stage.git_sync(&url, &[]).await?;

    let load = scene.load(SHOP, 8080, RATE).await?;
    let v2 = v1.tagged("v2");
    ship(&team, &v2).await?;
    let status = scene.outcome(&v2, ROLLOUT).await?;
    serves(&status, &scene.revision_of(&v2).await?)?;
    let told = recorded(&team.repository, "demo:v2@sha256:").await?;
    team.healthy(&told, SOON).await?;
    let v3 = v1.tagged("v3");
    ship(&team, &v3).await?;
    scene.at_step(&v3, 1, ROLLOUT).await?;
    no_failure(&load.stop().await)?;

    let Team { repository, .. } = team;
    stage.cluster.remove_waypoint(scene.waypoint).await?;
    delivery.lose().await?;
    let namespaces: Api<Namespace> = Api::all(stage.cluster.client());
    let left = namespaces.get_opt(NAMESPACE).await?;
    ensure!(left.is_none(), "nothing was lost: {left:?}");

    let scene = stage.scene(NAMESPACE).await?;
    let team = delivery.team_of(&scene, repository, INTERVAL).await?;
    super::scene_has_canary(&scene).await?;
    let routed = scene.record_weights(SHOP).await?;
    let serving = scene
        .until(SHOP, "something serves", ROLLOUT, |status| {
            status.stable.clone()
        })
        .await?;
    let image = image(&scene, &serving).await?;
    ensure!(image.starts_with("demo:v2@sha256:"), "{image} serves");
    let load = scene.load(SHOP, 8080, RATE).await?;
    let status = scene.outcome(&v3, ROLLOUT).await?;
    let newer = scene.revision_of(&v3).await?;
    serves(&status, &newer)?;
    let history: Vec<_> = status
        .history
        .iter()
        .map(|past| (past.revision.as_str(), past.outcome))
        .collect();
    let expected = [
        (newer.as_str(), Outcome::Promoted),
        (serving.as_str(), Outcome::Promoted),
    ];
    ensure!(history == expected, "{history:?}");
    let first = routed.all().into_iter().next().context("no route")?;
    ensure!(
        first.what.weights == BTreeMap::from([(serving.clone(), 100.0)]),
        "another began: {first:?}"
    );
    let report = load.stop().await;
    no_failure(&report)?;
    let versions: Vec<_> = report.totals.versions.keys().map(String::as_str).collect();
    ensure!(versions == ["v2", "v3"], "who answered: {report}");
    let target: Deployment = scene.api().get(SHOP).await?;
    let own = target.status.and_then(|status| status.replicas);
    ensure!(
        own.unwrap_or_default() == 0,
        "pods that nobody judged: {own:?}"
    );

    let sync = stage.git_sync(&url, &[]).await?;
    let told = recorded(&team.repository, "demo:v3@sha256:").await?;
    team.healthy(&told, SOON).await?;
    scene.clean(SHOP).await?;
    sync.remove().await?;
    scene.close().await
}

/// Waits until Git says that an image was promoted; returns the commit that says so.
async fn recorded(repository: &Repository, image: &str) -> Result<Commit> {
    eventually(&format!("{image} in Git"), SOON, async || {
        let head = repository.pull().await?;
        let text = std::fs::read_to_string(repository.folder().join(CANARY))?;
        let line = text.lines().find(|line| line.contains("$sluice"));
        Ok(match line {
            Some(line) if line.contains(image) => Ok(head),
            line => Err(format!("{line:?}")),
        })
    })
    .await
}

async fn image(scene: &Scene<'_>, revision: &str) -> Result<String> {
    let deployment: Deployment = scene.api().get(revision).await?;
    let pod = deployment.spec.and_then(|spec| spec.template.spec);
    let container = pod.and_then(|pod| pod.containers.into_iter().next());
    container
        .and_then(|container| container.image)
        .context("no image")
}
