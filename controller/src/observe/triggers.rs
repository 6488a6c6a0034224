//! Which Canaries a change concerns.

use std::collections::{BTreeSet, HashMap};

use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::Service;
use kube::api::DynamicObject;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Resource, ResourceExt as _};
use sluice_crds::{Canary, CanaryPolicy, labels};

use super::labelled::{is_in, label};
use crate::render::{mentions, name};

/// Which Canaries a change concerns.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Concerns {
    /// Nobody.
    Nobody,
    /// This one.
    One(ObjectRef<Canary>),
    /// Every one of a namespace.
    Namespace(String),
    /// Every one of several namespaces.
    Namespaces(BTreeSet<String>),
    /// Those of a namespace whose target, or a revision of it, has this name.
    Target(String, String),
    /// Every one.
    All,
}

impl Concerns {
    /// A policy concerns its namespace.
    #[must_use]
    pub fn policy(policy: &CanaryPolicy) -> Self {
        policy.namespace().map_or(Self::Nobody, Self::Namespace)
    }

    /// An object of ours concerns its Canary; another one, if `neighbours`, its whole namespace:
    /// a foreign route or a `ConfigMap` says nothing about whom it concerns.
    pub fn labelled<K: Resource>(object: &K, neighbours: bool) -> Self {
        let Some(namespace) = object.namespace() else {
            return Self::Nobody;
        };
        match label(object.labels(), labels::CANARY) {
            Some(canary) => Self::One(ObjectRef::new(canary).within(&namespace)),
            None if neighbours => Self::Namespace(namespace),
            None => Self::Nobody,
        }
    }

    /// An object of others concerns its own namespace, and those that it names; ours its Canary.
    #[must_use]
    pub fn reaching(object: &DynamicObject, mut named: BTreeSet<String>) -> Self {
        match Self::labelled(object, true) {
            Self::Namespace(own) => {
                named.insert(own);
                Self::Namespaces(named)
            }
            known => known,
        }
    }

    /// A Deployment or `PodTemplate` is a revision's, or, without our labels, a target's by its name or a
    /// revision's that somebody took them from.
    #[must_use]
    pub fn template(object: &DynamicObject) -> Self {
        match Self::labelled(object, false) {
            Self::Nobody => match object.namespace() {
                Some(namespace) => Self::Target(namespace, object.name_any()),
                None => Self::Nobody,
            },
            known => known,
        }
    }

    /// An autoscaler concerns whatever has the name that it points at. One that was pointed elsewhere is
    /// looked at by the Canaries that it pointed at before, too: the old object is not at hand, and
    /// autoscalers are few.
    #[must_use]
    pub fn autoscaler(object: &HorizontalPodAutoscaler) -> Self {
        object.namespace().map_or(Self::Nobody, Self::Namespace)
    }

    /// A Service is a revision's, or a parent, or selects the same pods.
    #[must_use]
    pub fn service(service: &Service) -> Self {
        Self::labelled(service, true)
    }
}

/// What changes of routes concern. A route that names a Service of another namespace no more concerns
/// that one a last time.
pub fn routes() -> impl FnMut(&DynamicObject) -> Concerns + Send + 'static {
    let mut reached: HashMap<ObjectRef<DynamicObject>, BTreeSet<String>> = HashMap::new();
    move |route| {
        let named = mentions::namespaces(route);
        let key = ObjectRef::from_obj_with(route, super::kinds::http_route());
        let mut all = reached.remove(&key).unwrap_or_default();
        all.extend(named.iter().cloned());
        if !named.is_empty() {
            reached.insert(key, named);
        }
        Concerns::reaching(route, all)
    }
}

/// The Canaries that a change concerns.
#[must_use]
pub fn keys(canaries: &Store<Canary>, concerns: &Concerns) -> Vec<ObjectRef<Canary>> {
    let found = match concerns {
        Concerns::Nobody => return Vec::new(),
        Concerns::One(key) => return vec![key.clone()],
        Concerns::Namespace(namespace) => canaries.state_filter(|canary| is_in(canary, namespace)),
        Concerns::Namespaces(namespaces) => canaries.state_filter(|canary| {
            let own = canary.metadata.namespace.as_ref();
            own.is_some_and(|own| namespaces.contains(own))
        }),
        Concerns::Target(namespace, name) => canaries.state_filter(|canary| {
            let target = &canary.spec.target_ref.name;
            is_in(canary, namespace) && (target == name || name::is_revision_of(target, name))
        }),
        Concerns::All => canaries.state(),
    };
    found
        .iter()
        .map(|canary| ObjectRef::from_obj(canary.as_ref()))
        .collect()
}
