//! Two controllers, of which one acts: when it dies, is cut off, freezes or ends, the other goes on.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use chrono::{DateTime, TimeDelta, Utc};
use e2e::cluster::audit::{Event, Mark};
use e2e::stage::{App, SECOND, Scene, Stage, USER, eventually, no_failure, serves};

/// How long the rollout may stand still when nobody says goodbye.
const UNANNOUNCED: TimeDelta = TimeDelta::seconds(20);
/// And when somebody does.
const ANNOUNCED: TimeDelta = TimeDelta::seconds(2);
/// How long the holder may write after the API server received its renewal, with half a second for a
/// write that was on its way.
const WRITES: TimeDelta = TimeDelta::milliseconds(10_500);
/// A step of a rollout that has what it needs.
const STEP: Duration = Duration::from_secs(20);

/// One rollout passes from hand to hand four times, and ends well. At no time do two write, and none
/// writes after its lease ran out.
pub(crate) async fn whatever_becomes_of_one_the_other_goes_on(stage: &Stage) -> Result<()> {
    let scene = stage.scene("two").await?;
    let v1 = App::new("shop", "v1");
    scene.deploy(&v1).await?;
    let load = scene.load("shop", 8080, 300.0).await?;
    let bake = |weight, bake| format!("{{weight: {weight}%, bake: {bake}s}}");
    let steps = [bake(10, 2), bake(20, 2), bake(30, 2), bake(50, 8)].join(", ");
    let more = format!("replicas: 1\nsteps: [{steps}]\nprogressDeadline: 3m\n");
    scene.adopt(&v1, &more).await?;
    let old = scene.revision_of(&v1).await?;
    let first = &stage.controller;
    let second = stage.second().await?;
    ensure!(first.leads().await?, "the first one does not lead");
    ensure!(!second.controller.leads().await?, "both lead");
    // From a renewal of the first one on: that is its first term.
    let all = stage.cluster.audit().mark()?;
    eventually("a renewal", UNANNOUNCED.to_std()?, async || {
        let events = stage.cluster.audit().since(all)?;
        let renewed = |event: &Event| event.writes() && event.by(USER) && event.about("leases");
        Ok(events
            .iter()
            .find(|event| renewed(event))
            .map(|_| ())
            .ok_or("none"))
    })
    .await?;
    let v2 = v1.tagged("v2");
    scene.deploy(&v2).await?;

    let new = scene.at_step(&v2, 1, STEP).await?;
    let mark = now(&scene)?;
    first.kill().await?;
    goes_on(&scene, SECOND, mark, UNANNOUNCED, "killed").await?;
    first.restart().await?;

    scene.at_step(&v2, 2, STEP).await?;
    ensure!(!first.leads().await?, "the restarted one leads");
    let mark = now(&scene)?;
    second.relay.cut();
    goes_on(&scene, USER, mark, UNANNOUNCED, "cut off").await?;
    second.relay.mend();

    scene.at_step(&v2, 3, STEP).await?;
    ensure!(!second.controller.leads().await?, "the mended one leads");
    let mark = now(&scene)?;
    first.freeze().await?;
    goes_on(&scene, SECOND, mark, UNANNOUNCED, "frozen").await?;
    first.thaw().await?;

    scene.at_step(&v2, 4, STEP).await?;
    ensure!(!first.leads().await?, "the thawed one leads");
    first.ready().await?;
    let mark = now(&scene)?;
    second.controller.end().await?;
    let by_hand = |backend: &str| if backend == old { 95 } else { 5 };
    scene.edit_route("shop", by_hand).await?;
    goes_on(&scene, USER, mark, ANNOUNCED, "ended in order").await?;

    let end = scene.outcome(&v2, 2 * STEP).await?;
    serves(&end, &new)?;
    ensure!(first.leads().await?, "nobody leads");
    one_at_a_time(&stage.cluster.audit().since(all)?)?;
    no_failure(&load.stop().await)?;
    scene.close().await
}

/// Here and now, in the audit log and by its clock.
fn now(scene: &Scene<'_>) -> Result<(Mark, DateTime<Utc>)> {
    Ok((scene.stage.cluster.audit().mark()?, Utc::now()))
}

/// Waits for a write of `user` about the rollout.
async fn goes_on(
    scene: &Scene<'_>,
    user: &str,
    (mark, begun): (Mark, DateTime<Utc>),
    within: TimeDelta,
    fate: &str,
) -> Result<()> {
    let what = format!("{user} goes on after the other was {fate}");
    let patience = within.to_std()? + Duration::from_secs(5);
    let at = eventually(&what, patience, async || {
        let events = scene.stage.cluster.audit().since(mark)?;
        let about = |event: &&Event| event.inside(&scene.namespace) && !event.about("events");
        let mut writes = events
            .iter()
            .filter(|event| event.writes() && event.by(user));
        let first = writes.find(about).map(received).transpose()?;
        Ok(first.ok_or("nothing written"))
    })
    .await?;
    let took = at - begun;
    println!(
        "two_controllers: one was {fate}, the other wrote after {:.2} s",
        took.as_seconds_f64()
    );
    ensure!(took <= within, "{what}: only after {took}");
    Ok(())
}

/// Whoever writes was the last to write the Lease, and not too long ago.
fn one_at_a_time(events: &[Event]) -> Result<()> {
    let mut ours: Vec<_> = events
        .iter()
        .filter(|event| event.writes() && (event.by(USER) || event.by(SECOND)))
        .map(|event| Ok((received(event)?, event)))
        .collect::<Result<_>>()?;
    ours.sort_by_key(|(at, _)| *at);
    let mut lease: Option<(DateTime<Utc>, &str)> = None;
    let (mut writes, mut terms) = (0, 0);
    for (at, event) in ours {
        let user = event.user.username.as_str();
        if event.about("leases") {
            if event.succeeded() {
                terms += usize::from(lease.is_none_or(|(_, holder)| holder != user));
                lease = Some((at, user));
            }
            continue;
        }
        // What came before the first renewal in this part of the log is another story's.
        let Some((renewed, holder)) = lease else {
            continue;
        };
        writes += 1;
        let what = format!("{at} {user}: {} {}", event.verb, event.request_uri);
        ensure!(holder == user, "{what}, while {holder} had the lease");
        ensure!(
            at - renewed <= WRITES,
            "{what}, {} after its last renewal",
            at - renewed
        );
    }
    println!("two_controllers: {writes} writes in {terms} terms");
    // First, second, first, second, first.
    ensure!(terms == 5, "{terms} terms");
    Ok(())
}

fn received(event: &Event) -> Result<DateTime<Utc>> {
    let text = &event.request_received_timestamp;
    text.parse().with_context(|| format!("no time: {text}"))
}
