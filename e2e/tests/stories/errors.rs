//! A version that fails requests is taken back before many users meet it, and stays away.

use std::time::Duration;

use anyhow::{Result, ensure};
use e2e::cluster::Shares;
use e2e::load::Ended;
use e2e::stage::{App, Scene, Stage, condition, eventually, list, says};
use k8s_openapi::api::core::v1::Service;
use sluice_crds::{CanaryStatus, Outcome, Phase, annotations};

/// Its first bad answer and the end of its traffic lie so many scrapes apart at most.
const SCRAPES: usize = 2;
const RATE: f64 = 300.0;
/// Two scrapes like these are proof, also if one of them is short or has less than half of the answers bad.
const SPEC: &str = "\
replicas: 2
slos: [{name: availability, objective: 99.9%, availability: {}}]
";

/// Half of the candidate's requests fail. Its weight is 0 at Envoy within two scrapes of the first
/// bad answer; the verdict is told with numbers, is kept with the snapshot, and holds until a person
/// orders another try, which is one.
pub(crate) async fn a_failing_version_is_rolled_back_and_stays_away(stage: &Stage) -> Result<()> {
    let scene = stage.scene("errors").await?;
    let v1 = App::new("shop", "v1");
    scene.deploy(&v1).await?;
    let load = scene.load("shop", 8080, RATE).await?;
    scene.adopt(&v1, SPEC).await?;
    scene.scraped().await?;
    let old = scene.revision_of(&v1).await?;

    let v2 = v1.tagged("v2-fail50");
    scene.deploy(&v2).await?;
    let end = scene.outcome(&v2, Duration::from_secs(30)).await?;
    let new = scene.revision_of(&v2).await?;
    ensure!(
        !scene.pods(&new).await?.is_empty(),
        "{new} lost its pods before its drain"
    );
    scene
        .envoy_sends("shop", 8080, &Shares::from([(old.clone(), 100.0)]))
        .await?;
    told(&scene, &end, &old, &new).await?;
    scene.pods_gone(&new, Duration::from_secs(15)).await?;

    // Removed after the pods. From here on Sluice is at rest.
    let services = scene.api::<Service>();
    eventually("its Service gone", Duration::from_secs(5), async || {
        Ok(services
            .get_opt(&new)
            .await?
            .map_or(Ok(()), |_| Err("there")))
    })
    .await?;
    // The audit log's line of the removal is written behind it.
    tokio::time::sleep(Duration::from_millis(500)).await;
    again_changes_nothing(&scene, &v2).await?;

    let retried_at = load.now();
    scene.order("shop", annotations::RETRY, &new).await?;
    let is_tried = |status: &CanaryStatus| status.rollout.as_ref().map(|_| ());
    scene
        .until("shop", "another try", Duration::from_secs(10), is_tried)
        .await?;
    let end = scene.outcome(&v2, Duration::from_secs(30)).await?;
    rejections(&end, &new, 2)?;
    // The order is still there. Were it obeyed again, it would be at once.
    scene.pods_gone(&new, Duration::from_secs(15)).await?;
    let end = scene.status("shop").await?;
    ensure!(end.phase == Some(Phase::Failed), "tried again: {end:?}");
    rejections(&end, &new, 2)?;

    let began = load.began();
    let report = load.stop().await;
    let ended = report.ended();
    let (first, second) = ended.split_at(ended.partition_point(|ended| ended.at < retried_at));
    for (title, part) in [("the rollout", first), ("the retry", second)] {
        let is_failure = |answer: &Ended| answer.outcome.is_failure();
        let exposed = scene.exposure(began, part, "v2", is_failure).await?;
        println!("errors: {title} exposed users for {exposed}");
        ensure!(
            exposed.scrapes <= SCRAPES,
            "{title}: v2 was sent more for {exposed}"
        );
    }
    only_from_candidate(&ended)?;
    scene.close().await
}

/// Status, Event and snapshot say why, with numbers, and what to do.
async fn told(scene: &Scene<'_>, end: &CanaryStatus, old: &str, new: &str) -> Result<()> {
    ensure!(
        end.phase == Some(Phase::Failed),
        "{new} was not rejected: {end:?}"
    );
    ensure!(
        end.stable.as_deref() == Some(old),
        "{old} is not the stable one: {end:?}"
    );
    let promoted = condition(end, "Promoted")?;
    ensure!(
        promoted.status == "False",
        "Promoted is {}",
        promoted.status
    );
    let numbers = [
        "availability: ",
        " requests were good (",
        "the objective is 99.900%",
        "the stable revision had 100.000%",
    ];
    says(&promoted.message, &numbers)?;
    says(&promoted.message, &[&format!("sluice.dev/retry: {new}")])?;
    rejections(end, new, 1)?;
    let events = scene.events("shop").await?.join("\n");
    says(&events, &[&format!("RolledBack: {new} was rejected")])?;
    says(&events, &numbers)?;
    let verdict = scene.verdict("shop", new).await?.to_string();
    says(&verdict, &[r#""outcome":"Rejected""#])?;
    says(&verdict, &numbers)
}

/// The same template, applied anew, and a controller that starts anew: neither tries it again.
async fn again_changes_nothing(scene: &Scene<'_>, rejected: &App) -> Result<()> {
    let mark = scene.stage.cluster.audit().mark()?;
    scene.deploy(rejected).await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    scene.silent_since(mark, "the same YAML applied again")?;
    scene.stage.controller.kill().await?;
    scene.stage.controller.restart().await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let mut asked = scene.asked_since(mark)?;
    asked.retain(e2e::cluster::audit::Event::writes);
    ensure!(asked.is_empty(), "after a restart: {}", list(&asked));
    let status = scene.status("shop").await?;
    ensure!(status.phase == Some(Phase::Failed), "{status:?}");
    Ok(())
}

fn rejections(status: &CanaryStatus, revision: &str, wanted: usize) -> Result<()> {
    let rejected = status
        .history
        .iter()
        .filter(|entry| entry.revision == revision && entry.outcome == Outcome::RolledBack);
    let found = rejected.count();
    ensure!(
        found == wanted,
        "{revision} was rejected {found} times: {:?}",
        status.history
    );
    Ok(())
}

/// All that users lost was the candidate's doing.
fn only_from_candidate(ended: &[Ended]) -> Result<()> {
    let others = ended
        .iter()
        .find(|e| e.outcome.is_failure() && !e.is_from("v2"));
    ensure!(
        others.is_none(),
        "a failure that is not the candidate's: {others:?}"
    );
    Ok(())
}
