//! What was read of a cluster.

use std::collections::BTreeMap;

use kube::api::{ApiResource, DynamicObject};
use serde_json::Value;

use super::rights::Right;
use crate::cli::read::resource;
pub(super) use crate::cli::read::{
    Objects, Read, config_map, list_of, namespace, network_policy, pod, service, text,
};
use crate::evidence::Seen;

/// What somebody may do.
#[derive(Debug)]
pub(super) struct Rights {
    /// As `sluice-system/sluice`.
    pub(super) account: String,
    /// Whether it has each.
    pub(super) each: Vec<(Right, bool)>,
}

/// What was read.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) objects: Objects,
    /// What the controller may do.
    pub(super) rights: Option<Read<Rights>>,
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
        self.objects.of(kind)
    }

    /// One of them.
    pub(super) fn one(
        &self,
        kind: &ApiResource,
        namespace: Option<&str>,
        name: &str,
    ) -> Option<&DynamicObject> {
        self.objects.one(kind, namespace, name)
    }

    /// Why a kind could not be read, if it could not.
    pub(super) fn unread(&self, kind: &ApiResource) -> Option<&str> {
        self.objects.unread(kind)
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

/// A condition of an object: its status, and in words what it says.
pub(super) fn condition(object: &DynamicObject, kind: &str) -> Option<(bool, String)> {
    let mut all = list_of(&object.data, "/status/conditions").iter();
    let found = all.find(|one| text(one, "/type") == Some(kind))?;
    let [reason, message] = ["/reason", "/message"].map(|field| text(found, field).unwrap_or(""));
    let said = format!("{reason}: {message}");
    Some((text(found, "/status") == Some("True"), said))
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
