//! What a scene looks like: revisions, routes, pods, and what they answer.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result};
use hyper::Method;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Event, Pod};
use kube::ResourceExt as _;
use kube::api::{Api, DynamicObject, ListParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::discovery::{ApiGroup, Discovery, Scope, verbs};
use serde_json::Value;
use sluice_crds::labels;

use super::wait::eventually;
use super::{App, Scene};
use crate::app::call::call;
use crate::app::{Counts, admin};

/// How long a pod may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

impl Scene<'_> {
    /// The revision of an app: the one whose pods have its image and its greeting.
    ///
    /// # Errors
    /// When there is none within ten seconds.
    pub async fn revision_of(&self, app: &App) -> Result<String> {
        self.revision_of_within(app, Duration::from_secs(10)).await
    }

    /// The same, where its template may take longer to come.
    ///
    /// # Errors
    /// When the time is up.
    pub async fn revision_of_within(&self, app: &App, within: Duration) -> Result<String> {
        let what = format!("a revision with {} and {:?}", app.tag, app.greeting);
        eventually(&what, within, async || {
            for snapshot in self.snapshots(&app.name).await? {
                if has_image(&snapshot, &app.tag) && self.mounts(&snapshot, app).await? {
                    return Ok(Ok(snapshot.name_any()));
                }
            }
            Ok(Err("none"))
        })
        .await
    }

    /// Whether the Deployment of a revision mounts an app's greeting.
    async fn mounts(&self, snapshot: &DynamicObject, app: &App) -> Result<bool> {
        let Some(greeting) = &app.greeting else {
            return Ok(true);
        };
        let workload = self
            .api::<Deployment>()
            .get_opt(&snapshot.name_any())
            .await?;
        let pod = workload.and_then(|workload| workload.spec?.template.spec);
        for volume in pod.and_then(|pod| pod.volumes).unwrap_or_default() {
            let name = volume
                .config_map
                .map(|source| source.name)
                .unwrap_or_default();
            let Some(found) = self.api::<ConfigMap>().get_opt(&name).await? else {
                continue;
            };
            if found.data.unwrap_or_default().get("greeting") == Some(greeting) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The snapshots of a Canary.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn snapshots(&self, name: &str) -> Result<Vec<DynamicObject>> {
        let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", "PodTemplate"));
        Ok(self.dynamic(&kind).list(&of_canary(name)).await?.items)
    }

    /// The routes of a Canary.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn routes(&self, name: &str) -> Result<Vec<DynamicObject>> {
        Ok(self
            .dynamic(&http_route())
            .list(&of_canary(name))
            .await?
            .items)
    }

    /// The routes of this namespace.
    #[must_use]
    pub fn route_api(&self) -> Api<DynamicObject> {
        self.dynamic(&http_route())
    }

    /// Everything in the namespace that is labelled as a Canary's, as `Kind/name`, sorted. Every kind
    /// that the API server serves is asked for.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn owned(&self, name: &str) -> Result<Vec<String>> {
        let mut found = BTreeSet::new();
        let discovered = Discovery::new(self.client()).run().await?;
        let kinds = discovered
            .groups()
            .flat_map(ApiGroup::recommended_resources);
        for (kind, can) in kinds {
            if can.scope == Scope::Namespaced && can.supports_operation(verbs::LIST) {
                let objects = self.dynamic(&kind).list(&of_canary(name)).await?;
                found.extend(
                    objects
                        .iter()
                        .map(|object| format!("{}/{}", kind.kind, object.name_any())),
                );
            }
        }
        Ok(found.into_iter().collect())
    }

    /// Waits until nothing is labelled as a Canary's but these revisions, whole, and the routes.
    ///
    /// # Errors
    /// When the time is up, with what is missing or too much.
    pub async fn only_left(
        &self,
        canary: &str,
        revisions: &[&str],
        within: Duration,
    ) -> Result<()> {
        let of_revisions = |kinds: &[&str], end: &str| -> Vec<String> {
            let names = |kind: &&str| {
                let name = |revision: &&str| format!("{kind}/{revision}{end}");
                revisions.iter().map(name).collect::<Vec<_>>()
            };
            kinds.iter().flat_map(names).collect()
        };
        let parts = of_revisions(&["Deployment", "Service", "PodTemplate"], "");
        let follow = of_revisions(&["Pod", "ReplicaSet", "EndpointSlice"], "-");
        let is_right = |object: &String| {
            parts.contains(object)
                || follow.iter().any(|start| object.starts_with(start))
                || (!revisions.is_empty() && object.starts_with("HTTPRoute/"))
        };
        eventually(&format!("only {revisions:?} left"), within, async || {
            let owned = self.owned(canary).await?;
            let extra: Vec<_> = owned.iter().filter(|object| !is_right(object)).collect();
            let missing: Vec<_> = parts.iter().filter(|part| !owned.contains(part)).collect();
            let right = extra.is_empty() && missing.is_empty();
            Ok(if right {
                Ok(())
            } else {
                Err(format!("extra {extra:?}, missing {missing:?}"))
            })
        })
        .await
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

    /// What each pod of a revision counted, all asked at once: what is read one after the other belongs to
    /// different times.
    ///
    /// # Errors
    /// When a pod does not answer.
    pub async fn counted(&self, revision: &str) -> Result<Vec<Counts>> {
        let pods = self.pods(revision).await?;
        let counts = pods
            .iter()
            .map(async |pod| admin::counts(address(pod)?).await);
        futures::future::try_join_all(counts).await
    }

    /// What each ready pod of a revision greets with, by the pod's name.
    ///
    /// # Errors
    /// When a pod does not answer.
    pub async fn greetings(&self, revision: &str) -> Result<BTreeMap<String, String>> {
        let mut greetings = BTreeMap::new();
        for pod in self
            .pods(revision)
            .await?
            .iter()
            .filter(|pod| is_ready(pod))
        {
            let (_, body) = call(address(pod)?, Method::GET, "/", "", PATIENCE).await?;
            let body: Value = serde_json::from_slice(&body)?;
            let text = body
                .get("greeting")
                .and_then(Value::as_str)
                .unwrap_or_default();
            greetings.insert(pod.name_any(), text.to_owned());
        }
        Ok(greetings)
    }

    /// Events on a Canary, as `Reason: note`, oldest first.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn events(&self, name: &str) -> Result<Vec<String>> {
        self.events_of("Canary", name).await
    }

    /// The same of another kind.
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn events_of(&self, kind: &str, name: &str) -> Result<Vec<String>> {
        let of = format!("involvedObject.kind={kind},involvedObject.name={name}");
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

fn has_image(snapshot: &DynamicObject, tag: &str) -> bool {
    let image = snapshot.data.pointer("/template/spec/containers/0/image");
    image.and_then(Value::as_str) == Some(format!("demo:{tag}").as_str())
}

/// Gateway API `HTTPRoute`.
pub(super) fn http_route() -> ApiResource {
    let gvk = GroupVersionKind::gvk("gateway.networking.k8s.io", "v1", "HTTPRoute");
    ApiResource::from_gvk(&gvk)
}

/// Selects what is a Canary's.
pub(super) fn of_canary(name: &str) -> ListParams {
    ListParams::default().labels(&format!("{}={name}", labels::CANARY))
}

/// Whether a pod is ready and not on its way out.
#[must_use]
pub fn is_ready(pod: &Pod) -> bool {
    let conditions = pod
        .status
        .as_ref()
        .and_then(|status| status.conditions.as_ref());
    let mut conditions = conditions.into_iter().flatten();
    pod.metadata.deletion_timestamp.is_none()
        && conditions.any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// Where a pod's first port is.
///
/// # Errors
/// When it has no IP.
pub fn address(pod: &Pod) -> Result<SocketAddr> {
    let ip = pod
        .status
        .as_ref()
        .and_then(|status| status.pod_ip.as_deref());
    let ip: IpAddr = ip.context("a pod without an IP")?.parse()?;
    Ok(SocketAddr::new(ip, 8080))
}
