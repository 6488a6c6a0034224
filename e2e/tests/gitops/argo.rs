//! Delivered by a real Argo CD: automated sync, prune and self-heal, without a rule of what to ignore.

pub(crate) mod life;
pub(crate) mod orders;
pub(crate) mod removal;
pub(crate) mod rollout;
mod watch;

use anyhow::{Result, ensure};
use e2e::delivery::argo::{Application, Apply, MANAGER, State};
use e2e::delivery::{Commit, Delivery, Repository, monitor};
use e2e::stage::{App, Scene, app};
use k8s_openapi::api::apps::v1::Deployment;
use kube::ResourceExt as _;

use watch::Watch;

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
    /// The fewest pods that it lets run.
    fewest: u32,
}

impl<'a> Team<'a> {
    /// A namespace with an empty repository, which Argo CD follows.
    async fn new(delivery: &'a Delivery, story: &str, apply: Apply) -> Result<Self> {
        let name = &format!("argo-{story}-{}", apply.side());
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
            fewest: 3,
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
        let autoscaler = self
            .scales
            .map(|kind| autoscaler(namespace, kind, self.fewest));
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

    /// Pushes a commit without the Canary, and lets Argo CD look; does not wait.
    async fn drop_canary(&mut self) -> Result<Commit> {
        self.canary = None;
        let commit = self
            .repository
            .remove(&["canary.yaml"], "no Canary")
            .await?;
        self.repository.push().await?;
        self.application.look_again().await?;
        Ok(commit)
    }

    /// Waits until the Application is as healthy as wanted.
    async fn health(&self, wanted: &str) -> Result<State> {
        let is_it = |state: &State| state.health == wanted;
        self.application.until(wanted, is_it).await
    }

    /// From here on what Argo CD does is recorded.
    async fn watch(&self) -> Result<Watch> {
        Watch::on(self).await
    }

    /// Fails if Sluice ever put back what somebody else wrote.
    async fn nothing_restored(&self) -> Result<()> {
        let events = self.scene.events("shop").await?;
        // RouteRestored, TargetRestored.
        let restored = events.iter().find(|event| event.contains("Restored"));
        ensure!(restored.is_none(), "put back: {restored:?}");
        Ok(())
    }

    /// Compares who owns what with `docs/ownership.md`, while all that Argo CD delivered is there.
    async fn compare_owners(&self) -> Result<()> {
        let target = self.scene.api::<Deployment>().get("shop").await?;
        let entries = target.managed_fields().iter();
        let managers: Vec<_> = entries.filter_map(|entry| entry.manager.clone()).collect();
        ensure!(
            managers.iter().any(|manager| manager == MANAGER),
            "Argo CD is not known by its name, but there are {managers:?}"
        );
        self.scene.compare_owners().await
    }

    /// The end of a story: deletes the Application with all that it delivered, and what the story made.
    async fn close(self) -> Result<()> {
        let owned = self.compare_owners().await;
        self.application.delete().await?;
        self.scene.close().await?;
        owned
    }
}

fn autoscaler(namespace: &str, kind: &str, fewest: u32) -> String {
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
  minReplicas: {fewest}
  maxReplicas: 5
"
    )
}
