//! The API server goes away and comes back, or refuses what it is asked.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::app::admin;
use e2e::cluster::{Refusal, Shares, Write};
use e2e::stage::app::{merged, quick_policy};
use e2e::stage::{App, Gated, Scene, Stage, address, eventually, no_failure, serves};
use futures::future::try_join_all;
use kube::api::DeleteParams;
use sluice_crds::{Canary, Outcome, Phase};
use tokio::time::{Instant, sleep};

const RATE: f64 = 200.0;
const OUTAGE: Duration = Duration::from_mins(1);
/// How soon after its return the route gives a bad candidate nothing. For some seconds the API server
/// refuses everybody, until it has read the rights again; then every cache is filled anew, and the
/// verdict needs a few scrapes.
const SOON: Duration = Duration::from_secs(20);
/// How long istiod and the controllers of Kubernetes may take to ask again: they pause for up to a minute
/// (client-go's back-off, with its jitter). Nobody's traffic moves before.
const OTHERS: Duration = Duration::from_secs(100);

/// A minute without an API server: Envoy goes on as before. A good rollout goes on from where it was; a
/// candidate that turned bad meanwhile is taken back within seconds of the API server's return.
pub(crate) async fn a_rollout_outlasts_a_minute_without_the_api_server(
    stage: &Stage,
) -> Result<()> {
    let result = Box::pin(outlasts(stage)).await;
    let followed = Box::pin(follows_again(stage)).await;
    result.and(followed)
}

/// Those who come after need an istiod that hears of new Services, policies and pods.
async fn follows_again(stage: &Stage) -> Result<()> {
    let scene = stage.scene("api-outage-after").await?;
    let app = App::new("shop", "v1");
    scene.deploy(&app).await?;
    scene.waypoint.bound("shop", OTHERS).await?;
    scene.adopt(&app, "replicas: 1\n").await?;
    scene.close().await
}

async fn outlasts(stage: &Stage) -> Result<()> {
    let (good, bad) = tokio::try_join!(
        Half::set(
            stage,
            "api-outage-good",
            "steps: [{weight: 20%, bake: 8s}, {weight: 50%, bake: 1s}]\n"
        ),
        Half::set(
            stage,
            "api-outage-bad",
            "steps: [{weight: 20%, bake: 10m}]\n"
        ),
    )?;
    let routed = good.scene.record_weights("shop").await?;
    let judged = bad.scene.pods(&bad.new).await?;
    ensure!(!judged.is_empty(), "no pods to judge");

    let server = stage.cluster.api_server();
    server.stop().await?;
    let began = Instant::now();
    let meanwhile = async {
        sleep(Duration::from_secs(5)).await;
        for pod in &judged {
            admin::set_behaviour(address(pod)?, "v2-fail50").await?;
        }
        while began.elapsed() < OUTAGE {
            good.is_split().await?;
            bad.is_split().await?;
            sleep(Duration::from_secs(1)).await;
        }
        anyhow::Ok(())
    };
    let meanwhile = meanwhile.await;
    let turned = bad.load.snapshot().totals.all.failed;
    // It must run again for those who come after, whatever was seen.
    server.start().await?;
    let back = Instant::now();
    meanwhile?;
    ensure!(turned > 100, "the candidate was not bad: {turned} failures");

    let whole = Shares::from([(bad.old.clone(), 100.0)]);
    eventually("the bad candidate without weight", SOON, async || {
        let weights = bad.scene.weights("shop").await?;
        Ok(if weights == whole {
            Ok(())
        } else {
            Err(format!("{weights:?}"))
        })
    })
    .await?;
    let routed_back = back.elapsed();
    eventually("the bad candidate without traffic", OTHERS, async || {
        let shares = bad.scene.waypoint.route_shares("shop", 8080).await?;
        let gone = !shares.is_empty() && shares.iter().all(|rule| *rule == whole);
        Ok(if gone {
            Ok(())
        } else {
            Err(format!("{shares:?}"))
        })
    })
    .await?;
    println!(
        "api outage: the route goes back {:.1} s after the return, Envoy {:.1} s",
        routed_back.as_secs_f64(),
        back.elapsed().as_secs_f64()
    );

    // Until the mesh surely listens nothing grows; then there are two steps to go.
    let end = good
        .scene
        .outcome(&good.candidate, OTHERS + Duration::from_mins(1))
        .await?;
    ensure!(end.phase == Some(Phase::Succeeded), "not promoted: {end:?}");
    let split =
        |share: f64| Shares::from([(good.old.clone(), 100.0 - share), (good.new.clone(), share)]);
    let expected = [
        split(20.0),
        split(50.0),
        Shares::from([(good.new.clone(), 100.0)]),
    ];
    let said: Vec<_> = routed
        .all()
        .into_iter()
        .map(|seen| seen.what.weights)
        .collect();
    ensure!(said == expected, "{said:#?}, not {expected:#?}");
    let end = bad.scene.outcome(&bad.candidate, OTHERS).await?;
    ensure!(end.phase == Some(Phase::Failed), "not rejected: {end:?}");
    once(&end.history, &bad.new, Outcome::RolledBack)?;

    no_failure(&good.load.stop().await)?;
    let report = bad.load.stop().await;
    let others = report
        .ended()
        .into_iter()
        .find(|e| e.outcome.is_failure() && !e.is_from("v2"));
    ensure!(
        others.is_none(),
        "a failure that is not the candidate's: {others:?}"
    );
    stage.cluster.alive().await?;
    good.scene.close().await?;
    bad.scene.close().await
}

/// A rollout in its first step.
struct Half<'a> {
    scene: Scene<'a>,
    load: e2e::load::Load,
    candidate: App,
    old: String,
    new: String,
}

impl<'a> Half<'a> {
    async fn set(stage: &'a Stage, name: &str, steps: &str) -> Result<Self> {
        let scene = stage.scene(name).await?;
        let app = App::new("shop", "v1");
        scene.deploy(&app).await?;
        let load = scene.load("shop", 8080, RATE).await?;
        scene
            .adopt(&app, &format!("replicas: 2\nprogressDeadline: 5m\n{steps}"))
            .await?;
        let old = scene.revision_of(&app).await?;
        let candidate = app.tagged("v2");
        scene.deploy(&candidate).await?;
        let new = scene
            .at_step(&candidate, 1, Duration::from_secs(30))
            .await?;
        Ok(Self {
            scene,
            load,
            candidate,
            old,
            new,
        })
    }

    /// Envoy sends requests as before.
    async fn is_split(&self) -> Result<()> {
        let shares = self.scene.waypoint.route_shares("shop", 8080).await?;
        let split = Shares::from([(self.old.clone(), 80.0), (self.new.clone(), 20.0)]);
        ensure!(
            !shares.is_empty() && shares.iter().all(|rule| *rule == split),
            "Envoy follows {shares:?}"
        );
        Ok(())
    }
}

fn once(history: &[sluice_crds::HistoryEntry], revision: &str, outcome: Outcome) -> Result<()> {
    let entries = history.iter().filter(|entry| entry.revision == revision);
    let outcomes: Vec<_> = entries.map(|entry| entry.outcome).collect();
    ensure!(outcomes == [outcome], "{revision}: {outcomes:?}");
    Ok(())
}

/// How often each kind of write is refused.
const TIMES: usize = 2;

/// Every kind of write is refused twice, as a conflict, for want of capacity, or by an error inside the API
/// server: the end is the same, no request of users fails, and Sluice neither storms nor asks before the
/// time that it was told.
pub(crate) async fn refused_writes_change_nothing_but_the_time(stage: &Stage) -> Result<()> {
    let refusal = |status, retry_after| Refusal {
        status,
        retry_after,
        times: TIMES,
    };
    let refusals = [
        refusal(409, None),
        refusal(429, Some(1)),
        refusal(500, None),
    ];
    stage.controller.end().await?;
    let result = try_join_all(refusals.map(|refusal| refused(stage, refusal))).await;
    stage.controller.restart().await?;
    result.map(|_| ())
}

async fn refused(stage: &Stage, refusal: Refusal) -> Result<()> {
    let name = format!("refused-{}", refusal.status);
    let scene = stage.scene(&name).await?;
    let sluice = stage.gated(&name).await?;
    let v1 = App::new("shop", "v1");
    scene.deploy(&v1).await?;
    scene.scale_target("shop", 2).await?;
    let load = scene.load("shop", 8080, RATE).await?;
    let asked = |part: &'static str| {
        let writes = sluice.gate.writes();
        is_bounded(&writes, refusal).with_context(|| format!("{part}: {writes:#?}"))
    };

    sluice.gate.refuse(refusal);
    scene.canary("shop", &policy(stage)).await?;
    scene
        .phase("shop", Phase::Succeeded, Duration::from_mins(1))
        .await?;
    let old = scene.revision_of(&v1).await?;
    asked("adoption")?;

    sluice.gate.refuse(refusal);
    let v2 = v1.tagged("v2");
    scene.deploy(&v2).await?;
    let end = scene.outcome(&v2, Duration::from_mins(1)).await?;
    let new = scene.revision_of(&v2).await?;
    serves(&end, &new)?;
    once(&end.history, &old, Outcome::Promoted)?;
    once(&end.history, &new, Outcome::Promoted)?;
    scene.pods_gone(&old, Duration::from_secs(40)).await?;
    asked("rollout")?;
    let failed = load.snapshot().totals.all.failed;
    ensure!(failed == 0, "{failed} requests failed");

    sluice.gate.refuse(refusal);
    let v3 = v2.tagged("v3-fail50");
    scene.deploy(&v3).await?;
    let end = scene.outcome(&v3, Duration::from_mins(1)).await?;
    let bad = scene.revision_of(&v3).await?;
    ensure!(
        end.phase == Some(Phase::Failed),
        "{bad} was not rejected: {end:?}"
    );
    once(&end.history, &bad, Outcome::RolledBack)?;
    scene.pods_gone(&bad, Duration::from_secs(40)).await?;
    asked("rollback")?;
    told(
        &scene,
        &[("Adopted", &old), ("Promoted", &new), ("RolledBack", &bad)],
    )
    .await?;

    sluice.gate.refuse(refusal);
    scene.deploy(&v2).await?;
    scene
        .phase("shop", Phase::Succeeded, Duration::from_secs(30))
        .await?;
    scene
        .api::<Canary>()
        .delete("shop", &DeleteParams::default())
        .await?;
    scene.only_left("shop", &[], Duration::from_mins(1)).await?;
    asked("deletion")?;
    let report = load.stop().await;
    let others = report
        .ended()
        .into_iter()
        .find(|e| e.outcome.is_failure() && !e.is_from("v3"));
    ensure!(
        others.is_none(),
        "a failure that is not the bad version's: {others:?}"
    );
    let Gated { controller, .. } = &sluice;
    controller.alive().await?;
    scene.close().await
}

fn policy(stage: &Stage) -> String {
    let quick = quick_policy(stage.cluster.prometheus_url());
    merged(&quick, "replicas: 2\nsteps: [{weight: 20%, bake: 1s}]\n")
}

/// Each refused write was asked for again, and nothing more than that; after an answer that asked for time,
/// nothing until it was over.
fn is_bounded(writes: &[Write], refusal: Refusal) -> Result<()> {
    let refused = writes.iter().filter(|write| write.status == refusal.status);
    let (refused, done) = (
        refused.count(),
        writes.iter().filter(|w| w.is_done()).count(),
    );
    ensure!(refused >= 3 * TIMES, "only {refused} writes were refused");
    ensure!(
        writes.len() <= 2 * done + refused,
        "{} writes asked for, {done} done, {refused} refused",
        writes.len()
    );
    let Some(seconds) = refusal.retry_after else {
        return Ok(());
    };
    for (one, next) in writes.iter().zip(writes.iter().skip(1)) {
        let pause = next.at.duration_since(one.at);
        // The answer is a moment on its way.
        ensure!(
            one.status != refusal.status || pause >= Duration::from_secs(seconds),
            "{} was asked {pause:?} after {} was refused",
            next.what,
            one.what
        );
    }
    Ok(())
}

/// Each of these Events was told of these revisions.
async fn told(scene: &Scene<'_>, wanted: &[(&str, &str)]) -> Result<()> {
    eventually("Events", Duration::from_secs(15), async || {
        let events = scene.events("shop").await?;
        let is_told = |(reason, revision): &&(&str, &str)| {
            let start = format!("{reason}: {revision}");
            events.iter().any(|event| event.starts_with(&start))
        };
        let missing: Vec<_> = wanted.iter().filter(|event| !is_told(event)).collect();
        Ok(if missing.is_empty() {
            Ok(())
        } else {
            Err(format!("{missing:?} missing in {events:#?}"))
        })
    })
    .await
}
