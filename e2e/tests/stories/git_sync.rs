//! Git learns how rollouts end: git-sync as a pod of its own, by `deploy/git-sync.yaml`, on a guarded Git server.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::cluster::audit::Mark;
use e2e::delivery::git::CREDENTIALS;
use e2e::delivery::{Commit, Repository, Server};
use e2e::stage::app::{self, merged, quick_policy};
use e2e::stage::{App, GitSync, Scene, Stage, eventually, list, says};
use sluice_crds::Phase;

use crate::rights;

const NAMESPACE: &str = "told";
const SHOP: &str = "shop";
const APP: &str = "shop/app.yaml";
const CANARY: &str = "shop/canary.yaml";
const RATE: f64 = 200.0;
const ROLLOUT: Duration = Duration::from_mins(1);
/// From the end of a rollout until Git knows it.
const SOON: Duration = Duration::from_secs(30);

/// A promotion is a commit that changes the marked line alone, and says why. A rejection is a branch that takes the image
/// back; merged, it starts no rollout. Another pod, with no copy of the repository, writes nothing again. Git asks for a
/// password and has a certificate of its own; the account may do no more than this takes.
pub(crate) async fn both_ends_of_a_rollout_are_told(stage: &Stage) -> Result<()> {
    let scene = stage.scene(NAMESPACE).await?;
    let server = Server::guarded(&stage.cluster.run_dir().join("git-sync")).await?;
    let git = server.repository(SHOP).await?;
    let v1 = App::new(SHOP, "v1");
    let policy = quick_policy(stage.cluster.prometheus_url());
    let mark = format!("# {{\"$sluice\": \"{NAMESPACE}/{SHOP}:promoted\"}}");
    let more = format!(
        "replicas: 2\npromoted:\n  images:\n  - name: app\n    image: 'demo:v1'   {mark}\n"
    );
    let canary = app::canary(NAMESPACE, SHOP, &merged(&policy, &more));
    git.commit(&[(APP, &marked(&v1)), (CANARY, &canary)], "shop")
        .await?;
    git.push().await?;
    stage.cluster.apply(&marked(&v1)).await?;
    stage.cluster.apply(&canary).await?;
    scene.phase(SHOP, Phase::Succeeded, ROLLOUT).await?;

    let begun = stage.cluster.audit().mark()?;
    let (username, password) = CREDENTIALS;
    let ca = server.ca().context("no authority")?;
    let secret = [
        ("username", username),
        ("password", password),
        ("ca.crt", ca),
    ];
    let sync = stage.git_sync(&server.address(SHOP), &secret).await?;
    let load = scene.load(SHOP, 8080, RATE).await?;

    let v2 = v1.tagged("v2");
    let asked = ship(&scene, &git, &v2).await?;
    let end = scene.outcome(&v2, ROLLOUT).await?;
    ensure!(end.phase == Some(Phase::Succeeded), "{end:?}");
    let serving = scene.revision_of(&v2).await?;
    let told = recorded(&git, &asked).await?;
    promotion(&git, &told, &serving).await?;
    noted(&scene, &format!("PromotionRecorded: commit {}", told.id)).await?;

    let v3 = v1.tagged("v3-fail50");
    let asked = ship(&scene, &git, &v3).await?;
    let end = scene.outcome(&v3, ROLLOUT).await?;
    ensure!(end.phase == Some(Phase::Failed), "{end:?}");
    let rejected = scene.revision_of(&v3).await?;
    let revert = rejection(&git, &asked, &rejected).await?;
    noted(
        &scene,
        &format!("RevertProposed: branch sluice/{NAMESPACE}/{SHOP}/{rejected} "),
    )
    .await?;

    // Merged as a person would: the cluster gets what it serves already.
    git.git(&["merge", "--quiet", "--ff-only", &revert]).await?;
    git.push().await?;
    let merged = git.git(&["show", &format!("{revert}:{APP}")]).await?;
    ensure!(merged == marked(&v2), "not what was there before: {merged}");
    let routed = scene.record_weights(SHOP).await?;
    stage.cluster.apply(&merged).await?;
    let end = scene.phase(SHOP, Phase::Succeeded, ROLLOUT).await?;
    ensure!(end.stable.as_deref() == Some(&*serving), "{end:?}");
    let weights = routed.all();
    ensure!(weights.len() == 1, "traffic moved: {weights:?}");

    let known = git.branches().await?;
    sync.replace().await?;
    let passes = "sluice_git_sync_passes_total{ok=\"true\"}";
    ensure!(sync.metric(passes).await? >= 1.0, "no pass");
    ensure!(
        git.branches().await? == known,
        "written again: {:?}",
        git.branches().await?
    );
    let commits = "sluice_git_sync_commits_total{kind=\"Recorded\"}";
    ensure!(sync.metric(commits).await? <= 0.0, "it counts what is not");

    let v4 = v1.tagged("v4");
    let asked = ship(&scene, &git, &v4).await?;
    let end = scene.outcome(&v4, ROLLOUT).await?;
    ensure!(end.phase == Some(Phase::Succeeded), "{end:?}");
    let told = recorded(&git, &asked).await?;
    noted(&scene, &format!("PromotionRecorded: commit {}", told.id)).await?;
    load.stop().await;
    eventually("the metrics say so", SOON, async || {
        let seen = (
            sync.metric(commits).await?,
            sync.metric("sluice_git_sync_lag_seconds").await?,
            sync.metric("sluice_git_sync_unwritten").await?,
        );
        let told = (1.0, 0.0, 0.0);
        Ok(if seen == told {
            Ok(())
        } else {
            Err(format!("{seen:?}"))
        })
    })
    .await?;
    sync.remove().await?;
    its_rights_are_the_least(stage, begun)?;
    scene.close().await
}

/// Waits for an Event on the Canary that begins so.
async fn noted(scene: &Scene<'_>, words: &str) -> Result<()> {
    eventually(words, SOON, async || {
        let events = scene.events(SHOP).await?;
        let found = events.iter().any(|event| event.starts_with(words));
        Ok(if found {
            Ok(())
        } else {
            Err(events.join("\n"))
        })
    })
    .await
}

/// What Git holds of the app, with a mark at its image.
fn marked(app: &App) -> String {
    let image = format!("image: demo:{}", app.tag);
    let mark = format!("# {{\"$sluice\": \"{NAMESPACE}/{SHOP}:image\"}}");
    app.yaml(NAMESPACE)
        .replace(&image, &format!("{image} {mark}"))
}

/// A person pushes another image, and a tool applies it.
async fn ship(scene: &Scene<'_>, git: &Repository, app: &App) -> Result<Commit> {
    git.pull().await?;
    let commit = git
        .commit(&[(APP, &marked(app))], &format!("Ship {}", app.tag))
        .await?;
    git.push().await?;
    scene.stage.cluster.apply(&marked(app)).await?;
    Ok(commit)
}

/// Waits for a commit upon `before`, and takes it over.
async fn recorded(git: &Repository, before: &Commit) -> Result<Commit> {
    eventually("a commit of git-sync", SOON, async || {
        let head = git.pull().await?;
        Ok(if head == *before {
            Err(format!("{head}"))
        } else {
            Ok(head)
        })
    })
    .await
}

/// Exactly this was changed, by one commit of git-sync's upon `before`.
async fn changed(
    git: &Repository,
    commit: &str,
    before: &str,
    path: &str,
    lines: [&str; 2],
) -> Result<()> {
    let format = "--format=%P%n%an <%ae>";
    let said = git
        .git(&["show", "--unified=0", "--no-color", format, commit])
        .await?;
    let mut found = said.lines();
    ensure!(found.next() == Some(before), "not upon {before}: {said}");
    ensure!(
        found.next() == Some("Sluice <sluice@sluice.invalid>"),
        "by whom: {said}"
    );
    let files: Vec<_> = said.lines().filter(|l| l.starts_with("+++ ")).collect();
    ensure!(files == [format!("+++ b/{path}")], "{said}");
    let begins = |line: &&str| line.starts_with(['+', '-']);
    let edited: Vec<_> = said
        .lines()
        .filter(begins)
        .filter(|line| !line.starts_with("+++ ") && !line.starts_with("--- "))
        .collect();
    ensure!(edited == lines, "{said}");
    Ok(())
}

async fn promotion(git: &Repository, told: &Commit, revision: &str) -> Result<()> {
    let text = git.git(&["show", &format!("{}:{CANARY}", told.id)]).await?;
    let line = text.lines().find(|line| line.contains("$sluice"));
    let after = line.context("no marked line")?;
    let mark = format!("   # {{\"$sluice\": \"{NAMESPACE}/{SHOP}:promoted\"}}");
    let begins = "      image: 'demo:v2@sha256:";
    ensure!(
        after.starts_with(begins) && after.ends_with(&format!("'{mark}")),
        "{after}"
    );
    let was = format!("-      image: 'demo:v1'{mark}");
    let is = format!("+{after}");
    let parent = git.git(&["rev-parse", &format!("{}^", told.id)]).await?;
    changed(git, &told.id, parent.trim(), CANARY, [&was, &is]).await?;
    let message = git.git(&["log", "-1", "--format=%B", &told.id]).await?;
    says(
        &message,
        &[
            "told/shop: promoted demo:v2@sha256:",
            &format!("{revision} serves all requests since "),
            "every gate passed",
            "  availability: 100% of ",
            " requests were good, the objective is 99%; of the stable revision's ",
            "Sluice-Canary: told/shop",
            &format!("Sluice-Revision: {revision}"),
            "Sluice-Outcome: promoted",
        ],
    )
}

/// Waits for the branch of a revert, looks at it, and returns its commit.
async fn rejection(git: &Repository, asked: &Commit, revision: &str) -> Result<String> {
    let branch = format!("refs/heads/sluice/{NAMESPACE}/{SHOP}/{revision}");
    let commit = eventually("the branch of a revert", SOON, async || {
        let branches = git.branches().await?;
        let ours = branches.iter().find_map(|line| line.strip_suffix(&*branch));
        let hash = ours.map(|hash| hash.trim().to_owned());
        Ok(hash.ok_or_else(|| format!("{branches:?}")))
    })
    .await?;
    ensure!(git.pull().await? == *asked, "something else on the branch");
    git.git(&["fetch", "--quiet", "origin", &branch]).await?;
    let mark = format!("# {{\"$sluice\": \"{NAMESPACE}/{SHOP}:image\"}}");
    let was = format!("-        image: demo:v3-fail50 {mark}");
    let is = format!("+        image: demo:v2 {mark}");
    changed(git, &commit, &asked.id, APP, [&was, &is]).await?;
    let message = git.git(&["log", "-1", "--format=%B", &commit]).await?;
    says(
        &message,
        &[
            "told/shop: back to demo:v2",
            &format!("{revision} was rejected at "),
            "  availability: ",
            "Sluice-Outcome: rejected",
        ],
    )?;
    Ok(commit)
}

fn its_rights_are_the_least(stage: &Stage, since: Mark) -> Result<()> {
    let rules = GitSync::rules()?;
    let granted = rules.iter().flat_map(rights::of_rule).collect();
    rights::used_all(stage, since, GitSync::USER, &granted)?;
    let mut events = stage.cluster.audit().since(since)?;
    events.retain(|event| {
        let answer = event.response_status.as_ref();
        event.by(GitSync::USER) && answer.is_some_and(|answer| answer.code >= 400)
    });
    ensure!(events.is_empty(), "refused: {}", list(&events));
    Ok(())
}
