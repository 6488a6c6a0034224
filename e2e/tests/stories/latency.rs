//! A version that answers well but late is taken back as well.

use std::time::Duration;

use anyhow::{Result, ensure};
use e2e::cluster::Shares;
use e2e::load::Ended;
use e2e::stage::{App, Stage, condition, no_failure, says};
use sluice_crds::Phase;

/// Its first bad answer and the end of its traffic lie so many scrapes apart at most.
const SCRAPES: usize = 3;
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
    scene.scraped().await?;
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

    let began = load.began();
    let report = load.stop().await;
    let is_slow = |answer: &Ended| answer.latency() > SLOW;
    let exposed = scene
        .exposure(began, &report.ended(), "v2", is_slow)
        .await?;
    println!("latency: users were exposed for {exposed}");
    ensure!(exposed.scrapes <= SCRAPES, "v2 was sent more for {exposed}");
    no_failure(&report)?;
    scene.close().await
}
