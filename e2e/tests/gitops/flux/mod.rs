//! A real Flux follows Git: it prunes, waits for health, and puts back what others change. Nowhere is
//! it told to ignore anything.

pub(crate) mod adoption;
pub(crate) mod health;
pub(crate) mod helm_release;
pub(crate) mod kstatus;
pub(crate) mod orders;
pub(crate) mod rebuild;
pub(crate) mod removal;
pub(crate) mod rollouts;

use std::time::Duration;

use anyhow::{Result, ensure};
use e2e::cluster::audit::Mark;
use e2e::delivery::team::shared_fields;
use e2e::delivery::{Commit, Delivery, Team};
use e2e::stage::{App, Scene, app};
use kube::api::DynamicObject;
use kube::core::{ApiResource, GroupVersionKind};
use sluice_crds::Phase;

/// The name of Deployment, Service and Canary; and their files.
const SHOP: &str = "shop";
const APP: &str = "app.yaml";
const CANARY: &str = "canary.yaml";
/// A file that stays when all else is removed: Flux takes an empty repository for a mistake.
const NOTE: &str = "note.yaml";

/// All pods of the app.
const PODS: &str = "app=shop";

const RATE: f64 = 200.0;
/// Flux looks at everything this often, besides at every push.
const INTERVAL: &str = "4s";
/// From a push until Flux has applied it, and found all of it healthy once that is so.
const SOON: Duration = Duration::from_secs(30);
const ROLLOUT: Duration = Duration::from_mins(1);

/// A Canary with the stories' policy; `more` as for [`app::canary`].
fn canary(scene: &Scene<'_>, more: &str) -> String {
    let policy = app::quick_policy(scene.stage.cluster.prometheus_url());
    app::canary(&scene.namespace, SHOP, &app::merged(&policy, more))
}

fn note(scene: &Scene<'_>) -> String {
    let namespace = &scene.namespace;
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: note, namespace: {namespace}}}\n\
         data: {{note: kept}}\n"
    )
}

/// A team whose app serves under Sluice, as Git says, with two pods and nothing left to follow.
async fn adopted<'a>(
    delivery: &Delivery,
    scene: &'a Scene<'a>,
    more: &str,
) -> Result<(Team<'a>, App)> {
    let app = App::new(SHOP, "v1");
    let team = delivery.team(scene, INTERVAL).await?;
    let yaml = app.yaml(&scene.namespace);
    let canary = canary(scene, &format!("replicas: 2\n{more}"));
    let files = [
        (APP, yaml.as_str()),
        (CANARY, canary.as_str()),
        (NOTE, &note(scene)),
    ];
    let commit = team.push(&files, "shop").await?;
    scene_has_canary(scene).await?;
    scene.phase(SHOP, Phase::Succeeded, ROLLOUT).await?;
    scene.clean(SHOP).await?;
    team.healthy(&commit, SOON).await?;
    Ok((team, app))
}

async fn scene_has_canary(scene: &Scene<'_>) -> Result<()> {
    e2e::stage::eventually("Flux made the Canary", SOON, async || {
        let found = scene.api::<sluice_crds::Canary>().get_opt(SHOP).await?;
        Ok(found.map(drop).ok_or("none"))
    })
    .await
}

/// Pushes another image, and waits until Flux wrote it.
async fn ship(team: &Team<'_>, app: &App) -> Result<Commit> {
    let yaml = app.yaml(&team.scene.namespace);
    let commit = team
        .push(&[(APP, &yaml)], &format!("Ship {}", app.tag))
        .await?;
    team.scene.revision_of_within(app, SOON).await?;
    Ok(commit)
}

/// Flux looks at everything twice, finds nothing to write, and has no field in common with Sluice.
async fn nothing_drifts(team: &Team<'_>) -> Result<()> {
    let mark = team.scene.stage.cluster.audit().mark()?;
    for _ in 0..2 {
        team.reconcile(SOON).await?;
    }
    let written = team.written_since(mark)?;
    ensure!(written.is_empty(), "Flux found drift: {written:?}");
    nothing_is_shared(team.scene).await
}

/// Flux wrote just these since `mark`: nothing was put back.
fn wrote_just(team: &Team<'_>, mark: Mark, wanted: &[&str]) -> Result<()> {
    let mut written = team.written_since(mark)?;
    written.sort();
    ensure!(written == wanted, "Flux wrote {written:?}, not {wanted:?}");
    Ok(())
}

async fn nothing_is_shared(scene: &Scene<'_>) -> Result<()> {
    for (group, version, kind) in [
        ("apps", "v1", "Deployment"),
        ("", "v1", "Service"),
        ("sluice.dev", "v1alpha1", "Canary"),
    ] {
        let kind = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        let object: Option<DynamicObject> = scene.dynamic(&kind).get_opt(SHOP).await?;
        let shared = object.as_ref().map(shared_fields).unwrap_or_default();
        ensure!(shared.is_empty(), "{}: both own {shared:?}", kind.kind);
    }
    Ok(())
}
