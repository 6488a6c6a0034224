//! The apps: deployed, called by users, and adopted.

use std::time::Duration;

use anyhow::{Context, Result};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use sluice_crds::Phase;

use super::journal::Journal;
use super::judge::Answers;
use super::rules::RATE;
use super::schedule::{first, name};
use crate::load::{self, Load, Tally};
use crate::stage::Scene;

/// Apps that are set up at once: a machine with two cores starts many pods slowly anyway.
const AT_ONCE: usize = 5;
/// Connections of the clients of one app. A slow version with half the requests holds nine of them.
const CONNECTIONS: usize = 16;
const ADOPTION: Duration = Duration::from_mins(2);

/// The users of all apps, in their order.
pub(super) struct Fleet {
    loads: Vec<Load>,
}

impl Fleet {
    /// Deploys all apps and lets users at them; no Canary yet. Users stay for `lasts` at most.
    pub(super) async fn launch(
        scene: &Scene<'_>,
        canaries: usize,
        lasts: Duration,
    ) -> Result<Self> {
        let one = |canary: usize| async move {
            let name = name(canary);
            scene.deploy(&first(canary).app(&name)).await?;
            let clients = scene.clients(&name, 8080, RATE).await?;
            Load::start(load::Spec {
                connections: CONNECTIONS,
                max_duration: lasts,
                ..clients
            })
        };
        let loads = stream::iter(0..canaries).map(one).buffered(AT_ONCE);
        let loads = loads.try_collect().await.context("launching the apps")?;
        Ok(Self { loads })
    }

    /// Makes the Canaries and waits until all are adopted.
    pub(super) async fn adopt(scene: &Scene<'_>, canaries: usize, spec: &str) -> Result<()> {
        let one = |canary: usize| async move {
            let name = name(canary);
            scene.canary(&name, spec).await?;
            scene.phase(&name, Phase::Succeeded, ADOPTION).await?;
            Ok(())
        };
        let adopted = stream::iter(0..canaries).map(one).buffer_unordered(AT_ONCE);
        adopted.try_collect().await
    }

    /// What users got so far.
    pub(super) fn answers(&self, journal: &Journal) -> Vec<Answers> {
        let answers = |load: &Load| Answers::new(load.ended(), journal.now(), load.now());
        self.loads.iter().map(answers).collect()
    }

    /// All requests, and those that nobody could send in time: the machine's fault, and told.
    pub(super) fn totals(&self) -> (Tally, u64) {
        let mut all = Tally::default();
        let mut skipped = 0;
        for load in &self.loads {
            let totals = load.snapshot().totals;
            all.requests += totals.all.requests;
            all.failed += totals.all.failed;
            skipped += totals.skipped;
        }
        (all, skipped)
    }

    /// Failures that no app answered, in words: the first few of each app.
    pub(super) fn words(&self) -> Vec<String> {
        let one = |(canary, load): (usize, &Load)| -> Vec<String> {
            let failures = load.snapshot().totals.failures;
            let foreign = failures
                .into_iter()
                .filter(|failure| failure.version.is_none());
            let line = |failure: load::Failure| {
                let load::Failure { outcome, words, .. } = failure;
                format!("{}: {outcome}: {words}", name(canary))
            };
            foreign.map(line).collect()
        };
        self.loads.iter().enumerate().flat_map(one).collect()
    }

    /// Sends no more.
    pub(super) fn stop(&self) {
        for load in &self.loads {
            load.set_rate(0.0);
        }
    }
}
