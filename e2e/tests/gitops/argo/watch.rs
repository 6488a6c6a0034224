//! What Argo CD does from some moment on: its sync operations, what its Application says, what it writes.

use anyhow::{Context as _, Result, ensure};
use e2e::cluster::audit::Mark;
use e2e::delivery::Commit;
use e2e::delivery::argo::{State, USER};
use e2e::stage::{Recording, list};

use super::Team;

/// What Argo CD does from some moment on.
pub(super) struct Watch {
    mark: Mark,
    /// The newest commit at that moment.
    from: Commit,
    states: Recording<State>,
}

impl Watch {
    pub(super) async fn on(team: &Team<'_>) -> Result<Self> {
        Ok(Self {
            mark: team.scene.stage.cluster.audit().mark()?,
            from: team.repository.head().await?,
            states: team.application.record().await?,
        })
    }

    /// Fails unless Argo CD began one sync operation for each commit that was made since, in their order, and no
    /// other: none that heals.
    pub(super) async fn one_sync_a_commit(&self, team: &Team<'_>) -> Result<()> {
        let range = format!("{}..HEAD", self.from.id);
        let commits = team
            .repository
            .git(&["rev-list", "--reverse", &range])
            .await?;
        let states = self.states.all();
        let mut operations: Vec<_> = states.into_iter().map(|seen| seen.what.operation).collect();
        // Between two there is none.
        operations.retain(|operation| !operation.began.is_empty());
        operations.dedup();
        let since = operations.get(1..).unwrap_or_default();
        let heals = since.iter().any(|operation| operation.heals);
        let brought = since.iter().map(|operation| operation.revision.as_str());
        ensure!(
            !heals && brought.eq(commits.lines()),
            "{}: the commits are {commits:?}, the sync operations {since:#?}",
            team.scene.namespace
        );
        Ok(())
    }

    /// Fails if Argo CD wrote anything since, began a sync operation, or saw a difference; tells which healths the
    /// Application had, in their order.
    pub(super) fn nothing_to_do(&self, team: &Team<'_>) -> Result<Vec<String>> {
        let states = self.states.all();
        let first = &states.first().context("no state of the Application")?.what;
        let mut healths = Vec::new();
        for seen in &states {
            let state = &seen.what;
            ensure!(state.sync == "Synced", "a difference: {state:?}");
            ensure!(
                state.operation == first.operation,
                "another sync operation: {state:?}"
            );
            if healths.last() != Some(&state.health) {
                healths.push(state.health.clone());
            }
        }
        let mut wrote = team.scene.stage.cluster.audit().since(self.mark)?;
        wrote.retain(|event| {
            event.by(USER) && event.writes() && event.inside(&team.scene.namespace)
        });
        ensure!(wrote.is_empty(), "Argo CD wrote: {}", list(&wrote));
        Ok(healths)
    }
}
