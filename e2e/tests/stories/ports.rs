//! A Service with two ports: both carry the same weights at each step.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::cluster::Shares;
use e2e::load::Load;
use e2e::stage::{App, Scene, Stage, eventually, no_failure, serves, weights};

/// Clients' requests per second, on each port.
const RATE: f64 = 300.0;
/// Requests per step and port, at least, from which the share is computed.
const ENOUGH: u64 = 1_200;
const PORTS: [u16; 2] = [8080, 8081];

/// A port without a route would reach every pod alike, whatever the weights: each has its own route,
/// and users of each meet the new version as often.
pub(crate) async fn both_ports_carry_the_weights(stage: &Stage) -> Result<()> {
    let scene = stage.scene("ports").await?;
    let mut v1 = App::new("shop", "v1");
    v1.ports = PORTS.to_vec();
    scene.deploy(&v1).await?;
    let loads = [
        scene.load("shop", 8080, RATE).await?,
        scene.load("shop", 8081, RATE).await?,
    ];
    scene
        .adopt(
            &v1,
            "replicas: 2\nsteps: [{weight: 10%, bake: 4s}, {weight: 50%, bake: 4s}]\n",
        )
        .await?;
    let old = scene.revision_of(&v1).await?;

    let v2 = v1.tagged("v2");
    scene.deploy(&v2).await?;
    for (step, share) in [(1, 0.10), (2, 0.50)] {
        let new = scene.at_step(&v2, step, Duration::from_secs(30)).await?;
        let percent = share * 100.0;
        let split = Shares::from([(old.clone(), 100.0 - percent), (new, percent)]);
        routes_say(&scene, &split).await?;
        for port in PORTS {
            scene.envoy_sends("shop", port, &split).await?;
        }
        let marks = loads.each_ref().map(Load::now);
        for ((load, mark), port) in loads.iter().zip(marks).zip(PORTS) {
            let what = format!("{ENOUGH} answers at port {port}");
            let window = eventually(&what, Duration::from_secs(15), async || {
                let window = load.since(mark);
                let enough = window.all.requests >= ENOUGH;
                Ok(if enough {
                    Ok(window)
                } else {
                    Err(format!("{:?}", window.all))
                })
            })
            .await?;
            let met = window.share("v2").context("no answers")?;
            ensure!(
                met.contains(share),
                "port {port}: users met v2 in {met}, its weight is {share}"
            );
        }
    }
    let end = scene.outcome(&v2, Duration::from_secs(40)).await?;
    let new = scene.revision_of(&v2).await?;
    serves(&end, &new)?;
    routes_say(&scene, &Shares::from([(new, 100.0)])).await?;
    for load in loads {
        no_failure(&load.stop().await)?;
    }
    scene.close().await
}

/// Each port has a route of its own; both say the same.
async fn routes_say(scene: &Scene<'_>, split: &Shares) -> Result<()> {
    let routes = scene.routes("shop").await?;
    let mut ports = Vec::new();
    for route in &routes {
        let said = weights(route).context("a route without backends")?;
        ensure!(
            said == *split,
            "{:?} says {said:?}, not {split:?}",
            route.metadata.name
        );
        let port = route
            .data
            .pointer("/spec/parentRefs/0/port")
            .and_then(serde_json::Value::as_u64);
        ports.push(port.context("a route for all ports")?);
    }
    ports.sort_unstable();
    ensure!(ports == [8080, 8081], "routes for ports {ports:?}");
    Ok(())
}
