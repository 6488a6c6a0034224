//! From a Deployment with its size in Git and an autoscaler on it to a Canary, and back: a person does
//! nothing but what the condition says, and only in Git.

use anyhow::{Context, Result, ensure};
use e2e::delivery::flux::MANAGER;
use e2e::delivery::{Delivery, Team, monitor};
use e2e::stage::{App, Recording, Scene, condition, eventually, no_failure, serves};
use kube::ResourceExt as _;
use kube::api::{Api, DynamicObject, ListParams};
use kube::core::{ApiResource, GroupVersionKind};
use sluice_crds::{Canary, CanaryStatus, Phase};

use super::{
    APP, CANARY, INTERVAL, NOTE, PODS, RATE, ROLLOUT, SHOP, SOON, canary, note, nothing_drifts,
    ship, wrote_just,
};

const REPLICAS: usize = 3;
const AUTOSCALER: &str = "hpa.yaml";
const MONITOR: &str = "monitor.yaml";

/// What Git holds of the app.
#[derive(Clone, PartialEq)]
struct Held {
    app: App,
    /// What the autoscaler scales.
    scales: &'static str,
    /// Its `minReplicas`.
    least: u32,
}

const DEPLOYMENT: &str = "{apiVersion: apps/v1, kind: Deployment, name: shop}";
const BY_CANARY: &str = "{apiVersion: sluice.dev/v1alpha1, kind: Canary, name: shop}";

/// Deployment with its size, Service, autoscaler and `ServiceMonitor`, as most charts make them; then the Canary; then
/// what its condition says, word by word; a rollout; all of it back, by what is said then; and Sluice itself is uninstalled.
/// Never is a pod missing, nothing is put back by either, and Flux finds no drift.
pub(crate) async fn by_what_the_condition_says(delivery: &Delivery) -> Result<()> {
    let scene = delivery.stage.scene("flux-adoption").await?;
    let audit = delivery.stage.cluster.audit();
    let team = delivery.team(&scene, INTERVAL).await?;
    let mut held = Held {
        app: App {
            replicas: Some(3),
            ..App::new(SHOP, "v1")
        },
        scales: DEPLOYMENT,
        least: 3,
    };
    let commit = write(&team, &held, false, "shop").await?;
    team.healthy(&commit, SOON).await?;
    scene.settled(SHOP, 3).await?;
    let load = scene.load(SHOP, 8080, RATE).await?;
    let pods = scene.record_ready(PODS).await?;
    let size = scene.record_size(SHOP).await?;

    let mark = audit.mark()?;
    write(&team, &held, true, "A canary for the shop").await?;
    super::scene_has_canary(&scene).await?;
    let told = scene.record_canary(SHOP).await?;
    let mut followed = 0;
    while let Some(next) = next(&scene, &held).await? {
        held = next;
        write(&team, &held, true, "As the condition says").await?;
        followed += 1;
        ensure!(followed < 4, "it says one thing after another");
    }
    let all = held.app.replicas.is_none() && held.scales == BY_CANARY;
    ensure!(all, "it did not say all");
    scene.clean(SHOP).await?;
    let said = scene.api::<Canary>().get(SHOP).await?.spec.replicas;
    ensure!(said == Some(3), "the autoscaler cannot scale it: {said:?}");
    let sizes: Vec<_> = size.all().into_iter().map(|seen| seen.what).collect();
    // When Git drops it the API server makes it 1 for a moment: of pods that serve nobody.
    ensure!(
        sizes == [3, 1, 0],
        "the Deployment had {sizes:?} replicas, after {:?}",
        team.written_since(mark)?
    );
    nothing_drifts(&team).await?;

    let v2 = held.app.tagged("v2");
    let mark = audit.mark()?;
    let commit = ship(&team, &v2).await?;
    let status = scene.outcome(&v2, ROLLOUT).await?;
    let serving = scene.revision_of(&v2).await?;
    serves(&status, &serving)?;
    monitor::scrapes(&scene, SHOP, &serving).await?;
    team.healthy(&commit, SOON).await?;
    wrote_just(&team, mark, &["patch deployments/shop"])?;
    nothing_drifts(&team).await?;
    held.app = v2;

    let mark = audit.mark()?;
    leave(&team, &mut held, &told).await?;
    let events = scene.events(SHOP).await?.join("\n");
    ensure!(!events.contains("Restored"), "put back: {events}");
    super::kstatus::fits(delivery, &told).await?;

    delivery.stage.uninstall().await?;
    let result = without_sluice(&team, &mut held).await;
    delivery.stage.install().await?;
    result?;
    let autoscaler = "patch horizontalpodautoscalers/cpu";
    wrote_just(
        &team,
        mark,
        &["delete canaries/shop", autoscaler, autoscaler],
    )?;
    no_failure(&load.stop().await)?;
    pods.never_below(REPLICAS)?;
    scene.close().await
}

/// The way back: the Canary goes from Git, and then what is said of the autoscaler is done. The condition says it while the
/// Canary goes, the Event to who comes later, as here.
async fn leave(team: &Team<'_>, held: &mut Held, told: &Recording<Canary>) -> Result<()> {
    let scene = team.scene;
    std::fs::remove_file(team.repository.folder().join(CANARY))?;
    let commit = write(team, held, false, "Without a canary").await?;
    let words = [
        "AutoscalerLeft: HorizontalPodAutoscaler cpu scales nothing since its Canary is gone",
        "point its scaleTargetRef at Deployment shop (apiVersion: apps/v1, kind: Deployment)",
    ];
    for about in ["Canary", "Deployment"] {
        eventually("told of the autoscaler", ROLLOUT, async || {
            let events = scene.events_of(about, SHOP).await?;
            let is_told = |event: &String| words.iter().all(|part| event.contains(part));
            let told = events.iter().any(is_told);
            Ok(if told { Ok(()) } else { Err(events.join("\n")) })
        })
        .await?;
    }
    let said = "now point scaleTargetRef of HorizontalPodAutoscaler cpu at Deployment shop";
    let conditions = |canary: Canary| canary.status.unwrap_or_default().conditions;
    let all = told.all().into_iter().map(|seen| seen.what);
    let going = all.filter(|canary| canary.metadata.deletion_timestamp.is_some());
    let messages: Vec<_> = going.flat_map(conditions).map(|c| c.message).collect();
    ensure!(
        messages.iter().any(|message| message.contains(said)),
        "not said while it went: {messages:?}"
    );
    scene.only_left(SHOP, &[], ROLLOUT).await?;
    team.healthy(&commit, SOON).await?;
    ensure!(scene.replicas(SHOP).await? == 3, "another size");

    held.scales = DEPLOYMENT;
    let commit = write(team, held, false, "As the Event says").await?;
    team.healthy(&commit, SOON).await?;
    nothing_drifts(team).await
}

/// Sluice is gone: the autoscaler scales the Deployment, which serves, and nothing tells that there was a Canary.
async fn without_sluice(team: &Team<'_>, held: &mut Held) -> Result<()> {
    let scene = team.scene;
    for granted in e2e::stage::rights()? {
        let object: DynamicObject = serde_json::from_value(granted)?;
        // What is in its namespace went with that.
        if object.namespace().is_none() {
            let of = object.types.as_ref().context("an object without a kind")?;
            let kind = ApiResource::from_gvk(&GroupVersionKind::try_from(of)?);
            let api: Api<DynamicObject> = Api::all_with(scene.client(), &kind);
            let left = api.get_opt(&object.name_any()).await?;
            ensure!(left.is_none(), "{} is left", object.name_any());
        }
    }
    held.least = 4;
    let commit = write(team, held, false, "A busy day").await?;
    scene.settled(SHOP, 4).await?;
    let owners = scene.owners_of_size(SHOP).await?;
    ensure!(
        owners == ["kube-controller-manager"],
        "its size is of {owners:?}"
    );
    team.healthy(&commit, SOON).await?;
    nothing_drifts(team).await?;
    let left = scene.owned(SHOP).await?;
    ensure!(left.is_empty(), "{left:?}");
    let canaries = scene.api::<Canary>().list(&ListParams::default()).await?;
    ensure!(canaries.items.is_empty(), "a Canary is left");
    Ok(())
}

/// Nobody follows for many of Flux' looks: it and Sluice leave each other alone, it is told what Git is to change, and
/// following then is enough.
pub(crate) async fn by_a_person_who_is_late(delivery: &Delivery) -> Result<()> {
    let scene = delivery.stage.scene("flux-late").await?;
    let team = delivery.team(&scene, "2s").await?;
    let app = App {
        replicas: Some(3),
        ..App::new(SHOP, "v1")
    };
    let yaml = app.yaml(&scene.namespace);
    let commit = team
        .push(&[(APP, &yaml), (NOTE, &note(&scene))], "shop")
        .await?;
    team.healthy(&commit, SOON).await?;
    scene.settled(SHOP, 3).await?;
    let load = scene.load(SHOP, 8080, RATE).await?;
    let pods = scene.record_ready(PODS).await?;
    let yaml = canary(&scene, "replicas: 3\n");
    team.push(&[(CANARY, &yaml)], "A canary for the shop")
        .await?;
    super::scene_has_canary(&scene).await?;
    let words = [MANAGER, "remove spec.replicas from Deployment shop in Git"];
    scene.told(SHOP, "ReplicasInGit", &words, ROLLOUT).await?;
    let size = scene.record_size(SHOP).await?;
    let mark = delivery.stage.cluster.audit().mark()?;
    for _ in 0..5 {
        team.reconcile(SOON).await?;
    }
    wrote_just(&team, mark, &[])?;

    let followed = App {
        replicas: None,
        ..app
    };
    let yaml = followed.yaml(&scene.namespace);
    let commit = team.push(&[(APP, &yaml)], "As the condition says").await?;
    scene.told(SHOP, "Promoted", &[], SOON).await?;
    scene.clean(SHOP).await?;
    team.healthy(&commit, SOON).await?;
    nothing_drifts(&team).await?;
    let sizes: Vec<_> = size.all().into_iter().map(|seen| seen.what).collect();
    ensure!(sizes == [3, 1, 0], "the Deployment had {sizes:?} replicas");
    let events = scene.events(SHOP).await?.join("\n");
    ensure!(!events.contains("TargetRestored"), "put back: {events}");
    no_failure(&load.stop().await)?;
    pods.never_below(REPLICAS)?;
    scene.close().await
}

/// Waits until the condition asks for something, and does it; `None` when it asks for nothing.
async fn next(scene: &Scene<'_>, held: &Held) -> Result<Option<Held>> {
    let look = |status: &CanaryStatus| {
        let ready = condition(status, "Ready").ok()?;
        let mut next = held.clone();
        let has = |words: &str| ready.message.contains(words);
        if has("remove spec.replicas from Deployment shop in Git") {
            next.app.replicas = None;
        }
        if has("point scaleTargetRef of HorizontalPodAutoscaler cpu at this Canary") {
            next.scales = BY_CANARY;
        }
        let asked = next != *held;
        let content = status.phase == Some(Phase::Succeeded)
            && ready.status == "True"
            && ready.reason == "Promoted";
        (asked || content).then(|| asked.then_some(next))
    };
    scene.until(SHOP, "asked or content", ROLLOUT, look).await
}

async fn write(
    team: &Team<'_>,
    held: &Held,
    with_canary: bool,
    message: &str,
) -> Result<e2e::delivery::Commit> {
    let scene = team.scene;
    let namespace = &scene.namespace;
    let autoscaler = format!(
        "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\n\
         metadata: {{name: cpu, namespace: {namespace}}}\n\
         spec: {{scaleTargetRef: {}, minReplicas: {}, maxReplicas: 5}}\n",
        held.scales, held.least
    );
    let app = held.app.yaml(namespace);
    let canary = canary(scene, "");
    let monitor = monitor::yaml(namespace, SHOP);
    let mut files = vec![
        (APP, app.as_str()),
        (AUTOSCALER, &autoscaler),
        (MONITOR, &monitor),
    ];
    if with_canary {
        files.push((CANARY, &canary));
    }
    team.push(&files, message).await
}
