//! A newer template comes while one is judged: the newest is the only one that matters.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use e2e::cluster::Shares;
use e2e::stage::{App, Recording, Split, Stage, eventually, no_failure, says, serves};

const RATE: f64 = 300.0;

/// How long a ready revision waits for the mesh before it gets traffic: the policy says the same.
const SETTLE: Duration = Duration::from_secs(3);
/// Envoy closes the connections of an old route with their next answer. By then each of the clients'
/// has had one more request.
const LAST_ANSWERS: Duration = Duration::from_millis(500);
/// About 20 requests at a tenth of the rate, well within the bake: what is to be taken back must have been there.
const A_FEW_REQUESTS: Duration = Duration::from_millis(700);

/// The stable version gets everything back before the newest starts, at the first step; the one that
/// was judged never had more than its weight, and never serves again.
pub(crate) async fn the_newest_starts_anew(stage: &Stage) -> Result<()> {
    let scene = stage.scene("newer").await?;
    let v1 = App::new("shop", "v1");
    scene.deploy(&v1).await?;
    let load = scene.load("shop", 8080, RATE).await?;
    scene
        .adopt(
            &v1,
            "replicas: 2\nsteps: [{weight: 10%, bake: 3s}, {weight: 50%, bake: 1s}]\n",
        )
        .await?;
    let old = scene.revision_of(&v1).await?;
    let routed = scene.record_weights("shop").await?;

    let (v2, v3) = (v1.tagged("v2"), v1.tagged("v3"));
    scene.deploy(&v2).await?;
    let skipped = scene.at_step(&v2, 1, Duration::from_secs(20)).await?;
    scene
        .envoy_sends(
            "shop",
            8080,
            &Shares::from([(old.clone(), 90.0), (skipped.clone(), 10.0)]),
        )
        .await?;
    tokio::time::sleep(A_FEW_REQUESTS).await;
    scene.deploy(&v3).await?;
    // The stable version may have everything for no longer than the newest one takes to get ready.
    let wait = Duration::from_secs(5);
    eventually("Envoy sends nothing to v2", wait, async || {
        let rules = scene.waypoint.route_shares("shop", 8080).await?;
        let gone = |rule: &Shares| !rule.contains_key(&skipped);
        Ok(if !rules.is_empty() && rules.iter().all(gone) {
            Ok(())
        } else {
            Err(format!("{rules:?}"))
        })
    })
    .await?;
    let left = load.now() + LAST_ANSWERS;
    let end = scene.outcome(&v3, Duration::from_secs(40)).await?;
    let new = scene.revision_of(&v3).await?;
    serves(&end, &new)?;

    let report = load.stop().await;
    no_failure(&report)?;
    let ended = report.ended();
    ensure!(
        ended.iter().any(|answer| answer.is_from("v2")),
        "v2 never served: nothing is shown"
    );
    let late = ended
        .iter()
        .find(|answer| answer.is_from("v2") && answer.sent > left);
    ensure!(
        late.is_none(),
        "v2 serves again: {late:?}, it left at {left:?}"
    );
    let split = |parts: &[(&str, f64)]| -> Shares {
        parts
            .iter()
            .map(|(name, share)| ((*name).to_owned(), *share))
            .collect()
    };
    let expected = [
        split(&[(&old, 100.0)]),
        split(&[(&old, 90.0), (&skipped, 10.0)]),
        split(&[(&old, 100.0)]),
        split(&[(&old, 90.0), (&new, 10.0)]),
        split(&[(&old, 50.0), (&new, 50.0)]),
        split(&[(&new, 100.0)]),
    ];
    ensure!(
        weights(&routed) == expected,
        "{:#?}, not {expected:#?}",
        weights(&routed)
    );
    let events = scene.events("shop").await?.join("\n");
    says(
        &events,
        &[&format!(
            "Superseded: the template changed while {skipped} was judged"
        )],
    )?;
    scene
        .only_left("shop", &[&old, &new], Duration::from_secs(20))
        .await?;
    scene.close().await
}

/// Three versions within a second: the last one is rolled out, those before it never serve.
pub(crate) async fn of_three_at_once_the_last_one_serves(stage: &Stage) -> Result<()> {
    let scene = stage.scene("three").await?;
    let v1 = App::new("shop", "v1");
    scene.deploy(&v1).await?;
    let load = scene.load("shop", 8080, RATE).await?;
    scene
        .adopt(
            &v1,
            "replicas: 2\nsettle: 3s\nsteps: [{weight: 20%, bake: 1s}]\n",
        )
        .await?;
    let old = scene.revision_of(&v1).await?;
    let routed = scene.record_weights("shop").await?;

    let begun = Instant::now();
    let v4 = v1.tagged("v4");
    for app in [&v1.tagged("v2"), &v1.tagged("v3"), &v4] {
        scene.deploy(app).await?;
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    ensure!(
        begun.elapsed() < SETTLE,
        "a version had the time to serve before the next one came"
    );
    let end = scene.outcome(&v4, Duration::from_secs(40)).await?;
    let new = scene.revision_of(&v4).await?;
    serves(&end, &new)?;
    scene
        .only_left("shop", &[&old, &new], Duration::from_secs(20))
        .await?;

    let report = load.stop().await;
    no_failure(&report)?;
    let served: Vec<_> = report.totals.versions.keys().map(String::as_str).collect();
    ensure!(served == ["v1", "v4"], "users met {served:?}");
    let named: BTreeSet<_> = weights(&routed)
        .into_iter()
        .flat_map(Shares::into_keys)
        .collect();
    let wanted = BTreeSet::from([old.clone(), new.clone()]);
    ensure!(named == wanted, "the route named {named:?}");
    // Envoy's own counters, by the Service that it chose.
    let stats = scene.waypoint.stats().await?;
    let chosen = stats
        .lines()
        .filter(|line| line.starts_with("envoy_x_istio_requests_total"));
    let chosen: BTreeSet<_> = chosen
        .filter_map(|line| {
            line.split(r#"destination_service_name=""#)
                .nth(1)?
                .split('"')
                .next()
        })
        .filter(|name| name.starts_with("shop-"))
        .map(str::to_owned)
        .collect();
    ensure!(chosen == wanted, "Envoy sent requests to {chosen:?}");
    scene.close().await
}

/// What the one route said, in order.
fn weights(routed: &Recording<Split>) -> Vec<Shares> {
    routed
        .all()
        .into_iter()
        .map(|seen| seen.what.weights)
        .collect()
}
