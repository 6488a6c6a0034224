//! A namespace of its own for one story: waypoint, app, Canary, clients.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Event, Namespace, Pod, Service};
use kube::api::{Api, DeleteParams, DynamicObject, ListParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Client, ResourceExt as _};
use serde_json::Value;
use sluice_crds::{Canary, CanaryStatus, Phase, labels};

use super::wait::eventually;
use super::{App, Stage, app};
use crate::app::{Counts, admin};
use crate::certs::spiffe_uri;
use crate::cluster::Waypoint;
use crate::load::{self, Load, Target, mesh_client};

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
    pub(super) async fn set(stage: &'a Stage, name: &str) -> Result<Self> {
        stage.cluster.namespace(name).await?;
        let waypoint = stage.cluster.waypoint(name, WAYPOINT).await?;
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
        self.canary(&app.name, &merged(&policy, more)).await?;
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

    /// The revision of an app's tag: that of the snapshot with its image.
    ///
    /// # Errors
    /// When there is none within ten seconds.
    pub async fn revision_of(&self, app: &App) -> Result<String> {
        let image = format!("demo:{}", app.tag);
        eventually(
            &format!("a revision with {image}"),
            Duration::from_secs(10),
            async || {
                let found = self
                    .snapshots(&app.name)
                    .await?
                    .into_iter()
                    .find(|snapshot| {
                        snapshot
                            .data
                            .pointer("/template/spec/containers/0/image")
                            .and_then(Value::as_str)
                            == Some(image.as_str())
                    });
                Ok(found.map(|snapshot| snapshot.name_any()).ok_or("none"))
            },
        )
        .await
    }

    /// The snapshots of a Canary.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn snapshots(&self, name: &str) -> Result<Vec<DynamicObject>> {
        let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", "PodTemplate"));
        let api: Api<DynamicObject> = Api::namespaced_with(self.client(), &self.namespace, &kind);
        let of_canary = ListParams::default().labels(&format!("{}={name}", labels::CANARY));
        Ok(api.list(&of_canary).await?.items)
    }

    /// The routes of a Canary.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn routes(&self, name: &str) -> Result<Vec<DynamicObject>> {
        let gvk = GroupVersionKind::gvk("gateway.networking.k8s.io", "v1", "HTTPRoute");
        let kind = ApiResource::from_gvk(&gvk);
        let api: Api<DynamicObject> = Api::namespaced_with(self.client(), &self.namespace, &kind);
        let of_canary = ListParams::default().labels(&format!("{}={name}", labels::CANARY));
        Ok(api.list(&of_canary).await?.items)
    }

    /// The weights of a route's first rule, in percent by backend.
    ///
    /// # Errors
    /// When there is no route of that Canary, or none with backends.
    pub async fn weights(&self, name: &str) -> Result<BTreeMap<String, f64>> {
        let routes = self.routes(name).await?;
        weights(routes.first().context("no route")?).context("a route without backends")
    }

    /// The pods of a revision.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn pods(&self, revision: &str) -> Result<Vec<Pod>> {
        let of = ListParams::default().labels(&format!("{}={revision}", labels::REVISION));
        Ok(self.api::<Pod>().list(&of).await?.items)
    }

    /// What the pods of a revision counted, all together.
    ///
    /// # Errors
    /// When a pod does not answer.
    pub async fn counted(&self, revision: &str) -> Result<Vec<Counts>> {
        let mut counts = Vec::new();
        for pod in self.pods(revision).await? {
            let ip = pod
                .status
                .and_then(|status| status.pod_ip)
                .context("a pod without an IP")?;
            let address = SocketAddr::new(ip.parse::<IpAddr>()?, 8080);
            counts.push(admin::counts(address).await?);
        }
        Ok(counts)
    }

    /// Events on a Canary, as `Reason: note`, oldest first.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn events(&self, name: &str) -> Result<Vec<String>> {
        let of = format!("involvedObject.kind=Canary,involvedObject.name={name}");
        let mut events = self
            .api::<Event>()
            .list(&ListParams::default().fields(&of))
            .await?
            .items;
        events.sort_by_key(|event| event.event_time.clone());
        let text = |event: Event| {
            format!(
                "{}: {}",
                event.reason.unwrap_or_default(),
                event.message.unwrap_or_default()
            )
        };
        Ok(events.into_iter().map(text).collect())
    }

    /// Clients of a Service: `rate` requests per second, through the waypoint.
    ///
    /// # Errors
    /// When the Service has no such port, or the load cannot start.
    pub async fn load(&self, service: &str, port: u16, rate: f64) -> Result<Load> {
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
        Load::start(spec)
    }

    /// `spec.replicas` of a Deployment.
    ///
    /// # Errors
    /// When there is no such Deployment.
    pub async fn replicas(&self, deployment: &str) -> Result<i32> {
        let object = self.api::<Deployment>().get(deployment).await?;
        object
            .spec
            .and_then(|spec| spec.replicas)
            .context("a Deployment without replicas")
    }

    /// Deletes the namespace and kills its waypoint: a machine with two cores has room for few.
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn close(self) -> Result<()> {
        let namespaces: Api<Namespace> = Api::all(self.client());
        let canaries = self.api::<Canary>().list(&ListParams::default()).await?;
        for canary in canaries {
            self.api::<Canary>()
                .delete(&canary.name_any(), &DeleteParams::default())
                .await?;
        }
        namespaces
            .delete(&self.namespace, &DeleteParams::default())
            .await?;
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

/// The weights of a route's first rule, in percent by backend.
#[must_use]
pub fn weights(route: &DynamicObject) -> Option<BTreeMap<String, f64>> {
    let backends = route
        .data
        .pointer("/spec/rules/0/backendRefs")?
        .as_array()?;
    let weight = |backend: &Value| backend.get("weight").and_then(Value::as_f64).unwrap_or(1.0);
    let whole: f64 = backends.iter().map(weight).sum();
    let share = |backend: &Value| {
        let name = backend.get("name")?.as_str()?.to_owned();
        Some((name, weight(backend) / whole * 100.0))
    };
    backends.iter().map(share).collect()
}

/// Sections of `more` replace those of `policy`.
fn merged(policy: &str, more: &str) -> String {
    let section = |line: &str| {
        let begins = line.starts_with(|c: char| c.is_ascii_alphabetic());
        begins.then(|| line.split(':').next().unwrap_or_default().to_owned())
    };
    let overridden: Vec<_> = more.lines().filter_map(section).collect();
    let mut kept = String::new();
    let mut skipping = false;
    for line in policy.lines() {
        if let Some(name) = section(line) {
            skipping = overridden.contains(&name);
        }
        if !skipping {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    kept + more
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
