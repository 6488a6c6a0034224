//! Sluice is killed after every single write of a rollout, a rollback, an adoption and a deletion, one
//! run for each: the end is always the same, and no user notices.
//!
//! The worst moment is right behind a write: the API server has done it, and Sluice does not know. A
//! [gate](e2e::cluster::Gate) between Sluice and the API server strikes there. How many writes there are
//! is not known here: run `i` strikes after write `i`, until a run ends before it.

mod end;
mod lane;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::load::Load;
use e2e::stage::{App, Scene, Stage, eventually, no_failure};
use futures::future::try_join_all;
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::DeleteParams;
use sluice_crds::Canary;

use end::reaches;
use lane::{Kill, Lane};

/// Requests per second of each lane.
const RATE: f64 = 100.0;
/// Lanes of one kind share its writes: one strikes after 1, 3, 5, the other after 2, 4, 6.
const LANES: usize = 2;
/// How many bad answers a run may cost users before its candidate is taken back: a restart and a few
/// scrapes at 10 bad answers a second.
const BAD_ANSWERS: u64 = 150;
const PATIENCE: Duration = Duration::from_secs(40);

/// The shortest of everything but the drain. One old revision is kept, so that each rollout removes one as well.
const POLICY: &str = "\
replicas: 2
slos: [{name: availability, objective: 99%, availability: {}}]
minRequests: 20
settle: 200ms
rollbackWindow: 1
";

/// As above.
pub(crate) async fn after_any_write_the_end_is_the_same(stage: &Stage) -> Result<()> {
    stage.controller.end().await?;
    let result = all(stage).await;
    stage.controller.restart().await?;
    result
}

async fn all(stage: &Stage) -> Result<()> {
    let rollouts = try_join_all((1..=LANES).map(|first| rollout(stage, first)));
    let rollbacks = try_join_all((1..=LANES).map(|first| rollback(stage, first)));
    let visits = try_join_all((1..=LANES).map(|first| visit(stage, first)));
    tokio::try_join!(rollouts, rollbacks, visits)?;
    Ok(())
}

/// One run after the other, until one ends before its write; then one that is struck after every write.
async fn strike(
    what: &str,
    first: usize,
    mut run: impl AsyncFnMut(Kill) -> Result<bool>,
) -> Result<()> {
    let mut after = first;
    loop {
        let ran = run(Kill::After(after)).await;
        if !ran.with_context(|| format!("{what}, killed after write {after}"))? {
            break;
        }
        after += LANES;
    }
    ensure!(after > LANES, "{what}: no run was struck");
    let every = run(Kill::AfterEvery).await;
    ensure!(
        every.with_context(|| format!("{what}, killed after every write"))?,
        "{what}: not struck"
    );
    let last = after - LANES;
    println!(
        "crash: {what}: killed after each of the writes {first}, {}, … {last}, and after all of them in one run",
        first + LANES
    );
    Ok(())
}

/// A good version, from the push to the end of the old one's drain.
async fn rollout(stage: &Stage, first: usize) -> Result<()> {
    let lane = Lane::set(stage, &format!("crash-rollout-{first}")).await?;
    let scene = &lane.scene;
    let mut app = App::new("shop", "v1");
    scene.deploy(&app).await?;
    let load = scene.load("shop", 8080, RATE).await?;
    let steps = "steps: [{weight: 50%, bake: 1s}]\n";
    scene.adopt(&app, &format!("{POLICY}{steps}")).await?;
    let mut number = 1;
    let mut next = async |kill| {
        number += 1;
        let old = scene.revision_of(&app).await?;
        app = app.tagged(&format!("v{number}"));
        let ended = async || {
            let new = scene.revision_of(&app).await?;
            let expected = [
                "Deployment new 2",
                "Deployment old 0",
                "Deployment shop 0",
                "Event Promoted new",
                "Event RolloutStarted new",
                "PodTemplate new Promoted: every gate passed",
                "PodTemplate old Promoted",
                "Service new",
                "Service old",
                "history Promoted new",
                "phase Succeeded",
                "pods new 2",
                "route new 100%",
                "stable new",
            ];
            reaches(scene, &[("old", &old), ("new", &new)], &expected, PATIENCE).await
        };
        let struck = lane.survive(kill, async || scene.deploy(&app).await, ended);
        let struck = struck.await?;
        unharmed(&load)?;
        Ok(struck)
    };
    // Makes the old revision that every later one removes.
    next(Kill::Never).await?;
    strike("rollout", first, next).await?;
    no_failure(&load.stop().await)?;
    lane.close().await
}

/// A bad version, from the push until nothing but its verdict is left.
async fn rollback(stage: &Stage, first: usize) -> Result<()> {
    let lane = Lane::set(stage, &format!("crash-rollback-{first}")).await?;
    let scene = &lane.scene;
    let good = App::new("shop", "v1");
    scene.deploy(&good).await?;
    let load = scene.load("shop", 8080, RATE).await?;
    let steps = "steps: [{weight: 20%, bake: 5s}]\n";
    scene.adopt(&good, &format!("{POLICY}{steps}")).await?;
    let old = scene.revision_of(&good).await?;
    let mut number = 1;
    let run = async |kill| {
        number += 1;
        let version = format!("v{number}");
        let bad = good.tagged(&format!("{version}-fail50"));
        let ended = async || {
            let new = scene.revision_of(&bad).await?;
            let expected = [
                "Deployment old 2",
                "Deployment shop 0",
                "Event RolledBack new",
                "Event RolloutStarted new",
                "PodTemplate new Rejected: availability",
                "PodTemplate old Promoted",
                "Service old",
                "candidate new",
                "history RolledBack new",
                "phase Failed",
                "pods old 2",
                "route old 100%",
                "stable old",
            ];
            reaches(scene, &[("old", &old), ("new", &new)], &expected, PATIENCE).await
        };
        let mark = load.now();
        let struck = lane.survive(kill, async || scene.deploy(&bad).await, ended);
        let struck = struck.await?;
        let seen = load.since(mark);
        let own = seen.versions.get(&version).copied().unwrap_or_default();
        ensure!(
            seen.all.failed == own.failed,
            "failures that are not the candidate's: {seen:?}"
        );
        let most = if kill == Kill::AfterEvery {
            3 * BAD_ANSWERS
        } else {
            BAD_ANSWERS
        };
        ensure!(
            (1..=most).contains(&own.failed),
            "{} bad answers of {version}",
            own.failed
        );
        Ok(struck)
    };
    strike("rollback", first, run).await?;
    drop(load);
    lane.close().await
}

/// Sluice comes to a running app and goes again, and is killed once in either half.
async fn visit(stage: &Stage, first: usize) -> Result<()> {
    let lane = Lane::set(stage, &format!("crash-visit-{first}")).await?;
    let scene = &lane.scene;
    let mut app = App::new("shop", "v1");
    // Once the route is gone, pods end as those of any Deployment do: with a `preStop` sleep no proxy hears
    // of it too late, on a machine that does six of these at once.
    app.pre_stop = Some(3);
    scene.deploy(&app).await?;
    scene.scale_target("shop", 2).await?;
    serves_itself(scene).await?;
    let load = scene.load("shop", 8080, RATE).await?;
    let policy = lane.policy(POLICY);
    let run = async |kill| {
        let come = async || scene.canary("shop", &policy).await;
        let adopted = async || {
            let new = scene.revision_of(&app).await?;
            let expected = [
                "Deployment new 2",
                "Deployment shop 0",
                "Event Adopted new",
                "Event RolloutStarted new",
                "PodTemplate new Promoted: no gate applied",
                "Service new",
                "history Promoted new",
                "phase Succeeded",
                "pods new 2",
                "route new 100%",
                "stable new",
            ];
            reaches(scene, &[("new", &new)], &expected, PATIENCE).await
        };
        let come = lane
            .survive(kill, come, adopted)
            .await
            .context("adoption")?;
        let go = async || {
            let params = DeleteParams::default();
            scene.api::<Canary>().delete("shop", &params).await?;
            Ok(())
        };
        let handed_over = async || {
            eventually("the Canary gone", PATIENCE, async || {
                let canary = scene.api::<Canary>().get_opt("shop").await?;
                Ok(canary.map_or(Ok(()), |_| Err("there")))
            })
            .await?;
            scene
                .only_left("shop", &[], Duration::from_secs(20))
                .await?;
            serves_itself(scene).await
        };
        let go = lane
            .survive(kill, go, handed_over)
            .await
            .context("deletion")?;
        unharmed(&load)?;
        Ok(come || go)
    };
    strike("adoption and deletion", first, run).await?;
    no_failure(&load.stop().await)?;
    lane.close().await
}

fn unharmed(load: &Load) -> Result<()> {
    let totals = load.snapshot().totals;
    ensure!(totals.all.failed == 0, "users saw {:#?}", totals.failures);
    Ok(())
}

/// The Deployment of Git has its pods.
async fn serves_itself(scene: &Scene<'_>) -> Result<()> {
    let patience = Duration::from_secs(20);
    eventually("the Deployment serves itself", patience, async || {
        let status = scene.api::<Deployment>().get("shop").await?.status;
        let ready = status.and_then(|status| status.ready_replicas);
        Ok(if ready == Some(2) {
            Ok(())
        } else {
            Err(format!("{ready:?} pods ready"))
        })
    })
    .await
}
