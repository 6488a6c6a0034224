//! Sluice is killed after every single write of a rollout, a rollback, an adoption and a deletion, one
//! run for each: the end is always the same, and no user notices.
//!
//! The worst moment is right behind a write: the API server has done it, and Sluice does not know. A
//! [gate](e2e::cluster::Gate) between Sluice and the API server strikes there. How many writes there are
//! an undisturbed run tells: run `i` strikes after write `i`, until all of them had their turn and a run ends before
//! its own.

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
use lane::{Kill, Lane, Run};

/// Requests per second of each lane.
const RATE: f64 = 100.0;
/// Lanes of one kind share its writes: one strikes after 1, 3, 5, the other after 2, 4, 6.
const LANES: usize = 2;
/// How many bad answers a run may cost users before its candidate is taken back: a restart and a few
/// scrapes at 10 bad answers a second.
const BAD_ANSWERS: u64 = 150;
const PATIENCE: Duration = Duration::from_secs(40);
/// By how many writes two runs of one kind may differ; one is usual. The status tells what is waited for, and changes once
/// more or less as pods, the mesh and scrapes come a moment earlier or later; the last Event may come behind the end that
/// is looked for. All else is the same in every run.
const VARY: usize = 2;

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

/// A run that is left alone, to count its writes; one struck after each of them; and one struck after every write. What a
/// run returns is of each of its halves.
async fn strike<const HALVES: usize>(
    what: &str,
    first: usize,
    mut run: impl AsyncFnMut(Kill) -> Result<[Run; HALVES]>,
) -> Result<()> {
    let whole = run(Kill::Never).await;
    let whole = whole.with_context(|| format!("{what}, left alone"))?;
    let whole = whole.map(|half| half.writes);
    let most = whole.into_iter().max().unwrap_or_default();
    let mut last = [0; HALVES];
    let mut after = first;
    loop {
        let ran = run(Kill::After(after)).await;
        let ran = ran.with_context(|| format!("{what}, killed after write {after}"))?;
        for (last, _) in last.iter_mut().zip(ran).filter(|(_, half)| half.struck) {
            *last = after;
        }
        // A run of fewer writes ends before its own once or twice: the lane goes on to what they were in the first.
        if after >= most && ran.iter().all(|half| !half.struck) {
            break;
        }
        after += LANES;
    }
    for (last, whole) in last.into_iter().zip(whole) {
        // This lane's last is the last of all, or the one before it.
        ensure!(
            whole > LANES && last + (LANES - 1) + VARY >= whole,
            "{what}: of {whole} writes the last that was struck is {last}"
        );
    }
    let every = run(Kill::AfterEvery).await;
    let every = every.with_context(|| format!("{what}, killed after every write"))?;
    ensure!(every.iter().all(|half| half.struck), "{what}: not struck");
    println!(
        "crash: {what}: killed after each of the writes {first}, {}, … {last:?} of {whole:?}, and after all of them in one run",
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
        let ran = lane.survive(kill, async || scene.deploy(&app).await, ended);
        let ran = ran.await?;
        unharmed(&load)?;
        Ok([ran])
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
        let ran = lane.survive(kill, async || scene.deploy(&bad).await, ended);
        let ran = ran.await?;
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
        Ok([ran])
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
            scene.canary_gone("shop", PATIENCE).await?;
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
        Ok([come, go])
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
