//! Configuration is part of a revision: a changed `ConfigMap` is judged as a changed image is.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::app::admin;
use e2e::cluster::Shares;
use e2e::load::{Load, stats};
use e2e::stage::{App, Scene, Stage, address, eventually, is_ready, no_failure, serves};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::ResourceExt as _;
use kube::api::DeleteParams;
use sluice_crds::{Outcome, Phase};

const RATE: f64 = 300.0;

/// The same image with a new text: a revision of its own, which users meet by its weight, and then
/// always. Back in Git is back at once, with the text of then.
pub(crate) async fn a_new_text_passes_the_gates_and_goes_back_at_once(stage: &Stage) -> Result<()> {
    let scene = stage.scene("config").await?;
    let hello = App::new("shop", "v1").greets("hello");
    scene.deploy(&hello).await?;
    let load = scene.load("shop", 8080, RATE).await?;
    scene
        .adopt(&hello, "replicas: 2\nsteps: [{weight: 20%, bake: 4s}]\n")
        .await?;
    let old = scene.revision_of(&hello).await?;

    let hi = hello.greets("hi");
    scene.deploy(&hi).await?;
    let new = scene.at_step(&hi, 1, Duration::from_secs(20)).await?;
    let split = Shares::from([(old.clone(), 80.0), (new.clone(), 20.0)]);
    scene.envoy_sends("shop", 8080, &split).await?;
    let mark = load.now();
    tokio::time::sleep(Duration::from_secs(3)).await;
    let window = load.since(mark);
    let met = window.greetings.get("hi").map_or(0, |tally| tally.requests);
    let met = stats::share(met, window.all.requests).context("no answers")?;
    ensure!(
        met.contains(0.2),
        "users met the new text in {met}, its weight is 20 %"
    );
    let end = scene.outcome(&hi, Duration::from_secs(30)).await?;
    serves(&end, &new)?;
    ensure!(
        users_read(&load).await? == ["hi"],
        "users read {:?}",
        users_read(&load).await?
    );

    let routed = scene.record_weights("shop").await?;
    scene.deploy(&hello).await?;
    let end = scene.outcome(&hello, Duration::from_secs(30)).await?;
    serves(&end, &old)?;
    let said: Vec<_> = routed
        .all()
        .into_iter()
        .map(|seen| seen.what.weights)
        .collect();
    let whole = |revision: &str| Shares::from([(revision.to_owned(), 100.0)]);
    ensure!(said == [whole(&new), whole(&old)], "not at once: {said:?}");
    ensure!(
        users_read(&load).await? == ["hello"],
        "users read {:?}",
        users_read(&load).await?
    );
    no_failure(&load.stop().await)?;
    scene.close().await
}

/// While a bad candidate brings a bad text, and after it was taken back, a stable pod that restarts
/// comes up with the text that it was judged with, whatever Git says by now.
pub(crate) async fn a_stable_pod_that_restarts_keeps_its_text(stage: &Stage) -> Result<()> {
    let scene = stage.scene("config-restart").await?;
    let good = App::new("shop", "v1").greets("hello");
    scene.deploy(&good).await?;
    let load = scene.load("shop", 8080, RATE).await?;
    scene
        .adopt(&good, "replicas: 2\nsteps: [{weight: 20%, bake: 30s}]\n")
        .await?;
    let old = scene.revision_of(&good).await?;

    let bad = good.tagged("v2").greets("broken");
    scene.deploy(&bad).await?;
    let new = scene.at_step(&bad, 1, Duration::from_secs(20)).await?;
    replaced_pod_greets(&scene, &old, "hello").await?;
    for pod in scene.pods(&new).await? {
        admin::set_behaviour(address(&pod)?, "v2-fail50").await?;
    }
    let end = scene.outcome(&bad, Duration::from_secs(15)).await?;
    ensure!(
        end.phase == Some(Phase::Failed),
        "{new} was not rejected: {end:?}"
    );
    replaced_pod_greets(&scene, &old, "hello").await?;
    ensure!(
        users_read(&load).await? == ["hello"],
        "users read {:?}",
        users_read(&load).await?
    );
    let copy = mounted(&scene, &old).await?;
    ensure!(
        copy.immutable == Some(true),
        "{} can be changed",
        copy.name_any()
    );
    drop(load);
    scene.close().await
}

/// A change of text alone, in the middle of a rollout, waits until it has ended. Copies go with the
/// last revision that uses them.
pub(crate) async fn alone_it_waits_for_the_rollout_under_way(stage: &Stage) -> Result<()> {
    let scene = stage.scene("config-waits").await?;
    let v1 = App::new("shop", "v1").greets("hello");
    scene.deploy(&v1).await?;
    let load = scene.load("shop", 8080, RATE).await?;
    let more = "replicas: 2\nsteps: [{weight: 20%, bake: 1s}]\nrollbackWindow: 0\n";
    scene.adopt(&v1, more).await?;
    let old = scene.revision_of(&v1).await?;
    let routed = scene.record_weights("shop").await?;

    let v2 = v1.tagged("v2");
    scene.deploy(&v2).await?;
    let middle = scene.at_step(&v2, 1, Duration::from_secs(20)).await?;
    let last = v2.greets("later");
    scene.deploy(&last).await?;
    let end = scene.outcome(&last, Duration::from_mins(1)).await?;
    let new = scene.revision_of(&last).await?;
    serves(&end, &new)?;
    let ends: Vec<_> = end
        .history
        .iter()
        .map(|e| (e.revision.as_str(), e.outcome))
        .collect();
    let promoted = [&new, &middle, &old].map(|name| (name.as_str(), Outcome::Promoted));
    ensure!(ends == promoted, "{ends:?}");
    let split =
        |from: &String, to: &String| Shares::from([(from.clone(), 80.0), (to.clone(), 20.0)]);
    let whole = |revision: &String| Shares::from([(revision.clone(), 100.0)]);
    let said: Vec<_> = routed
        .all()
        .into_iter()
        .map(|seen| seen.what.weights)
        .collect();
    let expected = [
        whole(&old),
        split(&old, &middle),
        whole(&middle),
        split(&middle, &new),
        whole(&new),
    ];
    ensure!(said == expected, "{said:#?}, not {expected:#?}");

    let copy = format!("ConfigMap/{}", mounted(&scene, &new).await?.name_any());
    eventually("one copy left", Duration::from_secs(20), async || {
        let mut owned = scene.owned("shop").await?;
        owned.retain(|object| object.starts_with("ConfigMap/"));
        Ok(if owned == [copy.as_str()] {
            Ok(())
        } else {
            Err(format!("{owned:?}, not {copy}"))
        })
    })
    .await?;
    no_failure(&load.stop().await)?;
    scene.close().await
}

/// The texts in the answers of the next second.
async fn users_read(load: &Load) -> Result<Vec<String>> {
    // What was under way by an old route.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let mark = load.now();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let window = load.since(mark);
    ensure!(window.all.requests > 50, "{:?}", window.all);
    Ok(window.greetings.into_keys().collect())
}

/// Deletes one of a revision's two pods; the pod that takes its place greets with `text`.
async fn replaced_pod_greets(scene: &Scene<'_>, revision: &str, text: &str) -> Result<()> {
    let pods = scene.pods(revision).await?;
    let known: Vec<_> = pods.iter().map(kube::ResourceExt::name_any).collect();
    let victim = pods
        .iter()
        .find(|pod| is_ready(pod))
        .context("no pod is ready")?
        .name_any();
    scene
        .api::<Pod>()
        .delete(&victim, &DeleteParams::default())
        .await?;
    let what = format!("a new pod of {revision}");
    let (fresh, greeting) = eventually(&what, Duration::from_secs(15), async || {
        let greetings = scene.greetings(revision).await?;
        let fresh = greetings.iter().find(|(pod, _)| !known.contains(pod));
        let fresh = fresh.map(|(pod, greeting)| (pod.clone(), greeting.clone()));
        Ok(fresh.ok_or_else(|| format!("{greetings:?}")))
    })
    .await?;
    ensure!(
        greeting == text,
        "{fresh}, in place of {victim}, greets with {greeting:?}"
    );
    Ok(())
}

/// The `ConfigMap` that a revision's pods mount.
async fn mounted(scene: &Scene<'_>, revision: &str) -> Result<ConfigMap> {
    let spec = scene
        .api::<Deployment>()
        .get(revision)
        .await?
        .spec
        .context("no spec")?;
    let mut volumes = spec
        .template
        .spec
        .and_then(|pod| pod.volumes)
        .into_iter()
        .flatten();
    let source = volumes
        .find_map(|volume| volume.config_map)
        .context("no ConfigMap is mounted")?;
    Ok(scene.api::<ConfigMap>().get(&source.name).await?)
}
