//! What is watched, and what of each object is kept.

use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod};
use kube::ResourceExt as _;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind};
use kube::core::PartialObjectMeta;

use super::labelled::revision_of;
use super::size;
use crate::render::config;

/// Annotation under which a cached `ConfigMap` keeps the hash of the content that was dropped.
const CONTENT: &str = "sluice.dev/cached-content-hash";

/// apps/v1 Deployment, kept untyped: a template may hold fields that are newer than our types.
#[must_use]
pub fn deployment() -> ApiResource {
    resource("apps", "v1", "Deployment", "deployments")
}

/// core/v1 `PodTemplate`, kept untyped for the same reason.
#[must_use]
pub fn pod_template() -> ApiResource {
    resource("", "v1", "PodTemplate", "podtemplates")
}

/// Gateway API `HTTPRoute`, kept untyped: typed structs drop the fields that they do not know.
#[must_use]
pub fn http_route() -> ApiResource {
    resource("gateway.networking.k8s.io", "v1", "HTTPRoute", "httproutes")
}

fn resource(group: &str, version: &str, kind: &str, plural: &str) -> ApiResource {
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural)
}

/// Keeps what no decision reads out of memory. Routes keep their field managers: they name whoever
/// edits one by hand.
pub fn trim(object: &mut DynamicObject) {
    object.managed_fields_mut().clear();
}

/// Keeps the labels of a namespace.
pub fn trim_namespace(namespace: &mut PartialObjectMeta<Namespace>) {
    namespace.managed_fields_mut().clear();
    namespace.annotations_mut().clear();
}

/// The same for a Deployment, whose size we share with others: who says that is kept.
pub fn trim_deployment(deployment: &mut DynamicObject) {
    // Nobody else scales a revision.
    if revision_of(deployment.labels()).is_some() {
        deployment.managed_fields_mut().clear();
    } else {
        size::trim(deployment);
    }
}

/// Keeps of an autoscaler what it scales.
pub fn trim_autoscaler(autoscaler: &mut HorizontalPodAutoscaler) {
    autoscaler.managed_fields_mut().clear();
    autoscaler.annotations_mut().clear();
    autoscaler.status = None;
    if let Some(spec) = &mut autoscaler.spec {
        (spec.metrics, spec.behavior) = (None, None);
    }
}

/// Keeps of a Pod what tells whether it runs, and why not.
pub fn trim_pod(pod: &mut Pod) {
    pod.managed_fields_mut().clear();
    pod.annotations_mut().clear();
    pod.spec = None;
}

/// Replaces the content of a `ConfigMap` by its hash: a cluster's configuration is large, and read
/// only when a revision is made.
pub fn trim_config_map(config_map: &mut ConfigMap) {
    let hash = config::config_map_hash(config_map);
    config_map.managed_fields_mut().clear();
    config_map.annotations_mut().clear();
    config_map
        .annotations_mut()
        .insert(CONTENT.to_owned(), hash);
    config_map.data = None;
    config_map.binary_data = None;
}

/// The hash of the content that a cached `ConfigMap` had.
#[must_use]
pub fn content_hash(config_map: &ConfigMap) -> Option<&str> {
    config_map.annotations().get(CONTENT).map(String::as_str)
}
