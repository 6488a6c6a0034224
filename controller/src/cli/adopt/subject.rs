//! What is taken over: a Deployment, and the Service that clients call.

use anyhow::{Context as _, bail};
use k8s_openapi::api::core::v1::Service;
use kube::ResourceExt as _;
use kube::api::{ApiResource, DynamicObject};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use sluice_crds::{Canary, TargetKind};

use super::Asked;
use super::gather::Found;
use super::names::Names;
use crate::cli::read::{namespace as namespaces, service as services};
use crate::observe::kinds;
use crate::observe::observed::parent_name;
use crate::render::mesh;

/// By which of a pod's labels Istio names its application; without any it is called like the Deployment.
const CANONICAL: [&str; 3] = [
    "service.istio.io/canonical-name",
    "app.kubernetes.io/name",
    "app",
];

/// What is taken over.
pub(super) struct Subject {
    /// Its size, as it says it.
    pub(super) replicas: u64,
    /// Of its pod template.
    pub(super) labels: Value,
    pub(super) service: Service,
    /// The Canary, if there is one already.
    pub(super) canary: Option<Canary>,
    /// Its name, or that of the one to write.
    pub(super) canary_name: String,
    pub(super) names: Names,
    /// The service accounts of the Service's waypoints, as `shop/waypoint`.
    pub(super) waypoints: Vec<String>,
}

impl Subject {
    /// Finds it.
    ///
    /// # Errors
    /// When there is no such Deployment, nothing tells its Service, or they may not be read.
    pub(super) fn of(found: &Found, asked: &Asked) -> anyhow::Result<Self> {
        let namespace = asked.namespace.as_str();
        let canary = canary(found, asked)?;
        let target = canary.as_ref().map(|canary| &canary.spec.target_ref);
        if target.is_some_and(|target| target.kind == TargetKind::PodTemplate) {
            bail!(
                "the Canary {namespace}/{} has a PodTemplate as its target: it has no pods of its own, and nothing \
                 around it changes",
                asked.name
            );
        }
        let name = target.map_or(&asked.name, |target| &target.name);
        let kind = kinds::deployment();
        let deployment = one(found, &kind, namespace, name)?;
        let deployment =
            deployment.with_context(|| format!("there is no Deployment {namespace}/{name}"))?;
        let labels = deployment.data.pointer("/spec/template/metadata/labels");
        let labels = labels.cloned().unwrap_or_else(|| json!({}));
        let said = canary.as_ref().map(parent_name);
        let said = asked.service.as_deref().or(said);
        let service = service(found, namespace, name, said, &labels)?;
        let around = found.objects.one(&namespaces(), None, namespace);
        let around = around.map(|one| one.labels().clone());
        let waypoints = mesh::waypoints(&service, namespace, around.as_ref());
        let replicas = deployment.data.pointer("/spec/replicas");
        Ok(Self {
            replicas: replicas.and_then(Value::as_u64).unwrap_or(1),
            names: Names {
                namespace: namespace.to_owned(),
                deployment: name.clone(),
                service: service.name_any(),
                canonical: CANONICAL.iter().all(|label| labels.get(label).is_none()),
            },
            labels,
            service,
            canary_name: canary
                .as_ref()
                .map_or_else(|| name.clone(), kube::ResourceExt::name_any),
            canary,
            waypoints: waypoints
                .into_iter()
                .map(|(namespace, name)| format!("{namespace}/{name}"))
                .collect(),
        })
    }
}

/// The Canary of that name, or of the Deployment of that name.
fn canary(found: &Found, asked: &Asked) -> anyhow::Result<Option<Canary>> {
    let all = found.objects.of(&ApiResource::erase::<Canary>(&()));
    let all = all.filter(|one| one.namespace().as_ref() == Some(&asked.namespace));
    let all = all.map(typed::<Canary>);
    let all: Vec<_> = all.collect::<anyhow::Result<_>>()?;
    let named = all.iter().find(|one| one.name_any() == asked.name);
    let of_target = || {
        all.iter().find(|one| {
            let target = &one.spec.target_ref;
            (target.kind, &target.name) == (TargetKind::Deployment, &asked.name)
        })
    };
    Ok(named.or_else(of_target).cloned())
}

fn typed<T: DeserializeOwned>(object: &DynamicObject) -> anyhow::Result<T> {
    let what = || object.name_any();
    let value = serde_json::to_value(object).with_context(what)?;
    serde_json::from_value(value).with_context(what)
}

/// One object that there is no plan without.
fn one<'a>(
    found: &'a Found,
    kind: &ApiResource,
    namespace: &str,
    name: &str,
) -> anyhow::Result<Option<&'a DynamicObject>> {
    match found.objects.unread(kind) {
        Some(why) => bail!("{why}: without it nothing can be told"),
        None => Ok(found.objects.one(kind, Some(namespace), name)),
    }
}

/// The Service: as said, or of the Deployment's name, or the only one that selects the pods.
fn service(
    found: &Found,
    namespace: &str,
    deployment: &str,
    said: Option<&str>,
    labels: &Value,
) -> anyhow::Result<Service> {
    let kind = services();
    let name = said.unwrap_or(deployment);
    match (one(found, &kind, namespace, name)?, said) {
        (Some(found), _) => return typed(found),
        (None, Some(said)) => bail!("there is no Service {namespace}/{said}"),
        (None, None) => {}
    }
    let all = found.objects.of(&kind).filter(|one| {
        let selector = one.data.pointer("/spec/selector");
        let selector = selector.and_then(Value::as_object);
        selector.is_some_and(|selector| {
            let mut wanted = selector.iter();
            !selector.is_empty() && wanted.all(|(name, value)| labels.get(name) == Some(value))
        })
    });
    let all: Vec<_> = all.collect();
    match all.as_slice() {
        [one] => typed(one),
        [] => bail!(
            "no Service selects the pods of {namespace}/{deployment}: Sluice splits the requests to a Service"
        ),
        several => {
            let names: Vec<_> = several.iter().map(|one| one.name_any()).collect();
            bail!(
                "several Services select the pods, {}: name the one that clients call by --service",
                names.join(", ")
            )
        }
    }
}
