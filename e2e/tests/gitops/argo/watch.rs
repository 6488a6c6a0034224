//! What Argo CD does from some moment on: its sync operations, what its Application says, what it writes.

use anyhow::{Context as _, Result, ensure};
use e2e::cluster::audit::{self, Mark};
use e2e::delivery::Commit;
use e2e::delivery::argo::{Operation, State, USER};
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
    ///
    /// Self-heal may ask once more for what Argo CD itself does not know yet: it compares with what it knew before its own
    /// sync, or the Canary is still on its way out. So a self-heal counts once Argo CD saw the commit's objects as in
    /// Git, when the difference is somebody else's; and one for what is there on one side alone does not.
    pub(super) async fn one_sync_a_commit(&self, team: &Team<'_>) -> Result<()> {
        let range = format!("{}..HEAD", self.from.id);
        let commits = team
            .repository
            .git(&["rev-list", "--reverse", &range])
            .await?;
        let states: Vec<_> = self
            .states
            .all()
            .into_iter()
            .map(|seen| seen.what)
            .collect();
        let mut before = states.first().context("no state of the Application")?;
        let mut last = &before.operation;
        let mut since: Vec<&Operation> = Vec::new();
        let mut as_in_git = true;
        for state in &states {
            let operation = &state.operation;
            // Between two there is none.
            if !operation.began.is_empty() && operation != last {
                last = operation;
                let lone = before.on_one_side.iter().chain(&state.on_one_side);
                let again = |object: &String| lone.clone().any(|one| one == object);
                let by_commit = operation.heals.is_empty();
                if by_commit || as_in_git && !operation.heals.iter().all(again) {
                    since.push(operation);
                }
                as_in_git &= !by_commit;
            }
            as_in_git |= state.sync == "Synced" && state.revision == last.revision;
            before = state;
        }
        let brought = since.iter().map(|operation| operation.revision.as_str());
        let heals = since.iter().any(|operation| !operation.heals.is_empty());
        ensure!(
            !heals && brought.eq(commits.lines()),
            "{}: the commits are {commits:?}, the sync operations {since:#?}, of {states:#?}",
            team.scene.namespace
        );
        Ok(())
    }

    /// Fails unless Argo CD deleted the Canary, once, and nothing else.
    pub(super) fn pruned_the_canary(&self, team: &Team<'_>) -> Result<()> {
        let mut deleted = self.wrote(team)?;
        deleted.retain(|event| event.verb == "delete");
        ensure!(
            deleted.len() == 1 && deleted.iter().all(|event| event.about("canaries")),
            "Argo CD deleted: {}",
            list(&deleted)
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
