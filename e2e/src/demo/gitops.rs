//! Stands in for Argo CD or Flux: applies what HEAD holds, whenever it changes.
//!
//! Unlike them it fetches nothing (the repository lies on this machine), prunes nothing, and does
//! not put back what others change.

use std::convert::Infallible;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::screen::Screen;
use crate::cluster::Cluster;
use crate::delivery::repository::{Commit, Repository};

/// How often HEAD is looked at.
const PERIOD: Duration = Duration::from_millis(300);
/// How long a commit may take to be applied.
const PATIENCE: Duration = Duration::from_secs(20);

/// The agent.
pub(super) struct Agent<'a> {
    repository: &'a Repository,
    cluster: &'a Cluster,
    /// The commit that was last applied whole.
    applied: watch::Sender<Option<Commit>>,
}

impl<'a> Agent<'a> {
    pub(super) fn new(repository: &'a Repository, cluster: &'a Cluster) -> Self {
        Self {
            repository,
            cluster,
            applied: watch::Sender::default(),
        }
    }

    /// Applies every new HEAD. What the API server refuses is told once and tried again.
    pub(super) async fn run(&self, screen: &Screen) -> Infallible {
        let mut told = String::new();
        loop {
            if let Err(error) = self.sync().await {
                let error = format!("{error:#}");
                if told != error {
                    screen.say("git", &format!("not applied: {error}"));
                    told = error;
                }
            }
            sleep(PERIOD).await;
        }
    }

    /// Says every commit that is applied from now on.
    pub(super) async fn announce(&self, screen: &Screen) {
        let mut applied = self.applied.subscribe();
        while applied.changed().await.is_ok() {
            if let Some(commit) = applied.borrow_and_update().as_ref() {
                screen.say("git", &commit.to_string());
            }
        }
    }

    /// Waits until a commit is applied.
    pub(super) async fn applied(&self, commit: &Commit) -> Result<()> {
        let mut applied = self.applied.subscribe();
        timeout(
            PATIENCE,
            applied.wait_for(|last| last.as_ref() == Some(commit)),
        )
        .await
        .with_context(|| format!("{commit} was not applied within {PATIENCE:?}"))??;
        Ok(())
    }

    async fn sync(&self) -> Result<()> {
        // Before the first commit there is no HEAD, and nothing to do.
        let Ok(head) = self.repository.head().await else {
            return Ok(());
        };
        if self.applied.borrow().as_ref() == Some(&head) {
            return Ok(());
        }
        let files = self.repository.files(&head).await?;
        self.cluster.apply(&files.join("\n---\n")).await?;
        self.applied.send_replace(Some(head));
        Ok(())
    }
}
