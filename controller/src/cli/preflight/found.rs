//! What was read of a cluster.

use std::collections::BTreeMap;

use kube::ResourceExt as _;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind};
use serde_json::Value;

use super::rights::Right;
use crate::evidence::Seen;

/// What there is, or why that is not known.
pub(super) type Read<T> = Result<T, String>;

/// What was read. Every object says what kind it is of.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) objects: Vec<DynamicObject>,
    /// Kinds that could not be read, as `gatewayclasses.gateway.networking.k8s.io`, and why.
    pub(super) unread: BTreeMap<String, String>,
    /// Whose rights these are, and whether it has each.
    pub(super) rights: Option<Read<(String, Vec<(Right, bool)>)>>,
    /// What servers have of a subject's series, by the subject.
    pub(super) series: BTreeMap<String, Read<Seen>>,
    /// Whether this is asked by a pod of the cluster, which reaches what Sluice would reach.
    pub(super) from_inside: bool,
}

impl Found {
    /// The objects of a kind.
    pub(super) fn all<'a>(
        &'a self,
        kind: &ApiResource,
    ) -> impl Iterator<Item = &'a DynamicObject> + use<'a> {
        let (version, kind) = (kind.api_version.clone(), kind.kind.clone());
        let of_kind = move |object: &&DynamicObject| {
            let types = object.types.as_ref();
            types.is_some_and(|types| types.api_version == version && types.kind == kind)
        };
        self.objects.iter().filter(of_kind)
    }

    /// One of them.
    pub(super) fn one(
        &self,
        kind: &ApiResource,
        namespace: Option<&str>,
        name: &str,
    ) -> Option<&DynamicObject> {
        let mut all = self.all(kind);
        all.find(|one| one.name_any() == name && one.namespace().as_deref() == namespace)
    }

    /// Why a kind could not be read, if it could not.
    pub(super) fn unread(&self, kind: &ApiResource) -> Option<&str> {
        self.unread.get(&resource_name(kind)).map(String::as_str)
    }

    /// The resources of a group's version that the API server serves, such as `httproutes`.
    pub(super) fn served(&self, group_version: &str) -> Vec<&str> {
        let lists = self.all(&api_resources()).filter(|list| {
            list.data.get("groupVersion").and_then(Value::as_str) == Some(group_version)
        });
        lists
            .flat_map(|list| list_of(&list.data, "/resources"))
            .filter_map(|resource| text(resource, "/name"))
            .collect()
    }
}

/// As in `httproutes.gateway.networking.k8s.io`.
pub(super) fn resource_name(kind: &ApiResource) -> String {
    let dot = if kind.group.is_empty() { "" } else { "." };
    format!("{}{dot}{}", kind.plural, kind.group)
}

pub(super) fn text<'a>(value: &'a Value, pointer: &str) -> Option<&'a str> {
    value.pointer(pointer).and_then(Value::as_str)
}

pub(super) fn list_of<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value
        .pointer(pointer)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

/// A condition of an object: its status, and in words what it says.
pub(super) fn condition(object: &DynamicObject, kind: &str) -> Option<(bool, String)> {
    let mut all = list_of(&object.data, "/status/conditions").iter();
    let found = all.find(|one| text(one, "/type") == Some(kind))?;
    let [reason, message] = ["/reason", "/message"].map(|field| text(found, field).unwrap_or(""));
    let said = format!("{reason}: {message}");
    Some((text(found, "/status") == Some("True"), said))
}

fn resource(group: &str, version: &str, kind: &str, plural: &str) -> ApiResource {
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural)
}

/// What discovery says of a group's version.
pub(super) fn api_resources() -> ApiResource {
    resource("", "v1", "APIResourceList", "apiresources")
}

pub(super) fn definition() -> ApiResource {
    resource(
        "apiextensions.k8s.io",
        "v1",
        "CustomResourceDefinition",
        "customresourcedefinitions",
    )
}

pub(super) fn gateway_class() -> ApiResource {
    resource(
        "gateway.networking.k8s.io",
        "v1",
        "GatewayClass",
        "gatewayclasses",
    )
}

pub(super) fn namespace() -> ApiResource {
    resource("", "v1", "Namespace", "namespaces")
}

pub(super) fn service() -> ApiResource {
    resource("", "v1", "Service", "services")
}

pub(super) fn pod() -> ApiResource {
    resource("", "v1", "Pod", "pods")
}

pub(super) fn config_map() -> ApiResource {
    resource("", "v1", "ConfigMap", "configmaps")
}

pub(super) fn network_policy() -> ApiResource {
    resource(
        "networking.k8s.io",
        "v1",
        "NetworkPolicy",
        "networkpolicies",
    )
}

pub(super) fn cilium_policy() -> ApiResource {
    resource(
        "cilium.io",
        "v2",
        "CiliumNetworkPolicy",
        "ciliumnetworkpolicies",
    )
}

pub(super) fn cilium_cluster_policy() -> ApiResource {
    resource(
        "cilium.io",
        "v2",
        "CiliumClusterwideNetworkPolicy",
        "ciliumclusterwidenetworkpolicies",
    )
}
