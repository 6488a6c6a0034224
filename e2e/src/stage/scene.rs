//! A namespace of its own for one story: waypoint, app, Canary, clients.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::api::core::v1::{Namespace, Service};
use kube::api::{Api, DeleteParams, DynamicObject, ListParams};
use kube::core::ApiResource;
use kube::{Client, ResourceExt as _};
use sluice_crds::{Canary, CanaryStatus, Phase};

use super::controller::NAMESPACE;
use super::wait::eventually;
use super::{App, Stage, app};
use crate::certs::spiffe_uri;
use crate::cluster::{Relay, Waypoint};
use crate::load::{self, Load, Target, mesh_client};
use crate::ownership;

/// The service account of a waypoint, which is named as its Gateway.
const WAYPOINT: &str = "waypoint";

/// A namespace with a waypoint.
pub struct Scene<'a> {
    /// What all scenes share.
    pub stage: &'a Stage,
    /// Its namespace.
    pub namespace: String,
    /// Its waypoint.
    pub waypoint: Waypoint,
}

impl<'a> Scene<'a> {
    pub(super) async fn set(stage: &'a Stage, name: &str, relay: Option<&Relay>) -> Result<Self> {
        stage.opened(name);
        stage.cluster.namespace(name).await?;
        let waypoint = stage.cluster.waypoint(name, WAYPOINT, relay).await?;
        Ok(Self {
            stage,
            namespace: name.to_owned(),
            waypoint,
        })
    }

    /// A client that may do everything.
    #[must_use]
    pub fn client(&self) -> Client {
        self.stage.cluster.client()
    }

    /// Applies what Git holds of an app.
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn deploy(&self, app: &App) -> Result<()> {
        self.stage.cluster.apply(&app.yaml(&self.namespace)).await?;
        Ok(())
    }

    /// Applies a Canary; `spec` as for [`app::canary`].
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn canary(&self, name: &str, spec: &str) -> Result<()> {
        self.stage
            .cluster
            .apply(&app::canary(&self.namespace, name, spec))
            .await?;
        Ok(())
    }

    /// Deploys an app and its Canary by [`app::quick_policy`] and `more`, and waits until it is
    /// adopted.
    ///
    /// # Errors
    /// When that takes longer than half a minute.
    pub async fn adopt(&self, app: &App, more: &str) -> Result<CanaryStatus> {
        self.deploy(app).await?;
        let policy = app::quick_policy(self.stage.cluster.prometheus_url());
        self.canary(&app.name, &app::merged(&policy, more)).await?;
        self.phase(&app.name, Phase::Succeeded, Duration::from_secs(30))
            .await
    }

    /// The status of a Canary.
    ///
    /// # Errors
    /// When there is no such Canary.
    pub async fn status(&self, name: &str) -> Result<CanaryStatus> {
        Ok(self
            .api::<Canary>()
            .get(name)
            .await?
            .status
            .unwrap_or_default())
    }

    /// Waits until `look` finds what it wants in the status.
    ///
    /// # Errors
    /// When the time is up, with phase and condition as they are.
    pub async fn until<T>(
        &self,
        name: &str,
        what: &str,
        within: Duration,
        look: impl Fn(&CanaryStatus) -> Option<T>,
    ) -> Result<T> {
        eventually(
            &format!("{}/{name}: {what}", self.namespace),
            within,
            async || {
                let status = self.status(name).await?;
                Ok(look(&status).ok_or_else(|| describe(&status)))
            },
        )
        .await
    }

    /// Waits for a phase.
    ///
    /// # Errors
    /// When the time is up.
    pub async fn phase(&self, name: &str, phase: Phase, within: Duration) -> Result<CanaryStatus> {
        self.until(name, &format!("phase {phase:?}"), within, |status| {
            (status.phase == Some(phase)).then(|| status.clone())
        })
        .await
    }

    /// Waits until an app's present tag serves, or is rejected: the phase it ends in.
    ///
    /// # Errors
    /// When the time is up.
    pub async fn outcome(&self, app: &App, within: Duration) -> Result<CanaryStatus> {
        let source = self.revision_of(app).await?;
        self.until(
            &app.name,
            &format!("{source} promoted or rejected"),
            within,
            |status| {
                let stable = status.stable.as_deref() == Some(source.as_str());
                let rejected = status.candidate.as_deref() == Some(source.as_str());
                match status.phase? {
                    Phase::Succeeded if stable => Some(status.clone()),
                    Phase::Failed if rejected => Some(status.clone()),
                    _ => None,
                }
            },
        )
        .await
    }

    /// Waits until an app is judged at a step, counted from 1, whose weight is proven; returns its
    /// revision.
    ///
    /// # Errors
    /// When the time is up.
    pub async fn at_step(&self, app: &App, step: u32, within: Duration) -> Result<String> {
        let revision = self.revision_of(app).await?;
        let proven = |status: &CanaryStatus| {
            let rollout = status.rollout.as_ref()?;
            let here = status.step == Some(step) && rollout.step_since.is_some();
            (rollout.candidate == revision && here && !rollout.promoting).then_some(())
        };
        let what = format!("{revision} at step {step}, proven");
        self.until(&app.name, &what, within, proven).await?;
        Ok(revision)
    }

    /// Clients of a Service: `rate` requests per second, through the waypoint.
    ///
    /// # Errors
    /// When the Service has no such port, or the load cannot start.
    pub async fn load(&self, service: &str, port: u16, rate: f64) -> Result<Load> {
        Load::start(self.clients(service, port, rate).await?)
    }

    /// What [`Scene::load`] sends, to be changed before it starts.
    ///
    /// # Errors
    /// When the Service has no such port, or nobody answers.
    pub async fn clients(&self, service: &str, port: u16, rate: f64) -> Result<load::Spec> {
        let object = self.api::<Service>().get(service).await?;
        let ip = object
            .spec
            .and_then(|spec| spec.cluster_ip)
            .context("a Service without an IP")?;
        self.waypoint
            .bound(service, Duration::from_secs(20))
            .await?;
        let waypoint = spiffe_uri(&self.namespace, WAYPOINT);
        let authority = self.stage.cluster.authority();
        let target = Target::Waypoint {
            address: self.waypoint.address(),
            authority: format!("{ip}:{port}"),
            tls: mesh_client(authority, &self.namespace, "client", &waypoint)?,
        };
        let host = format!("{service}.{}.svc.cluster.local:{port}", self.namespace);
        let spec = load::Spec::new(target, host, rate);
        answered(&spec)
            .await
            .with_context(|| format!("clients of {service}:{port}"))?;
        Ok(spec)
    }

    /// The end of every story: compares who owns what with `docs/ownership.md`, deletes the namespace, if
    /// there still is one, and kills its waypoint: a machine with two cores has room for few.
    ///
    /// # Errors
    /// When something is owned by somebody else, or the API server refuses.
    pub async fn close(self) -> Result<()> {
        let owned = self.compare_owners().await;
        self.stage.closed(&self.namespace);
        self.clear().await?;
        owned
    }

    /// Compares who owns what with `docs/ownership.md`: for what is gone before [`Scene::close`].
    ///
    /// # Errors
    /// When something is owned by somebody else, or the API server does not answer.
    pub async fn compare_owners(&self) -> Result<()> {
        ownership::compare(&self.client(), &self.namespace, NAMESPACE).await
    }

    async fn clear(self) -> Result<()> {
        let namespaces: Api<Namespace> = Api::all(self.client());
        let canaries = self.api::<Canary>().list(&ListParams::default()).await?;
        for canary in canaries {
            self.api::<Canary>()
                .delete(&canary.name_any(), &DeleteParams::default())
                .await?;
        }
        let deleted = namespaces
            .delete(&self.namespace, &DeleteParams::default())
            .await;
        // The story may have deleted it.
        if !matches!(&deleted, Err(kube::Error::Api(status)) if status.code == 404) {
            deleted?;
        }
        self.stage.cluster.remove_waypoint(self.waypoint).await
    }

    /// The objects of a kind in this namespace.
    #[must_use]
    pub fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client(), &self.namespace)
    }

    /// The objects of a kind that is known by name alone.
    #[must_use]
    pub fn dynamic(&self, kind: &ApiResource) -> Api<DynamicObject> {
        Api::namespaced_with(self.client(), &self.namespace, kind)
    }
}

/// Waits until a new client is answered: the mesh learns of a Service a moment after its object says
/// so, and no client of a real cluster was there before.
async fn answered(spec: &load::Spec) -> Result<()> {
    eventually("a first answer", Duration::from_secs(30), async || {
        let few = load::Spec {
            rate: 100.0,
            connections: 4,
            max_requests: 20,
            ..spec.clone()
        };
        let probe = Load::start(few)?;
        tokio::time::sleep(Duration::from_millis(300)).await;
        let report = probe.stop().await;
        Ok(if no_failure(&report).is_ok() {
            Ok(())
        } else {
            Err(report)
        })
    })
    .await
}

/// Phase and Ready condition of a status, on a line.
#[must_use]
pub fn describe(status: &CanaryStatus) -> String {
    let ready = status
        .conditions
        .iter()
        .find(|condition| condition.type_ == "Ready");
    let ready = ready.map(|ready| format!("{}: {}", ready.reason, ready.message));
    format!(
        "phase {:?}, stable {:?}, candidate {:?}, step {:?}, weight {:?}, {}",
        status.phase,
        status.stable,
        status.candidate,
        status.progress,
        status.weight.as_ref().map(sluice_crds::Percent::as_str),
        ready.unwrap_or_else(|| "no condition".to_owned())
    )
}

/// Fails unless this revision is the one that serves.
///
/// # Errors
/// With the status.
pub fn serves(status: &CanaryStatus, revision: &str) -> Result<()> {
    ensure!(
        status.stable.as_deref() == Some(revision),
        "{revision} does not serve: {status:?}"
    );
    Ok(())
}

/// Fails unless every request of a load was answered well.
///
/// # Errors
/// With the load's report.
pub fn no_failure(report: &load::Report) -> Result<()> {
    if report.totals.all.failed > 0 || report.totals.all.requests == 0 {
        bail!("users saw failures: {report}");
    }
    Ok(())
}

/// Fails unless some requests of a load failed, and all of those were answered by this version.
///
/// # Errors
/// With the load's report.
pub fn only_failures_of(report: &load::Report, version: &str) -> Result<()> {
    let of_version = report.totals.versions.get(version);
    let failed = of_version.map_or(0, |tally| tally.failed);
    if failed == 0 || failed != report.totals.all.failed {
        bail!("{failed} failures are of {version}: {report}");
    }
    Ok(())
}
