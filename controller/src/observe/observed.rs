//! Everything that one Canary depends on, out of the caches.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt as _;
use kube::api::DynamicObject;
use kube::runtime::reflector::ObjectRef;
use serde_json::Value;
use sluice_crds::{
    Canary, CanaryPolicySpec, ClusterCanaryPolicySpec, MetricTemplateSpec, PolicyKind, PolicyRef,
    PolicySpec, TargetKind, labels,
};

use super::caches::Caches;
use super::kinds;
use super::labelled::{is_in, label};
use super::others::Others;
use super::shelf::Topic;
use super::stripped;
use crate::render::copies::Setting;
use crate::render::kind::Optional;
use crate::render::mentions::Place;
use crate::render::{config, name};

/// What one Canary depends on, as last seen.
pub struct Observed {
    /// The Canary.
    pub canary: Arc<Canary>,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The policy that it follows.
    pub policy: Policy,
    /// The `MetricTemplate`s that it may name, by name.
    pub templates: BTreeMap<String, MetricTemplateSpec>,
    /// The template source; `None` when it is gone or going.
    pub target: Option<Arc<DynamicObject>>,
    /// The Service that clients call; `None` when it is gone or going.
    pub parent: Option<Arc<Service>>,
    /// Other Services of the namespace that are not ours.
    pub other_services: Vec<Arc<Service>>,
    /// The snapshots of its revisions.
    pub snapshots: Vec<Arc<DynamicObject>>,
    /// The Deployments of its revisions.
    pub workloads: Vec<Arc<DynamicObject>>,
    /// The Services of its revisions.
    pub services: Vec<Arc<Service>>,
    /// The slices of those.
    pub slices: Vec<Arc<EndpointSlice>>,
    /// The pods of its revisions.
    pub pods: Vec<Arc<Pod>>,
    /// Its routes.
    pub routes: Vec<Arc<DynamicObject>>,
    /// What others have that concerns the Service that clients call.
    pub others: Others,
    /// Its copies of what says how that Service is called.
    pub copies: Vec<Setting>,
    /// The labels of the namespace; `None` when it is not known.
    pub namespace_labels: Option<BTreeMap<String, String>>,
    /// Content hashes of the namespace's `ConfigMap`s that a revision may hold a copy of.
    pub config_maps: BTreeMap<String, String>,
    /// Its copies of those.
    pub config_copies: Vec<Arc<ConfigMap>>,
    /// The namespace's autoscalers.
    pub autoscalers: Vec<Arc<HorizontalPodAutoscaler>>,
}

/// The policy that a Canary follows.
#[derive(Clone, Debug, PartialEq)]
pub enum Policy {
    /// None: the built-in values hold.
    BuiltIn,
    /// This one.
    Found {
        /// Which one.
        reference: PolicyRef,
        /// Its sections.
        spec: Box<PolicySpec>,
        /// How many Canaries of it may be in a rollout at once.
        max_concurrent: Option<u32>,
    },
    /// The Canary names one that does not exist.
    Missing(PolicyRef),
}

impl Observed {
    /// Collects what a Canary depends on. `home` is the namespace that Sluice runs in.
    #[must_use]
    pub fn collect(caches: &Caches, canary: Arc<Canary>, home: &str) -> Self {
        let namespace = canary.namespace().unwrap_or_default();
        let name = canary.name_any();
        let own = [Topic::Canary(Place::new(&namespace, &name))];
        let beside = [Topic::Namespace(namespace.clone())];
        // Somebody may have taken our labels from one of ours.
        let near = [own.clone(), beside.clone()].concat();
        let parent = find(&caches.services, &namespace, parent_name(&canary), ());
        let others =
            |service: &Service| service.metadata.name.as_deref() != Some(parent_name(&canary));
        let target_name = &canary.spec.target_ref.name;
        let of_revision = |meta: &ObjectMeta, is_stripped: &dyn Fn() -> bool| {
            let own = meta.name.as_deref().unwrap_or_default();
            let by_name = || name::is_revision_of(target_name, own) && is_stripped();
            let labels = meta.labels.as_ref();
            let labelled = labels.and_then(|all| label(all, labels::CANARY));
            labelled.map_or_else(by_name, |of| of == name)
        };
        let services = caches.services.pick(&near, |one| {
            of_revision(&one.metadata, &|| stripped::is_service(one))
        });
        let workloads = caches.deployments.pick(&near, |one| {
            of_revision(&one.metadata, &|| stripped::is_workload(one))
        });
        let snapshots = caches.pod_templates.pick(&near, |one| {
            of_revision(&one.metadata, &|| stripped::is_snapshot(one))
        });
        let config_maps = caches
            .config_maps
            .pick(&beside, config::may_copy_config_map);
        let hash = |object: &Arc<ConfigMap>| {
            Some((
                object.name_any(),
                kinds::content_hash(object.as_ref())?.to_owned(),
            ))
        };
        let ours =
            |route: &DynamicObject| is_own_route(route, &namespace, &name, parent.as_deref());
        let routes = caches.routes.pick(&near, ours);
        Self {
            policy: Policy::of(caches, &canary),
            templates: templates(caches, &namespace, home),
            target: target(caches, &canary, &namespace),
            parent: parent.clone(),
            other_services: caches.services.pick(&beside, others),
            snapshots,
            workloads,
            services,
            slices: caches.slices.pick(&own, |_| true),
            pods: caches.pods.pick(&own, |_| true),
            others: Others::collect(caches, &Place::new(&namespace, parent_name(&canary)), &ours),
            copies: copies(caches, &namespace, &name),
            namespace_labels: namespace_labels(caches, &namespace),
            routes,
            config_maps: config_maps.iter().filter_map(hash).collect(),
            config_copies: caches.config_maps.pick(&own, |_| true),
            autoscalers: caches.autoscalers.pick(&beside, |_| true),
            canary,
            namespace,
            name,
        }
    }

    /// A Canary as files have it: nothing of a cluster is known.
    #[must_use]
    pub fn alone(
        canary: Canary,
        policy: Policy,
        templates: BTreeMap<String, MetricTemplateSpec>,
    ) -> Self {
        Self {
            namespace: canary.namespace().unwrap_or_default(),
            name: canary.name_any(),
            canary: Arc::new(canary),
            policy,
            templates,
            target: None,
            parent: None,
            other_services: Vec::new(),
            snapshots: Vec::new(),
            workloads: Vec::new(),
            services: Vec::new(),
            slices: Vec::new(),
            pods: Vec::new(),
            routes: Vec::new(),
            others: Others::default(),
            copies: Vec::new(),
            namespace_labels: None,
            config_maps: BTreeMap::new(),
            config_copies: Vec::new(),
            autoscalers: Vec::new(),
        }
    }

    /// The target's pod template.
    #[must_use]
    pub fn template(&self) -> Option<&Value> {
        let data = &self.target.as_ref()?.data;
        match self.canary.spec.target_ref.kind {
            TargetKind::Deployment => data.get("spec")?.get("template"),
            TargetKind::PodTemplate => data.get("template"),
        }
    }
}

/// The name of the Service that clients call.
#[must_use]
pub fn parent_name(canary: &Canary) -> &str {
    let named = canary
        .spec
        .service
        .as_ref()
        .and_then(|service| service.name.as_deref());
    named.unwrap_or(&canary.spec.target_ref.name)
}

/// Whether a route is the Canary's: by its label, or, where somebody took that away, by its name.
fn is_own_route(
    route: &DynamicObject,
    namespace: &str,
    canary: &str,
    parent: Option<&Service>,
) -> bool {
    let by_name = || {
        let service = parent.map(kube::ResourceExt::name_any).unwrap_or_default();
        let ports = parent.and_then(|parent| parent.spec.as_ref()?.ports.as_ref());
        let mut ports = ports.into_iter().flatten();
        ports.any(|port| name::route_name(&service, port.port) == route.name_any())
    };
    is_in(route, namespace)
        && label(route.labels(), labels::CANARY).map_or_else(by_name, |of| of == canary)
}

/// Everything of the kinds that are copied that is labelled as the Canary's.
fn copies(caches: &Caches, namespace: &str, canary: &str) -> Vec<Setting> {
    let of_kind = |kind: Optional| {
        let ours = |object: &DynamicObject| {
            is_in(object, namespace) && label(object.labels(), labels::CANARY) == Some(canary)
        };
        let found = caches.neighbours.find(kind, ours).into_iter();
        found.map(move |object| (kind, object))
    };
    let kinds = [Optional::DestinationRule, Optional::BackendTlsPolicy];
    kinds.into_iter().flat_map(of_kind).collect()
}

/// The templates of these namespaces; of two with one name that of the first.
fn templates(caches: &Caches, namespace: &str, home: &str) -> BTreeMap<String, MetricTemplateSpec> {
    let of = |namespace: &str| {
        let found = caches.templates.state_filter(|one| is_in(one, namespace));
        let found = found.into_iter();
        found.map(|template| (template.name_any(), template.spec.clone()))
    };
    of(home).chain(of(namespace)).collect()
}

fn namespace_labels(caches: &Caches, namespace: &str) -> Option<BTreeMap<String, String>> {
    let found = caches.namespaces.get(&ObjectRef::new(namespace))?;
    Some(found.labels().clone())
}

fn target(caches: &Caches, canary: &Canary, namespace: &str) -> Option<Arc<DynamicObject>> {
    let name = &canary.spec.target_ref.name;
    match canary.spec.target_ref.kind {
        TargetKind::Deployment => find(&caches.deployments, namespace, name, kinds::deployment()),
        TargetKind::PodTemplate => find(
            &caches.pod_templates,
            namespace,
            name,
            kinds::pod_template(),
        ),
    }
}

/// An object that is there and not on its way out.
fn find<K>(
    store: &kube::runtime::reflector::Store<K>,
    namespace: &str,
    name: &str,
    kind: K::DynamicType,
) -> Option<Arc<K>>
where
    K: kube::Resource + Clone + 'static,
    K::DynamicType: std::hash::Hash + Eq + Clone,
{
    let object = store.get(&ObjectRef::new_with(name, kind).within(namespace))?;
    object.meta().deletion_timestamp.is_none().then_some(object)
}

impl Policy {
    /// The policy that a Canary follows.
    #[must_use]
    pub fn of(caches: &Caches, canary: &Canary) -> Self {
        let namespace = canary.namespace().unwrap_or_default();
        let namespaced = |name: &str| {
            let found = caches
                .policies
                .get(&ObjectRef::new(name).within(&namespace))?;
            Some(found.spec.clone())
        };
        let cluster = |name: &str| {
            let found = caches.cluster_policies.get(&ObjectRef::new(name))?;
            Some(found.spec.clone())
        };
        Self::choose(canary, namespaced, cluster)
    }

    /// The policy that a Canary follows, of those of its namespace and of the cluster, by name.
    #[must_use]
    pub fn choose(
        canary: &Canary,
        namespaced: impl Fn(&str) -> Option<CanaryPolicySpec>,
        cluster: impl Fn(&str) -> Option<ClusterCanaryPolicySpec>,
    ) -> Self {
        let reference = |kind, name: &str| PolicyRef {
            kind,
            name: name.to_owned(),
        };
        let namespaced = |name: &str| {
            let policy = namespaced(name)?;
            Some(Self::Found {
                reference: reference(PolicyKind::CanaryPolicy, name),
                spec: Box::new(policy.policy),
                max_concurrent: policy.max_concurrent,
            })
        };
        let cluster = |name: &str| {
            let policy = cluster(name)?;
            Some(Self::Found {
                reference: reference(PolicyKind::ClusterCanaryPolicy, name),
                spec: Box::new(policy.policy),
                max_concurrent: policy.max_concurrent,
            })
        };
        match &canary.spec.policy_ref {
            Some(reference) => {
                let found = match reference.kind {
                    PolicyKind::CanaryPolicy => namespaced(&reference.name),
                    PolicyKind::ClusterCanaryPolicy => cluster(&reference.name),
                };
                found.unwrap_or_else(|| Self::Missing(reference.clone()))
            }
            None => namespaced("default")
                .or_else(|| cluster("default"))
                .unwrap_or(Self::BuiltIn),
        }
    }
}
