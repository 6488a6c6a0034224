//! Watches, and the caches that they fill. Nothing else of the controller reads in a loop.

use std::fmt::Debug;
use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context as _;
use futures::channel::mpsc::UnboundedSender;
use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{ApiResource, DynamicObject};
use kube::core::PartialObjectMeta;
use kube::runtime::controller::ReconcileRequest;
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, Resource, ResourceExt as _};
use serde::de::DeserializeOwned;
use sluice_crds::{Canary, CanaryPolicy, ClusterCanaryPolicy, MetricTemplate, labels};
use tokio::task::JoinSet;

use super::absence::Absence;
use super::kinds;
use super::optional::Neighbours;
use super::pauses::Pauses;
use super::shelf::{Shelf, Topic, by_namespace, by_owner, by_owner_and_services};
use super::triggers::{self, Concerns};

/// Where requests to reconcile go.
pub type Queue = UnboundedSender<ReconcileRequest<Canary>>;

/// Everything that is watched. Cloning is cheap.
#[derive(Clone)]
pub struct Caches {
    /// All Canaries.
    pub canaries: Store<Canary>,
    /// Namespaced policies.
    pub policies: Store<CanaryPolicy>,
    /// Cluster-wide policies.
    pub cluster_policies: Store<ClusterCanaryPolicy>,
    /// Queries of users' own, of all namespaces: some are for all.
    pub templates: Store<MetricTemplate>,
    /// All Deployments: targets and revisions.
    pub deployments: Shelf<DynamicObject>,
    /// All `PodTemplate`s: targets and snapshots.
    pub pod_templates: Shelf<DynamicObject>,
    /// All Services: parents, revisions, and others that select the same pods.
    pub services: Shelf<Service>,
    /// All `HTTPRoute`s: ours, and others on the same Service.
    pub routes: Shelf<DynamicObject>,
    /// The slices of revisions' Services.
    pub slices: Shelf<EndpointSlice>,
    /// The pods of revisions.
    pub pods: Shelf<Pod>,
    /// All `ConfigMap`s, their content reduced to a hash.
    pub config_maps: Shelf<ConfigMap>,
    /// All autoscalers: of targets, and of Canaries.
    pub autoscalers: Shelf<HorizontalPodAutoscaler>,
    /// The labels of all namespaces, some of which are the mesh's.
    pub namespaces: Store<PartialObjectMeta<Namespace>>,
    /// What there is of kinds that the cluster may lack.
    pub neighbours: Neighbours,
    /// For each watch, whether it failed since it last listed all.
    pub(super) failed: Vec<Arc<AtomicBool>>,
}

/// What is watched: one namespace, or all of them.
pub struct Scope<'a> {
    /// Watches.
    pub client: &'a Client,
    /// The one namespace, if it is one.
    pub namespace: Option<&'a str>,
    /// Told when the API server is away.
    pub absence: &'a Absence,
}

impl Scope<'_> {
    fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        let client = self.client.clone();
        match self.namespace {
            Some(namespace) => Api::namespaced(client, namespace),
            None => Api::all(client),
        }
    }

    fn dynamic(&self, resource: &ApiResource) -> Api<DynamicObject> {
        let client = self.client.clone();
        match self.namespace {
            Some(namespace) => Api::namespaced_with(client, namespace, resource),
            None => Api::all_with(client, resource),
        }
    }
}

/// One watch that has not started yet.
struct Watch<K: Resource + Clone + 'static>
where
    K::DynamicType: Hash + Eq + Clone,
{
    api: Api<K>,
    config: watcher::Config,
    trim: fn(&mut K),
    writer: Writer<K>,
    shelf: Shelf<K>,
}

impl Caches {
    /// Starts every watch. Each change asks for a reconcile of the Canaries that it concerns. The
    /// tasks end when the set is dropped.
    pub fn start(scope: &Scope<'_>, queue: &Queue) -> (Self, JoinSet<()>) {
        let ours = || watcher::Config::default().labels(labels::REVISION);
        let any = watcher::Config::default;
        let (canaries, canary_watch) = cache(scope.api::<Canary>(), any(), |object| {
            object.managed_fields_mut().clear();
        });
        let (policies, policy_watch) = cache(scope.api::<CanaryPolicy>(), any(), |_| ());
        let (cluster_policies, cluster_policy_watch) = cache(
            Api::<ClusterCanaryPolicy>::all(scope.client.clone()),
            any(),
            |_| (),
        );
        let (templates, template_watch) = cache(
            Api::<MetricTemplate>::all(scope.client.clone()),
            any(),
            |template| template.managed_fields_mut().clear(),
        );
        let (deployments, deployment_watch) =
            dynamic_cache(scope, kinds::deployment(), kinds::trim_deployment, by_owner);
        let (pod_templates, pod_template_watch) =
            dynamic_cache(scope, kinds::pod_template(), kinds::trim, by_owner);
        let (routes, route_watch) =
            dynamic_cache(scope, kinds::http_route(), |_| (), by_owner_and_services);
        let (services, service_watch) = cache(scope.api::<Service>(), any(), |service| {
            service.managed_fields_mut().clear();
        });
        let (slices, slice_watch) = cache(scope.api(), ours(), |_| ());
        let (pods, pod_watch) = cache(scope.api(), ours(), kinds::trim_pod);
        let (config_maps, config_map_watch) = cache(scope.api(), any(), kinds::trim_config_map);
        let (autoscalers, autoscaler_watch) =
            filed(scope.api(), any(), kinds::trim_autoscaler, by_namespace);
        let (namespaces, namespace_watch) =
            cache(Api::all(scope.client.clone()), any(), kinds::trim_namespace);
        let mut tasks = JoinSet::new();
        // Of all namespaces: a Gateway may be anywhere, and so may a route on a Service of ours.
        let neighbours = Neighbours::start(scope.client, &mut tasks, {
            let (queue, canaries) = (queue.clone(), canaries.store());
            move |concerns: &Concerns| ask(&queue, &canaries, concerns)
        });
        let mut caches = Self {
            canaries: canaries.store(),
            policies: policies.store(),
            cluster_policies: cluster_policies.store(),
            templates: templates.store(),
            deployments,
            pod_templates,
            services,
            routes,
            slices,
            pods,
            config_maps,
            autoscalers,
            failed: Vec::new(),
            namespaces: namespaces.store(),
            neighbours,
        };

        let mut tell = Teller {
            queue: queue.clone(),
            canaries: caches.canaries.clone(),
            absence: scope.absence.clone(),
            tasks: &mut tasks,
            failed: &mut caches.failed,
        };
        tell.spawn(canary_watch, |canary: &Canary| {
            Concerns::One(ObjectRef::from_obj(canary))
        });
        tell.spawn(policy_watch, |policy: &CanaryPolicy| {
            Concerns::policy(policy)
        });
        tell.spawn(cluster_policy_watch, |_: &ClusterCanaryPolicy| {
            Concerns::All
        });
        // Its namespace may be the one whose templates are for all; edits are rare.
        tell.spawn(template_watch, |_: &MetricTemplate| Concerns::All);
        tell.spawn(deployment_watch, |object: &DynamicObject| {
            Concerns::template(object)
        });
        tell.spawn(pod_template_watch, |object: &DynamicObject| {
            Concerns::template(object)
        });
        tell.spawn(service_watch, |service: &Service| {
            Concerns::service(service)
        });
        tell.spawn(route_watch, triggers::routes());
        tell.spawn(slice_watch, |slice: &EndpointSlice| {
            Concerns::labelled(slice, false)
        });
        tell.spawn(pod_watch, |pod: &Pod| Concerns::labelled(pod, false));
        tell.spawn(config_map_watch, |object: &ConfigMap| {
            Concerns::labelled(object, true)
        });
        tell.spawn(autoscaler_watch, |object: &HorizontalPodAutoscaler| {
            Concerns::autoscaler(object)
        });
        tell.spawn(
            namespace_watch,
            |namespace: &PartialObjectMeta<Namespace>| Concerns::Namespace(namespace.name_any()),
        );
        (caches, tasks)
    }

    /// Whether a watch failed since it last listed all, so that what it shows may be old.
    #[must_use]
    pub fn may_be_old(&self) -> bool {
        self.failed
            .iter()
            .any(|failed| failed.load(Ordering::Relaxed))
    }

    /// Waits until every cache was filled once.
    ///
    /// # Errors
    /// When a watch ended before.
    pub async fn ready(&self) -> anyhow::Result<()> {
        const ENDED: &str = "a watch ended before its first list";
        // By name: what is forgotten here does not compile.
        let Self {
            canaries,
            policies,
            cluster_policies,
            templates,
            deployments,
            pod_templates,
            services,
            routes,
            slices,
            pods,
            config_maps,
            autoscalers,
            namespaces,
            neighbours,
            failed: _,
        } = self;
        canaries.wait_until_ready().await.context(ENDED)?;
        policies.wait_until_ready().await.context(ENDED)?;
        cluster_policies.wait_until_ready().await.context(ENDED)?;
        templates.wait_until_ready().await.context(ENDED)?;
        deployments.wait_until_ready().await.context(ENDED)?;
        pod_templates.wait_until_ready().await.context(ENDED)?;
        services.wait_until_ready().await.context(ENDED)?;
        routes.wait_until_ready().await.context(ENDED)?;
        slices.wait_until_ready().await.context(ENDED)?;
        pods.wait_until_ready().await.context(ENDED)?;
        config_maps.wait_until_ready().await.context(ENDED)?;
        autoscalers.wait_until_ready().await.context(ENDED)?;
        namespaces.wait_until_ready().await.context(ENDED)?;
        neighbours.ready().await.context(ENDED)
    }
}

fn cache<K>(api: Api<K>, config: watcher::Config, trim: fn(&mut K)) -> (Shelf<K>, Watch<K>)
where
    K: Resource + Clone + 'static,
    K::DynamicType: Hash + Eq + Clone + Default,
{
    filed(api, config, trim, by_owner)
}

fn filed<K>(
    api: Api<K>,
    config: watcher::Config,
    trim: fn(&mut K),
    topics: fn(&K) -> Vec<Topic>,
) -> (Shelf<K>, Watch<K>)
where
    K: Resource + Clone + 'static,
    K::DynamicType: Hash + Eq + Clone + Default,
{
    let (shelf, writer) = Shelf::new(K::DynamicType::default(), topics);
    let watch = Watch {
        api,
        config,
        trim,
        writer,
        shelf: shelf.clone(),
    };
    (shelf, watch)
}

fn dynamic_cache(
    scope: &Scope<'_>,
    resource: ApiResource,
    trim: fn(&mut DynamicObject),
    topics: fn(&DynamicObject) -> Vec<Topic>,
) -> (Shelf<DynamicObject>, Watch<DynamicObject>) {
    let api = scope.dynamic(&resource);
    let (shelf, writer) = Shelf::new(resource, topics);
    let watch = Watch {
        api,
        config: watcher::Config::default(),
        trim,
        writer,
        shelf: shelf.clone(),
    };
    (shelf, watch)
}

/// Tells the queue which Canaries a change concerns.
struct Teller<'a> {
    queue: Queue,
    canaries: Store<Canary>,
    absence: Absence,
    tasks: &'a mut JoinSet<()>,
    failed: &'a mut Vec<Arc<AtomicBool>>,
}

impl Teller<'_> {
    fn spawn<K>(
        &mut self,
        watch: Watch<K>,
        mut concerns: impl FnMut(&K) -> Concerns + Send + 'static,
    ) where
        K: Resource + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
        K::DynamicType: Hash + Eq + Clone + Send + Sync,
    {
        let (queue, canaries) = (self.queue.clone(), self.canaries.clone());
        let failed = Arc::new(AtomicBool::new(false));
        self.failed.push(Arc::clone(&failed));
        let absence = self.absence.clone();
        let noted = watch.shelf;
        let changes = watcher(watch.api, watch.config)
            .modify(watch.trim)
            .backoff(Pauses::default())
            .inspect(move |event| match event {
                Err(_) => failed.store(true, Ordering::Relaxed),
                Ok(watcher::Event::InitDone) => failed.store(false, Ordering::Relaxed),
                Ok(_) => {}
            })
            .inspect_ok(move |event| noted.note(event))
            .reflect(watch.writer)
            .touched_objects()
            .inspect_err(move |error| {
                tracing::warn!(%error, "a watch failed and is tried again");
                absence.failed(error);
            })
            .filter_map(|change| async { change.ok() });
        self.tasks.spawn(changes.for_each(move |object| {
            ask(&queue, &canaries, &concerns(&object));
            std::future::ready(())
        }));
    }
}

/// Asks for a reconcile of the Canaries that a change concerns.
fn ask(queue: &Queue, canaries: &Store<Canary>, concerns: &Concerns) {
    for key in triggers::keys(canaries, concerns) {
        // The receiver is gone only when the program ends.
        let _ = queue.unbounded_send(ReconcileRequest::from(key));
    }
}
