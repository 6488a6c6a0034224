//! A person knows better: suspension, promotion, abort.

use std::time::Duration;

use anyhow::{Result, ensure};
use e2e::cluster::Shares;
use e2e::stage::{App, EDITOR, Scene, Stage, condition, eventually, no_failure, says, serves};
use sluice_crds::{Canary, CanaryStatus, Outcome, Phase, annotations};

/// For a write that was under way when the order came.
const IN_FLIGHT: Duration = Duration::from_millis(500);

/// Suspended, that is told once; then nothing is written and an edit by hand stays; resumed, it is put back and the rollout
/// goes on.
pub(crate) async fn suspension_stops_every_write(stage: &Stage) -> Result<()> {
    let scene = stage.scene("suspended").await?;
    let v1 = App::new("shop", "v1");
    scene.deploy(&v1).await?;
    let load = scene.load("shop", 8080, 100.0).await?;
    scene
        .adopt(
            &v1,
            "steps: [{weight: 20%, bake: 2s}, {weight: 50%, bake: 1s}]\n",
        )
        .await?;
    let (old, new) = first_step(&scene, &v1, &v1.tagged("v2")).await?;

    scene.suspend("shop", true).await?;
    let words = [new.as_str(), "keeps 20% of the requests"];
    let wait = Duration::from_secs(5);
    scene.told("shop", "Suspended", &words, wait).await?;
    tokio::time::sleep(IN_FLIGHT).await;
    let mark = stage.cluster.audit().mark()?;
    let before = scene.status("shop").await?;
    let generation = scene.api::<Canary>().get("shop").await?.metadata.generation;
    let stalled = condition(&before, "Stalled").is_ok_and(|it| it.reason == "Suspended");
    ensure!(
        before.observed_generation == generation && stalled,
        "whoever waits for it waits in vain: {before:?}"
    );
    scene
        .edit_route("shop", |backend| if backend == new { 60 } else { 40 })
        .await?;
    // Longer than the bake: unless it were suspended, the next step would come.
    tokio::time::sleep(Duration::from_secs(4)).await;
    scene.silent_since(mark, "suspended")?;
    ensure!(scene.status("shop").await? == before, "the status changed");
    let edited = Shares::from([(old.clone(), 40.0), (new.clone(), 60.0)]);
    ensure!(
        scene.weights("shop").await? == edited,
        "the edit did not stay"
    );
    scene.envoy_sends("shop", 8080, &edited).await?;

    scene.suspend("shop", false).await?;
    let planned = Shares::from([(old, 80.0), (new.clone(), 20.0)]);
    eventually("the edit put back", Duration::from_secs(5), async || {
        let now = scene.weights("shop").await?;
        Ok(if now == planned {
            Ok(())
        } else {
            Err(format!("{now:?}"))
        })
    })
    .await?;
    let end = scene
        .outcome(&v1.tagged("v2"), Duration::from_secs(40))
        .await?;
    serves(&end, &new)?;
    let events = scene.events("shop").await?.join("\n");
    says(
        &events,
        &[&format!(
            "RouteRestored: {EDITOR} changed the route; it was put back"
        )],
    )?;
    no_failure(&load.stop().await)?;
    scene.close().await
}

/// Orders hold for the revision that they name, and for no other.
pub(crate) async fn promotion_and_abort_bind_to_a_revision(stage: &Stage) -> Result<()> {
    let scene = stage.scene("orders").await?;
    let v1 = App::new("shop", "v1");
    scene.deploy(&v1).await?;
    let load = scene.load("shop", 8080, 100.0).await?;
    // By itself no step would pass in the time of this story.
    scene
        .adopt(
            &v1,
            "steps: [{weight: 20%, bake: 10m}, {weight: 50%, bake: 10m}]\n",
        )
        .await?;
    let v2 = v1.tagged("v2");
    let (old, new) = first_step(&scene, &v1, &v2).await?;

    // New words of the step itself reach the status after three seconds.
    tokio::time::sleep(Duration::from_secs(4)).await;
    let mark = stage.cluster.audit().mark()?;
    let before = scene.status("shop").await?;
    scene.order("shop", annotations::PROMOTE, &old).await?;
    scene
        .order("shop", annotations::ABORT, &format!("{old}#2"))
        .await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    // Each is told and noted on the revision that it names, lest it be carried out should that be a candidate
    // again; nothing else is done.
    for asked in scene.asked_since(mark)? {
        let note =
            asked.about("podtemplates") && asked.object_ref.as_ref().is_some_and(|o| o.name == old);
        ensure!(
            note || asked.about("events"),
            "orders that name another revision: {asked:?}"
        );
    }
    ensure!(scene.status("shop").await? == before, "the status changed");
    let events = scene.events("shop").await?.join("\n");
    let void = [format!("promote:{old}"), format!("abort:{old}#2")]
        .map(|order| format!("OrderVoid: the order {order} came too late"));
    says(&events, &void.each_ref().map(String::as_str))?;
    let noted = scene.verdict("shop", &old).await?.to_string();
    says(
        &noted,
        &[&format!("promote:{old}"), &format!("abort:{old}#2")],
    )?;

    scene.order("shop", annotations::PROMOTE, &new).await?;
    let end = scene.outcome(&v2, Duration::from_secs(30)).await?;
    serves(&end, &new)?;
    let verdict = scene.verdict("shop", &new).await?.to_string();
    says(
        &verdict,
        &[
            r#""outcome":"Promoted""#,
            "no gate applied",
            &format!("promote:{new}"),
        ],
    )?;

    let v3 = v1.tagged("v3");
    let (stable, newest) = first_step(&scene, &v2, &v3).await?;
    scene.order("shop", annotations::ABORT, &newest).await?;
    let end = scene.outcome(&v3, Duration::from_secs(15)).await?;
    ensure!(
        end.phase == Some(Phase::Failed),
        "{newest} was not rejected: {end:?}"
    );
    scene
        .envoy_sends("shop", 8080, &Shares::from([(stable, 100.0)]))
        .await?;
    let last = end
        .history
        .first()
        .map(|entry| (entry.revision.as_str(), entry.outcome));
    ensure!(
        last == Some((newest.as_str(), Outcome::Aborted)),
        "{:?}",
        end.history
    );
    let events = scene.events("shop").await?.join("\n");
    says(
        &events,
        &[&format!("Obeyed: carried out the order promote:{new}")],
    )?;
    says(
        &events,
        &[&format!(
            "{newest} was rejected, its requests went back: aborted by an order"
        )],
    )?;
    scene.pods_gone(&newest, Duration::from_secs(15)).await?;
    no_failure(&load.stop().await)?;
    scene.close().await
}

/// Deploys an app's next version and waits for its first step; returns both revisions.
async fn first_step(scene: &Scene<'_>, old: &App, new: &App) -> Result<(String, String)> {
    scene.deploy(new).await?;
    let revisions = (scene.revision_of(old).await?, scene.revision_of(new).await?);
    let proven = |status: &CanaryStatus| {
        let of_new = status.candidate.as_deref() == Some(revisions.1.as_str());
        let since = status.rollout.as_ref()?.step_since;
        (of_new && status.step == Some(1) && since.is_some()).then_some(())
    };
    scene
        .until("shop", "step 1 proven", Duration::from_secs(20), proven)
        .await?;
    Ok(revisions)
}
