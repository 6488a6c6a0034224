//! Nobody is hung up on: answers that take seconds end well, whatever happens to the version that gives
//! them.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::load::{Ended, Load, Outcome, Report};
use e2e::stage::{App, Life, Recording, Scene, Seen, Split, Stage, Turn, no_failure};
use k8s_openapi::api::core::v1::{Pod, Service};
use sluice_crds::Phase;
use tokio::time::Instant;

/// Answers take so long: far longer than Envoy needs to follow a route.
const LONG: Duration = Duration::from_secs(3);
/// Pods are killed within a second of being told to go: nothing but the drain keeps what they serve.
const GRACE: &str = "1";
const DRAIN: Duration = Duration::from_secs(4);
const POLICY: &str = "replicas: 2\ndrainDelay: 4s\n\
    steps: [{weight: 30%, bake: 2s}, {weight: 60%, bake: 2s}]\n\
    slos: [{name: availability, objective: 99%, availability: {}}]\n";
/// The traffic is measured over some scrapes, and each connection has one more answer by old weights.
const PROOF: Duration = Duration::from_secs(26);
/// The watch of the pods and that of the route are two.
const WATCHES: Duration = Duration::from_millis(300);

/// A promotion, a newer template and a failure, with keep-alive clients and answers of seconds: no
/// connection is cut. Pods of a version that left keep running for the drain, and go before their
/// Service.
pub(crate) async fn long_answers_end_well(stage: &Stage) -> Result<()> {
    let scene = stage.scene("draining").await?;
    let v1 = App::new("shop", "v1").with("terminationGracePeriodSeconds", GRACE);
    scene.deploy(&v1).await?;
    scene.adopt(&v1, POLICY).await?;
    let mut spec = scene.clients("shop", 8080, 200.0).await?;
    let calls = Load::start(spec.clone())?;
    spec.path = format!("/stream/{}", LONG.as_millis());
    // Few, so that none is idle for as long as the drain: Envoy keeps the old route of an idle connection
    // for up to 45 s, and its next request goes by that. Production's drainDelay outlasts it.
    (spec.rate, spec.connections, spec.timeout) = (5.0, 18, 5 * LONG);
    let kept = Load::start(spec.clone())?;
    // A connection that is kept follows the old weights until it has had one more answer. With answers
    // of seconds that outlasts a step, so others come anew each time.
    spec.keep_alive = false;
    (spec.rate, spec.connections) = (15.0, 100);
    let long = Load::start(spec)?;
    let routed = scene.record_weights("shop").await?;
    let pods = scene.record_lives::<Pod>("shop").await?;
    let services = scene.record_lives::<Service>("shop").await?;
    tokio::time::sleep(LONG).await;

    let second = v1.tagged("v2");
    ends(&scene, &second, Phase::Succeeded).await?;
    let (third, fourth) = (v1.tagged("v3"), v1.tagged("v4"));
    scene.deploy(&third).await?;
    let superseded = scene.at_step(&third, 1, Duration::from_secs(30)).await?;
    // A few of its answers begin before it is superseded, and it is far from promoted.
    tokio::time::sleep(Duration::from_secs(2)).await;
    ends(&scene, &fourth, Phase::Succeeded).await?;
    let fifth = v1.tagged("v5-fail40");
    ends(&scene, &fifth, Phase::Failed).await?;
    let rejected = scene.revision_of(&fifth).await?;
    let first = scene.revision_of(&v1).await?;
    let promoted = scene.revision_of(&second).await?;
    for left in [&superseded, &rejected] {
        scene
            .pods_gone(left, DRAIN + Duration::from_secs(20))
            .await?;
    }
    let gone = async || Ok(all_gone(&services, &[&superseded, &rejected]));
    e2e::stage::eventually("their Services gone", Duration::from_secs(10), gone).await?;

    let (long, calls) = (long.stop().await, calls.stop().await);
    no_failure(&kept.stop().await).context("connections that are kept")?;
    no_failure(&long).context("connections of one answer")?;
    for version in ["v1", "v2", "v3", "v4", "v5"] {
        ensure!(
            long.totals.versions.contains_key(version),
            "no long answer of {version}: nothing is shown: {long}"
        );
    }
    outlasts(&long, &routed, &rejected)?;
    only_its_own_errors(&calls, "v5")?;
    for (revision, kept) in [
        (&first, true),
        (&promoted, true),
        (&superseded, false),
        (&rejected, false),
    ] {
        drained(revision, &routed, &pods, &services, kept)
            .with_context(|| format!("drain of {revision}"))?;
    }
    scene.close().await
}

async fn ends(scene: &Scene<'_>, app: &App, phase: Phase) -> Result<()> {
    scene.deploy(app).await?;
    let end = scene.outcome(app, Duration::from_mins(1)).await?;
    ensure!(end.phase == Some(phase), "{} ended as {end:?}", app.tag);
    Ok(())
}

/// Whether none of these has a Service any more; says which has.
fn all_gone(services: &Recording<Life>, revisions: &[&String]) -> Result<(), String> {
    let services = services.all();
    let left: Vec<_> = revisions
        .iter()
        .filter(|revision| turned(&services, revision, Turn::Gone).is_empty())
        .collect();
    if left.is_empty() {
        Ok(())
    } else {
        Err(format!("{left:?}"))
    }
}

/// Long answers of the rejected version ended after the route had left it: else the story shows nothing.
fn outlasts(report: &Report, routed: &Recording<Split>, rejected: &str) -> Result<()> {
    let left_at = left_at(routed, rejected)?;
    let long = |answer: &Ended| answer.is_from("v5") && answer.latency() >= LONG;
    let last = last_at(report, long).context("no long answer of v5")?;
    ensure!(
        last > left_at,
        "the last answer of v5 ended before the route left it"
    );
    Ok(())
}

/// When the last of these answers ended. The load's clock and the watches' have their present in common.
pub(crate) fn last_at(report: &Report, of: impl Fn(&Ended) -> bool) -> Option<Instant> {
    let ended = report.ended();
    let last = ended.iter().filter(|answer| of(answer));
    let last = last.map(|answer| answer.at).max()?;
    Some(Instant::now() - report.elapsed.saturating_sub(last))
}

/// Nobody met an error but those that the bad version gives by itself.
fn only_its_own_errors(calls: &Report, bad: &str) -> Result<()> {
    let foreign = |ended: &&Ended| {
        let own = ended.outcome == Outcome::Status(500) && ended.is_from(bad);
        ended.outcome.is_failure() && !own
    };
    let ended = calls.ended();
    let found = ended.iter().find(foreign);
    ensure!(
        found.is_none(),
        "a failure that is not {bad}'s: {found:?}, {calls}"
    );
    Ok(())
}

/// When the route named a revision no more, after it had named it.
fn left_at(routed: &Recording<Split>, revision: &str) -> Result<Instant> {
    let seen = routed.all();
    let last = seen
        .iter()
        .rposition(|seen| seen.what.weights.contains_key(revision));
    let next = seen.get(last.context("never routed")? + 1);
    Ok(next.context("still routed")?.at)
}

/// When things of a revision took this turn.
pub(crate) fn turned(seen: &[Seen<Life>], revision: &str, turn: Turn) -> Vec<Instant> {
    let of = seen.iter().filter(|seen| seen.what.revision == revision);
    of.filter(|seen| seen.what.turn == turn)
        .map(|seen| seen.at)
        .collect()
}

/// Its pods were told to go when the drain was over, not before and not long after, and its Service, if
/// it goes, after them.
fn drained(
    revision: &str,
    routed: &Recording<Split>,
    pods: &Recording<Life>,
    services: &Recording<Life>,
    kept: bool,
) -> Result<()> {
    let left_at = left_at(routed, revision)?;
    let (pods, services) = (pods.all(), services.all());
    let told = turned(&pods, revision, Turn::Going);
    let (first, gone) = (told.iter().min(), turned(&pods, revision, Turn::Gone));
    let kept_for = *first.context("its pods were never told to go")? - left_at;
    ensure!(
        kept_for + WATCHES >= DRAIN,
        "its pods went after {kept_for:?}"
    );
    // Each write of the route begins the drain of all that left it anew, and that of the stable revision
    // begins once its traffic is seen to be gone: connections that are kept still follow old weights.
    let writes = routed.all().into_iter().map(|seen| seen.at);
    let last = writes
        .filter(|at| Some(at) < first)
        .max()
        .unwrap_or(left_at);
    let idle = first.map(|first| *first - last).unwrap_or_default();
    ensure!(idle < DRAIN + PROOF, "its pods went only after {idle:?}");
    let service = turned(&services, revision, Turn::Gone);
    ensure!(
        service.is_empty() == kept,
        "Service gone: {}, kept: {kept}",
        !service.is_empty()
    );
    if let (Some(service), Some(last)) = (service.first(), gone.iter().max()) {
        ensure!(
            *service + WATCHES >= *last,
            "its Service went before its pods"
        );
    }
    Ok(())
}
