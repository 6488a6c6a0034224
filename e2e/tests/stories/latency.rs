//! A version that answers well but late is taken back as well.

use std::time::Duration;

use anyhow::{Result, ensure};
use e2e::cluster::Shares;
use e2e::stage::{App, Stage, condition, exposure, no_failure, says};
use sluice_crds::Phase;

/// Prometheus scrapes every second.
const THREE_SCRAPES: Duration = Duration::from_secs(3);
/// The threshold of the latency SLO.
const SLOW: Duration = Duration::from_millis(250);
/// All answers late is a hundred times what this allows, and two such scrapes are proof. At 95% it would be
/// twenty times, and take a third.
const SPEC: &str = "\
replicas: 2
slos: [{name: latency, objective: 99%, latency: {threshold: 250ms}}]
";

/// Every answer of the candidate takes 400 ms; 99 % must take 250 ms at most.
pub(crate) async fn a_slow_version_is_rolled_back(stage: &Stage) -> Result<()> {
    let scene = stage.scene("latency").await?;
    let v1 = App::new("shop", "v1");
    scene.deploy(&v1).await?;
    let load = scene.load("shop", 8080, 300.0).await?;
    scene.adopt(&v1, SPEC).await?;
    let old = scene.revision_of(&v1).await?;

    let v2 = v1.tagged("v2-slow400");
    scene.deploy(&v2).await?;
    let end = scene.outcome(&v2, Duration::from_secs(30)).await?;
    let new = scene.revision_of(&v2).await?;
    ensure!(
        end.phase == Some(Phase::Failed),
        "{new} was not rejected: {end:?}"
    );
    scene
        .envoy_sends("shop", 8080, &Shares::from([(old, 100.0)]))
        .await?;
    let promoted = condition(&end, "Promoted")?;
    ensure!(
        promoted.status == "False",
        "Promoted is {}",
        promoted.status
    );
    let numbers = [
        "latency: 0 of ",
        " requests were good (0.000%)",
        "the objective is 99.000%",
    ];
    says(&promoted.message, &numbers)?;
    says(&scene.events("shop").await?.join("\n"), &numbers)?;
    scene.pods_gone(&new, Duration::from_secs(15)).await?;

    let report = load.stop().await;
    let exposed = exposure(&report.ended(), "v2", |answer| answer.latency() > SLOW)?;
    println!(
        "latency: users were exposed for {:.2} s",
        exposed.as_secs_f64()
    );
    ensure!(exposed <= THREE_SCRAPES, "v2 answered for {exposed:?} more");
    no_failure(&report)?;
    scene.close().await
}
