//! What happens, in order.

use anyhow::Result;

use super::chapter::{Act, Chapter};
use super::follow::{Subject, follow, rest};
use super::gitops::Agent;
use super::manifests::{self, File, NAME, PORT};
use super::pods::Comparison;
use super::screen::Screen;
use super::watch::Watch;
use crate::delivery::repository::{Commit, Repository};
use crate::load::{Load, Report};
use crate::stage::{App, Scene};

/// Requests per second of all users together.
const RATE: f64 = 300.0;

/// Tags of the versions.
const FIRST: &str = "v1";
const GOOD: &str = "v2";
const BAD: &str = "v3-fail20";

/// Who plays.
pub(super) struct Cast<'a> {
    pub(super) scene: &'a Scene<'a>,
    pub(super) repository: &'a Repository,
    pub(super) agent: &'a Agent<'a>,
    pub(super) screen: &'a Screen,
}

/// What happened.
pub(super) struct Tale {
    /// In order; it ends early if one does not end as it should.
    pub(super) chapters: Vec<Chapter>,
    /// The good version's pods, looked at again after the bad version came and went.
    pub(super) pods: Option<Comparison>,
    /// What users saw.
    pub(super) report: Report,
}

#[derive(Default)]
struct Told {
    chapters: Vec<Chapter>,
    pods: Option<Comparison>,
}

enum Change<'a> {
    Write(&'a [File], &'a str),
    Revert(&'a Commit),
}

impl Cast<'_> {
    /// Plays all of it.
    pub(super) async fn play(&self) -> Result<Tale> {
        let first = [manifests::app(FIRST)];
        let commit = self.commit(&Change::Write(&first, "podinfo v1")).await?;
        self.agent.applied(&commit).await?;
        let load = self.users().await?;
        let mut told = Told::default();
        {
            let watch = Watch::start(self.scene, &load).await?;
            tokio::select! {
                failed = watch.run(self.screen) => match failed? {},
                end = self.tell(&watch, &mut told) => end?,
            }
        }
        self.screen.clear();
        let report = load.stop().await;
        Ok(Tale {
            chapters: told.chapters,
            pods: told.pods,
            report,
        })
    }

    /// Users of the app, from now on.
    pub(super) async fn users(&self) -> Result<Load> {
        let starting = self.scene.load(NAME, PORT, RATE);
        let what = "waiting for the app's first answer";
        let load = self.screen.during("users", what, starting).await?;
        let rate = format!("{RATE} requests per second, through the waypoint, from now on");
        self.screen.say("users", &rate);
        Ok(load)
    }

    async fn tell(&self, watch: &Watch<'_>, told: &mut Told) -> Result<()> {
        let policy = manifests::policy(self.scene.stage.cluster.prometheus_url());
        let canary = [policy, manifests::canary()];
        let change = Change::Write(&canary, "Deliver podinfo with Sluice");
        let Some(_) = self
            .chapter(watch, Act::Adoption, FIRST, &change, told)
            .await?
        else {
            return Ok(());
        };
        let files = [manifests::app(GOOD)];
        let change = Change::Write(&files, "Ship v2");
        let Some(good) = self.chapter(watch, Act::Good, GOOD, &change, told).await? else {
            return Ok(());
        };
        let files = [manifests::app(BAD)];
        let change = Change::Write(&files, "Ship v3");
        let Some(bad) = self.chapter(watch, Act::Bad, BAD, &change, told).await? else {
            return Ok(());
        };
        let change = Change::Revert(&bad);
        let Some(_) = self
            .chapter(watch, Act::RevertBad, GOOD, &change, told)
            .await?
        else {
            return Ok(());
        };
        let mut chapters = told.chapters.iter();
        if let Some(good) = chapters.find(|chapter| chapter.act == Act::Good) {
            let pods = Comparison::with(&good.judged, self.scene, &good.revision).await?;
            told.pods = Some(pods);
        }
        let change = Change::Revert(&good);
        self.chapter(watch, Act::RevertGood, FIRST, &change, told)
            .await?;
        Ok(())
    }

    /// Commits and follows; the commit if all went as it should.
    async fn chapter(
        &self,
        watch: &Watch<'_>,
        act: Act,
        tag: &str,
        change: &Change<'_>,
        told: &mut Told,
    ) -> Result<Option<Commit>> {
        let pushed = watch.begin_chapter();
        let commit = self.commit(change).await?;
        self.agent.applied(&commit).await?;
        let subject = Subject {
            act,
            version: tag.split('-').next().unwrap_or(tag),
            revision: self.scene.revision_of(&App::new(NAME, tag)).await?,
            pushed,
        };
        let chapter = follow(subject, self.scene, watch, self.screen).await?;
        let went_well = chapter.went_well();
        told.chapters.push(chapter);
        if went_well {
            rest(watch).await?;
        }
        Ok(went_well.then_some(commit))
    }

    async fn commit(&self, change: &Change<'_>) -> Result<Commit> {
        let (commit, shown) = match change {
            Change::Write(files, message) => {
                let written = files.iter().map(|file| (file.path, file.content.as_str()));
                let written: Vec<_> = written.collect();
                (self.repository.commit(&written, message).await?, *files)
            }
            Change::Revert(commit) => (self.repository.revert(commit).await?, [].as_slice()),
        };
        self.screen.say("git", &commit.to_string());
        for file in shown {
            self.show(file);
        }
        Ok(commit)
    }

    fn show(&self, file: &File) {
        let Some(origin) = file.origin else {
            let image = file.content.lines().find(|line| line.contains("image:"));
            let image = image.unwrap_or_default().trim();
            return self.screen.more(&format!("{}: {image}", file.path));
        };
        self.screen.more(&format!("{}, {origin}:", file.path));
        for line in file.content.lines().filter(|line| !line.starts_with('#')) {
            self.screen.quote(line);
        }
    }
}
