//! What Argo CD does from some moment on: its sync operations, what its Application says, what it writes.

use anyhow::{Context as _, Result, ensure};
use e2e::cluster::audit::{self, Mark};
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
        self.syncs(team, &[]).await
    }

    /// The same where the Canary goes: Argo CD finds it as long as it is there, and self-heal asks again and again to
    /// prune it, which deletes nothing a second time.
    pub(super) async fn one_sync_a_commit_and_prune(&self, team: &Team<'_>) -> Result<()> {
        self.syncs(team, &["Canary/shop"]).await?;
        let mut deleted = self.wrote(team)?;
        deleted.retain(|event| event.verb == "delete");
        ensure!(
            deleted.len() == 1 && deleted.iter().all(|event| event.about("canaries")),
            "Argo CD deleted: {}",
            list(&deleted)
        );
        Ok(())
    }

    async fn syncs(&self, team: &Team<'_>, going: &[&str]) -> Result<()> {
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
        let asked_again = |heals: &[String]| {
            !heals.is_empty() && heals.iter().all(|object| going.contains(&object.as_str()))
        };
        let told = since
            .iter()
            .filter(|operation| !asked_again(&operation.heals));
        let brought = told.clone().map(|operation| operation.revision.as_str());
        ensure!(
            brought.eq(commits.lines()) && told.clone().all(|operation| operation.heals.is_empty()),
            "{}: the commits are {commits:?}, the sync operations {since:#?}",
            team.scene.namespace
        );
        Ok(())
    }

    fn wrote(&self, team: &Team<'_>) -> Result<Vec<audit::Event>> {
        let mut wrote = team.scene.stage.cluster.audit().since(self.mark)?;
        wrote.retain(|event| {
            event.by(USER) && event.writes() && event.inside(&team.scene.namespace)
        });
        Ok(wrote)
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
        let wrote = self.wrote(team)?;
        ensure!(wrote.is_empty(), "Argo CD wrote: {}", list(&wrote));
        Ok(healths)
    }
}
