//! Delivered by a real Argo CD: automated sync, prune and self-heal, without a rule of what to ignore.

pub(crate) mod orders;
pub(crate) mod removal;
pub(crate) mod rollout;

use anyhow::{Context, Result, ensure};
use e2e::cluster::audit::Mark;
use e2e::delivery::argo::{Application, Apply, State, USER};
use e2e::delivery::{Commit, Delivery, Repository, monitor};
use e2e::stage::{App, Recording, Scene, app, list};

/// Requests per second of the app's users.
const RATE: f64 = 200.0;
/// No annotation of the Canary.
const NONE: &str = "{}";
/// All pods of the app.
const PODS: &str = "app=shop";

/// A team: its app, the repository that it pushes to, and the Application that delivers it.
struct Team<'a> {
    scene: Scene<'a>,
    repository: Repository,
    application: Application,
    app: App,
    /// The Canary's metadata beside name and namespace, as a YAML flow mapping, and its spec.
    canary: Option<(String, String)>,
    /// What an autoscaler scales, if there is one.
    scales: Option<&'static str>,
}

impl<'a> Team<'a> {
    /// A namespace with an empty repository, which Argo CD follows.
    async fn new(delivery: &'a Delivery, name: &str, apply: Apply) -> Result<Self> {
        let scene = delivery.stage.scene(name).await?;
        let repository = delivery.git.repository(name).await?;
        let argo = delivery.argo().await?;
        let url = delivery.git.address(name);
        repository
            .commit(&[("README.md", "What the shop runs.\n")], "nothing yet")
            .await?;
        repository.push().await?;
        Ok(Self {
            scene,
            repository,
            application: argo.deliver(&url, name, apply).await?,
            app: App::new("shop", "v1"),
            canary: None,
            scales: None,
        })
    }

    /// The quick policy and `more`, as the Canary's spec.
    fn spec(&self, more: &str) -> String {
        let policy = app::quick_policy(self.scene.stage.cluster.prometheus_url());
        app::merged(&policy, more)
    }

    /// Commits what the team wants, pushes it, and waits until it is delivered.
    async fn push(&self, message: &str) -> Result<Commit> {
        let namespace = &self.scene.namespace;
        let app = self.app.yaml(namespace);
        let canary = self.canary.as_ref().map(|(annotations, spec)| {
            let canary = app::canary(namespace, "shop", spec);
            canary.replace(
                "name: shop, namespace",
                &format!("annotations: {annotations}, name: shop, namespace"),
            )
        });
        let autoscaler = self.scales.map(|kind| autoscaler(namespace, kind));
        let monitor = monitor::yaml(namespace, "shop");
        let mut files = vec![("app.yaml", app.as_str()), ("monitor.yaml", &monitor)];
        files.extend(canary.as_deref().map(|yaml| ("canary.yaml", yaml)));
        files.extend(autoscaler.as_deref().map(|yaml| ("autoscaler.yaml", yaml)));
        let commit = self.repository.commit(&files, message).await?;
        self.delivered(&commit).await?;
        Ok(commit)
    }

    /// Pushes a commit and waits until it is delivered.
    async fn delivered(&self, commit: &Commit) -> Result<()> {
        self.repository.push().await?;
        self.application.delivered(&commit.id).await?;
        Ok(())
    }

    /// Waits until the Application is as healthy as wanted.
    async fn health(&self, wanted: &str) -> Result<State> {
        let is_it = |state: &State| state.health == wanted;
        self.application.until(wanted, is_it).await
    }

    /// From here on Argo CD is to write nothing.
    async fn watch(&self) -> Result<Watch> {
        Ok(Watch {
            mark: self.scene.stage.cluster.audit().mark()?,
            states: self.application.record().await?,
        })
    }

    /// Fails if Argo CD wrote anything since, began a sync operation, or saw a difference; tells which
    /// healths the Application had, in their order.
    fn nothing_to_do(&self, watch: &Watch) -> Result<Vec<String>> {
        let states = watch.states.all();
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
        let mut wrote = self.scene.stage.cluster.audit().since(watch.mark)?;
        wrote.retain(|event| {
            event.by(USER) && event.writes() && event.inside(&self.scene.namespace)
        });
        ensure!(wrote.is_empty(), "Argo CD wrote: {}", list(&wrote));
        Ok(healths)
    }

    /// Deletes the Application with all that it delivered, and what the story made.
    async fn close(self) -> Result<()> {
        self.application.delete().await?;
        self.scene.close().await
    }
}

/// What Argo CD does from some moment on.
struct Watch {
    mark: Mark,
    states: Recording<State>,
}

fn autoscaler(namespace: &str, kind: &str) -> String {
    let version = match kind {
        "Canary" => "sluice.dev/v1alpha1",
        _ => "apps/v1",
    };
    format!(
        "apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {{name: cpu, namespace: {namespace}}}
spec:
  scaleTargetRef: {{apiVersion: {version}, kind: {kind}, name: shop}}
  minReplicas: 3
  maxReplicas: 5
"
    )
}
