//! Somebody else writes what is Sluice's.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::cluster::Shares;
use e2e::load::Load;
use e2e::stage::{
    App, EDITOR, Recording, Scene, Split, Stage, condition, eventually, no_failure, says,
};
use k8s_openapi::api::core::v1::Service;
use kube::ResourceExt as _;
use kube::api::{DynamicObject, Patch, PatchParams};
use serde_json::{Value, json};
use sluice_crds::{annotations, labels};
use tokio::time::Instant;

const HTTP_ROUTE: &str = "gateway.networking.k8s.io/v1/HTTPRoute";
const ROUTE: &str = "sluice-shop-8080";
const PORT: u16 = 8080;
/// From the answer to an edit until it is put back, in the API and in Envoy.
const BOUND: Duration = Duration::from_secs(1);
const SOON: Duration = Duration::from_secs(10);
/// By itself the step would not pass in the time of a story.
const LONG_STEP: &str = "steps: [{weight: 20%, bake: 10m}]\n";

/// Weights, notes, labels, the whole route: what a person changes is put back within a second, and an
/// Event names the writer. Suspended, it stays until the suspension ends.
pub(crate) async fn a_person_is_put_back_and_named(stage: &Stage) -> Result<()> {
    let scene = stage.scene("foreign-edit").await?;
    let (load, old, new) = mid_rollout(&scene).await?;
    let planned = Shares::from([(old.clone(), 80.0), (new.clone(), 20.0)]);
    let routed = scene.record_weights("shop").await?;
    for share in [60, 0, 100] {
        scene
            .edit_route(
                "shop",
                |backend| if backend == new { share } else { 100 - share },
            )
            .await?;
        put_back(&scene, &routed, &planned, Instant::now()).await?;
    }
    let events = scene.events("shop").await?.join("\n");
    says(
        &events,
        &[&format!(
            "RouteRestored: {EDITOR} changed the route; it was put back"
        )],
    )?;

    marks_come_back(&scene, &old).await?;
    let status = scene.status("shop").await?;
    ensure!(
        scene.weights("shop").await? == planned,
        "the traffic moved: {status:?}"
    );

    // Suspended, nothing is put back; afterwards all of it is, and the Event says so.
    scene.suspend("shop", true).await?;
    let wait = Duration::from_secs(5);
    scene.told("shop", "Suspended", &[], wait).await?;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let mark = stage.cluster.audit().mark()?;
    scene.edit_route("shop", |_| 50).await?;
    edit_metadata(
        &scene,
        "v1/Service",
        &new,
        &json!({"labels": {labels::MANAGED_BY: null}}),
    )
    .await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    scene.silent_since(mark, "suspended")?;
    let halves = Shares::from([(old.clone(), 50.0), (new.clone(), 50.0)]);
    ensure!(
        scene.weights("shop").await? == halves,
        "the edit did not stay"
    );
    scene.suspend("shop", false).await?;
    put_back(&scene, &routed, &planned, Instant::now()).await?;
    marked(&scene, "v1/Service", &new, &[labels::MANAGED_BY], &[]).await?;
    let events = scene.events("shop").await?.join("\n");
    says(
        &events,
        &["since its weights are Sluice's whenever spec.suspend is not true"],
    )?;

    // The whole route: the stable revision gets all requests, and the candidate starts anew.
    scene.delete(HTTP_ROUTE, ROUTE).await?;
    eventually("the route written again", BOUND, async || {
        let found = scene.of_kind(HTTP_ROUTE)?.get_opt(ROUTE).await?;
        Ok(found.map(|_| ()).ok_or("none"))
    })
    .await?;
    scene
        .at_step(&App::new("shop", "v2"), 1, Duration::from_secs(20))
        .await?;
    no_failure(&load.stop().await)?;
    scene.close().await
}

/// Takes away what Sluice noted on the route, the labels of the route and of a revision's Service, and
/// changes the selector of that: each comes back.
async fn marks_come_back(scene: &Scene<'_>, old: &str) -> Result<()> {
    let notes = [
        annotations::STABLE,
        annotations::CANDIDATE,
        annotations::STEP,
        annotations::DECIDED_AT,
    ];
    let none = |names: &[&str]| -> Value {
        names
            .iter()
            .map(|name| ((*name).to_owned(), Value::Null))
            .collect::<serde_json::Map<_, _>>()
            .into()
    };
    let ours = [labels::CANARY, labels::MANAGED_BY];
    edit_metadata(
        scene,
        HTTP_ROUTE,
        ROUTE,
        &json!({"annotations": none(&notes)}),
    )
    .await?;
    marked(scene, HTTP_ROUTE, ROUTE, &ours, &notes).await?;
    edit_metadata(scene, HTTP_ROUTE, ROUTE, &json!({"labels": none(&ours)})).await?;
    marked(scene, HTTP_ROUTE, ROUTE, &ours, &notes).await?;
    let ours = [labels::CANARY, labels::REVISION, labels::MANAGED_BY];
    edit_metadata(scene, "v1/Service", old, &json!({"labels": none(&ours)})).await?;
    marked(scene, "v1/Service", old, &ours, &[]).await?;
    let selector = json!({"spec": {"selector": {"app": "shop"}}});
    let params = PatchParams {
        field_manager: Some(EDITOR.to_owned()),
        ..PatchParams::default()
    };
    scene
        .api::<Service>()
        .patch(old, &params, &Patch::Merge(selector))
        .await?;
    eventually("the selector put back", BOUND, async || {
        let spec = scene
            .api::<Service>()
            .get(old)
            .await?
            .spec
            .unwrap_or_default();
        let selector = spec.selector.unwrap_or_default();
        Ok(
            if selector.len() == 1 && selector.contains_key(labels::REVISION) {
                Ok(())
            } else {
                Err(format!("{selector:?}"))
            },
        )
    })
    .await
}

/// A program that writes the route ten times a second gets few writes for an answer, and is named.
pub(crate) async fn a_program_that_fights_makes_no_storm(stage: &Stage) -> Result<()> {
    const FIGHT: Duration = Duration::from_secs(12);
    let scene = stage.scene("fight").await?;
    let (load, old, new) = mid_rollout(&scene).await?;
    let planned = Shares::from([(old, 80.0), (new.clone(), 20.0)]);
    let mark = stage.cluster.audit().mark()?;
    let begun = Instant::now();
    let mut edits = 0;
    while begun.elapsed() < FIGHT {
        fight(&scene, &new).await?;
        edits += 1;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let asked = scene.asked_since(mark)?;
    let routes = asked.iter().filter(|event| event.about("httproutes"));
    let (taken, late): (Vec<_>, Vec<_>) = routes.partition(|event| event.succeeded());
    // Six at once, then one in five seconds. Where the fighter wrote in between, the API server refuses
    // ours, for it names the version that it replaces; it is tried again, once per edit at most.
    let writes = format!(
        "{} writes of the route and {} that came late, against {edits} edits",
        taken.len(),
        late.len()
    );
    ensure!((6..=9).contains(&taken.len()), "{writes}");
    ensure!(late.len() <= 2 * taken.len(), "{writes}");
    ensure!(edits >= 40, "only {edits} edits");
    ensure!(
        asked.len() <= 35,
        "{} requests: {}",
        asked.len(),
        e2e::stage::list(&asked)
    );
    let status = scene.status("shop").await?;
    let ready = condition(&status, "Ready")?;
    ensure!(
        ready.reason == "RouteContested" && ready.status == "False",
        "{ready:?}"
    );
    says(
        &ready.message,
        &["fighter keeps changing the route", "spec.suspend"],
    )?;

    // It stops: the route is put back, and a while later nobody is blamed any more.
    eventually("the route put back", SOON, async || {
        let now = scene.weights("shop").await?;
        Ok(if now == planned {
            Ok(())
        } else {
            Err(format!("{now:?}"))
        })
    })
    .await?;
    scene.envoy_sends("shop", PORT, &planned).await?;
    scene
        .until("shop", "nobody blamed", Duration::from_secs(30), |status| {
            let ready = condition(status, "Ready").ok()?;
            (ready.reason != "RouteContested").then_some(())
        })
        .await?;
    no_failure(&load.stop().await)?;
    scene.close().await
}

/// An app in the first step of a rollout, with users; both revisions.
async fn mid_rollout(scene: &Scene<'_>) -> Result<(Load, String, String)> {
    let v1 = App::new("shop", "v1");
    scene.deploy(&v1).await?;
    let load = scene.load("shop", PORT, 100.0).await?;
    scene.adopt(&v1, LONG_STEP).await?;
    let old = scene.revision_of(&v1).await?;
    let v2 = v1.tagged("v2");
    scene.deploy(&v2).await?;
    let new = scene.at_step(&v2, 1, Duration::from_secs(20)).await?;
    Ok((load, old, new))
}

/// Fails unless the route has its weights again within the bound, and Envoy, which is looked at for
/// longer: it may learn of the edit only after that was put back.
async fn put_back(
    scene: &Scene<'_>,
    routed: &Recording<Split>,
    planned: &Shares,
    edited: Instant,
) -> Result<()> {
    let (mut wrong, mut last) = (None, Shares::new());
    while edited.elapsed() < BOUND + Duration::from_millis(500) {
        let rules = scene.waypoint.route_shares("shop", PORT).await?;
        if rules.iter().any(|rule| rule != planned) || rules.is_empty() {
            wrong = Some(edited.elapsed());
            last = rules.into_iter().next().unwrap_or_default();
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let seen = routed.all();
    let last_seen = seen.last().context("no route")?;
    let took = last_seen.at.saturating_duration_since(edited);
    ensure!(
        last_seen.what.weights == *planned && took <= BOUND,
        "after {took:?}: {last_seen:?}"
    );
    ensure!(
        wrong.is_none_or(|at| at <= BOUND),
        "Envoy after {wrong:?}: {last:?}"
    );
    println!("put back in the API after {took:?}, in Envoy after {wrong:?}");
    Ok(())
}

/// One more write by a program of that name: the candidate gets nearly all requests.
async fn fight(scene: &Scene<'_>, candidate: &str) -> Result<()> {
    let route = scene.of_kind(HTTP_ROUTE)?.get(ROUTE).await?;
    let mut rules = route
        .data
        .pointer("/spec/rules")
        .cloned()
        .context("no rules")?;
    let backends = rules
        .pointer_mut("/0/backendRefs")
        .and_then(Value::as_array_mut);
    for backend in backends.context("no backends")? {
        let more = backend.get("name") == Some(&json!(candidate));
        let weight = backend.get_mut("weight").context("no weight")?;
        *weight = if more { 90.into() } else { 10.into() };
    }
    let params = PatchParams {
        field_manager: Some("fighter".to_owned()),
        ..PatchParams::default()
    };
    let patch = Patch::Merge(json!({"spec": {"rules": rules}}));
    scene
        .of_kind(HTTP_ROUTE)?
        .patch(ROUTE, &params, &patch)
        .await?;
    Ok(())
}

async fn edit_metadata(scene: &Scene<'_>, kind: &str, name: &str, metadata: &Value) -> Result<()> {
    let params = PatchParams {
        field_manager: Some(EDITOR.to_owned()),
        ..PatchParams::default()
    };
    let patch = Patch::Merge(json!({"metadata": metadata}));
    scene.of_kind(kind)?.patch(name, &params, &patch).await?;
    Ok(())
}

/// Waits until an object has these labels and annotations again.
async fn marked(
    scene: &Scene<'_>,
    kind: &str,
    name: &str,
    own: &[&str],
    notes: &[&str],
) -> Result<()> {
    eventually(&format!("{name} marked again"), BOUND, async || {
        let object: DynamicObject = scene.of_kind(kind)?.get(name).await?;
        let labelled = own.iter().all(|label| object.labels().contains_key(*label));
        let annotated = notes
            .iter()
            .all(|note| object.annotations().contains_key(*note));
        Ok(if labelled && annotated {
            Ok(())
        } else {
            Err(format!("{:?}", object.metadata))
        })
    })
    .await
}
