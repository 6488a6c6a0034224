//! Effects become writes.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::api::{ApiResource, DynamicObject};
use serde_json::{Value, json};
use sluice_core::{Effect, Part, RevisionName, Routing};
use sluice_crds::{Canary, annotations, labels};

use super::configuration;
use super::scene::{EffectError, Scene};
use super::settings;
use super::writer::Writer;
use crate::observe::kinds;
use crate::observe::labelled::{label, revision_of};
use crate::parse::revisions::is_live;
use crate::render::{self, live_route, snapshot};

/// Carries out effects in their order. One that the next decision asks for again holds up nothing when
/// it fails; of the others the first failure ends it, but a verdict that cannot be stored does not keep
/// the traffic from moving. Returns what failed and will be asked for again.
///
/// # Errors
/// The first failure after which the decision must not be remembered.
pub async fn run(
    writer: &Writer,
    scene: &Scene<'_>,
    effects: &[Effect],
) -> Result<Vec<EffectError>, EffectError> {
    let (mut forgotten, mut repeated) = (None, Vec::new());
    // The revisions whose snapshots are gone, which the caches still show.
    let mut gone = BTreeSet::new();
    for effect in effects {
        match one(writer, scene, effect, &gone).await {
            Ok(()) => {
                tracing::info!(?effect, "done");
                if let Effect::Remove {
                    revision,
                    part: Part::Snapshot,
                } = effect
                {
                    gone.insert(revision);
                }
            }
            Err(error) if effect.is_repeated() => repeated.push(error),
            Err(error) if matches!(effect, Effect::Remember { .. }) => {
                forgotten = forgotten.or(Some(error));
            }
            Err(error) => return Err(error),
        }
    }
    forgotten.map_or(Ok(repeated), Err)
}

async fn one(
    writer: &Writer,
    scene: &Scene<'_>,
    effect: &Effect,
    gone: &BTreeSet<&RevisionName>,
) -> Result<(), EffectError> {
    match effect {
        Effect::Claim => claim(writer, scene, true).await,
        Effect::Release => claim(writer, scene, false).await,
        Effect::Snapshot(revision) => store(writer, scene, revision).await,
        Effect::Expose(revision) => expose(writer, scene, revision).await,
        Effect::Run { revision, replicas } => run_pods(writer, scene, revision, *replicas).await,
        Effect::Route(routing) => steer(writer, scene, routing).await,
        Effect::Unroute => unroute(writer, scene, |_| true).await,
        Effect::Remember { revision, record } => {
            let value = snapshot::record_annotation(record);
            let known = find(&scene.observed.snapshots, revision);
            // A verdict that comes late must not replace a newer one.
            let version = known.and_then(kube::ResourceExt::resource_version);
            let patch = json!({
                "apiVersion": "v1",
                "kind": "PodTemplate",
                "metadata": {
                    "name": revision.as_str(),
                    "resourceVersion": version,
                    "annotations": {annotations::VERDICT: value},
                },
            });
            Ok(writer
                .apply(&kinds::pod_template(), "PodTemplate", &patch)
                .await?)
        }
        Effect::ScaleTarget(replicas) => {
            let name = &scene.observed.canary.spec.target_ref.name;
            scale(writer, scene.observed.target.as_deref(), name, *replicas).await
        }
        Effect::KeepTarget(replicas) => {
            let target = &scene.observed.canary.spec.target_ref.name;
            let patch = sized(target, *replicas);
            Ok(writer
                .share(&kinds::deployment(), "Deployment", &patch)
                .await?)
        }
        Effect::LeaveTarget => {
            // An apply without the field: if nobody else said it, the API server would put its default there.
            let target = &scene.observed.canary.spec.target_ref.name;
            let patch = json!({
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": {"name": target},
            });
            Ok(writer
                .share(&kinds::deployment(), "Deployment", &patch)
                .await?)
        }
        Effect::SizeCanary(replicas) => size_canary(writer, scene, *replicas).await,
        Effect::Remove { revision, part } => remove(writer, scene, (revision, *part), gone).await,
        Effect::Admit(revision) => role(writer, scene, revision, labels::SERVING).await,
        Effect::Dismiss(revision) => role(writer, scene, revision, labels::STANDBY).await,
    }
}

/// Sets or takes back our finalizer, and nothing else of the Canary.
async fn claim(writer: &Writer, scene: &Scene<'_>, keep: bool) -> Result<(), EffectError> {
    let finalizers: &[&str] = if keep { &[labels::FINALIZER] } else { &[] };
    let patch = json!({
        "apiVersion": "sluice.dev/v1alpha1",
        "kind": "Canary",
        "metadata": {"name": scene.observed.name, "finalizers": finalizers},
    });
    Ok(writer
        .apply(&ApiResource::erase::<Canary>(&()), "Canary", &patch)
        .await?)
}

/// Sets the size of the Canary, as `kubectl scale` does: by an apply of ours it would go with the next that does not
/// say it. Not if the Canary has changed since: whoever gave it a size meant that one.
async fn size_canary(writer: &Writer, scene: &Scene<'_>, replicas: u32) -> Result<(), EffectError> {
    let canary = &scene.observed.canary;
    let patch = json!({
        "metadata": {"resourceVersion": canary.resource_version()},
        "spec": {"replicas": replicas},
    });
    let kind = ApiResource::erase::<Canary>(&());
    Ok(writer
        .merge(&kind, "Canary", &scene.observed.name, &patch)
        .await?)
}

async fn store(
    writer: &Writer,
    scene: &Scene<'_>,
    revision: &RevisionName,
) -> Result<(), EffectError> {
    let mut sources = scene.sources();
    let Some(identified) = sources.find(|source| source.revision == *revision) else {
        return Err(EffectError::Gone(format!(
            "the target is not {revision} any more"
        )));
    };
    configuration::copy(writer, scene.observed, &identified.config).await?;
    let object = snapshot::snapshot(
        &scene.observed.namespace,
        &scene.observed.name,
        revision,
        &identified.template,
        &identified.template_hash,
        &identified.config,
    );
    Ok(writer
        .create(&kinds::pod_template(), "PodTemplate", object)
        .await?)
}

async fn expose(
    writer: &Writer,
    scene: &Scene<'_>,
    revision: &RevisionName,
) -> Result<(), EffectError> {
    let Some(parent) = &scene.observed.parent else {
        return Err(EffectError::Gone(
            "the Service that clients call is gone".to_owned(),
        ));
    };
    let (namespace, name) = (&scene.observed.namespace, &scene.observed.name);
    let services = scene.observed.services.iter().map(AsRef::as_ref);
    let live = services
        .into_iter()
        .find(|s| s.name_any() == revision.as_str());
    let object = render::service::service(namespace, name, revision, parent, live);
    writer.apply(&service(), "Service", &object).await?;
    settings::copy(writer, scene.observed, revision).await
}

async fn run_pods(
    writer: &Writer,
    scene: &Scene<'_>,
    revision: &RevisionName,
    replicas: u32,
) -> Result<(), EffectError> {
    let live = find(&scene.observed.workloads, revision);
    if live.is_some() {
        return scale(writer, live, revision.as_str(), replicas).await;
    }
    let Some(snapshot) = scene.known.get(revision) else {
        return Err(EffectError::Gone(format!(
            "the snapshot of {revision} is gone"
        )));
    };
    let mut sources = scene.sources();
    if let Some(source) = sources.find(|source| source.revision == *revision) {
        configuration::mend(writer, scene.observed, &source.config).await?;
    }
    let (namespace, name) = (&scene.observed.namespace, &scene.observed.name);
    let target = scene.observed.target.as_deref();
    let object = render::workload::deployment(namespace, name, snapshot, replicas, target);
    let object = serde_json::from_value(object).map_err(|e| EffectError::Gone(e.to_string()))?;
    Ok(writer
        .create(&kinds::deployment(), "Deployment", object)
        .await?)
}

/// Sets `spec.replicas` of a Deployment, and nothing else of it. Pods are taken only from one that still is
/// as it was seen: by the time that such a write arrives, it may have to serve.
async fn scale(
    writer: &Writer,
    live: Option<&DynamicObject>,
    deployment: &str,
    replicas: u32,
) -> Result<(), EffectError> {
    let patch = sized(deployment, replicas);
    let shrinks = live.is_some_and(|live| replicas_of(live) > u64::from(replicas));
    let patch = match live.filter(|_| shrinks) {
        Some(live) => render::in_place_of(&patch, Some(live)),
        None => patch,
    };
    Ok(writer
        .apply(&kinds::deployment(), "Deployment", &patch)
        .await?)
}

fn replicas_of(deployment: &DynamicObject) -> u64 {
    let replicas = deployment.data.pointer("/spec/replicas");
    replicas.and_then(Value::as_u64).unwrap_or(1)
}

/// A Deployment's size, and nothing else of it.
fn sized(deployment: &str, replicas: u32) -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": deployment},
        "spec": {"replicas": replicas},
    })
}

async fn steer(writer: &Writer, scene: &Scene<'_>, routing: &Routing) -> Result<(), EffectError> {
    let wanted = rendered(scene, routing);
    if wanted.is_empty() {
        return Err(EffectError::Gone(
            "the Service that clients call is gone".to_owned(),
        ));
    }
    for route in &wanted {
        let name = route.pointer("/metadata/name").and_then(Value::as_str);
        let mut live = scene.observed.routes.iter();
        let live = live.find(|live| live.metadata.name.as_deref() == name);
        let route = render::in_place_of(route, live.map(AsRef::as_ref));
        writer
            .apply(&kinds::http_route(), "HTTPRoute", &route)
            .await?;
    }
    let live: Vec<_> = scene.observed.routes.iter().map(AsRef::as_ref).collect();
    let left_over = live_route::superfluous(&live, &wanted);
    unroute(writer, scene, |route| left_over.contains(&route.name_any())).await
}

/// The routes that carry these weights.
#[must_use]
pub fn rendered(scene: &Scene<'_>, routing: &Routing) -> Vec<Value> {
    let observed = scene.observed;
    let Some(parent) = observed.parent.as_deref() else {
        return Vec::new();
    };
    let service = observed.canary.spec.service.as_ref();
    let unrouted = service
        .map(|service| service.unrouted_ports.as_slice())
        .unwrap_or_default();
    render::route::routes(
        &observed.namespace,
        &observed.name,
        parent,
        routing,
        scene.route,
        unrouted,
    )
}

async fn unroute(
    writer: &Writer,
    scene: &Scene<'_>,
    which: impl Fn(&DynamicObject) -> bool,
) -> Result<(), EffectError> {
    for route in scene.observed.routes.iter().filter(|route| which(route)) {
        writer
            .delete(
                &kinds::http_route(),
                "HTTPRoute",
                &route.name_any(),
                Some(&route.metadata),
            )
            .await?;
    }
    Ok(())
}

async fn remove(
    writer: &Writer,
    scene: &Scene<'_>,
    (revision, part): (&RevisionName, Part),
    gone: &BTreeSet<&RevisionName>,
) -> Result<(), EffectError> {
    let name = revision.as_str();
    match part {
        Part::Workload => {
            let live = find(&scene.observed.workloads, revision).map(|live| &live.metadata);
            writer
                .delete(&kinds::deployment(), "Deployment", name, live)
                .await?;
        }
        Part::Service => {
            let own = scene
                .observed
                .services
                .iter()
                .find(|service| service.name_any() == name);
            let live = own.map(|service| &service.metadata);
            // Without the Service nothing tells that they are there.
            settings::sweep(writer, scene.observed, revision).await?;
            writer.delete(&service(), "Service", name, live).await?;
        }
        Part::Snapshot => {
            // Somebody may have deleted the Service and left these.
            settings::sweep(writer, scene.observed, revision).await?;
            // The snapshot goes last: without it nothing knows whose the copies were.
            configuration::sweep(writer, scene, gone, revision).await?;
            let live = find(&scene.observed.snapshots, revision).map(|live| &live.metadata);
            writer
                .delete(&kinds::pod_template(), "PodTemplate", name, live)
                .await?;
        }
    }
    Ok(())
}

/// Gives every pod of a revision a role, and changes nothing else of it.
///
/// A value in place of no label: it takes the old one away, whoever else wrote that.
async fn role(
    writer: &Writer,
    scene: &Scene<'_>,
    revision: &RevisionName,
    role: &str,
) -> Result<(), EffectError> {
    let own = scene.observed.pods.iter().filter(|pod| {
        revision_of(pod.labels()).as_ref() == Some(revision) && is_live(pod.as_ref())
    });
    let serves = |pod: &Pod| label(pod.labels(), labels::ROLE) == Some(labels::SERVING);
    let wanted = role == labels::SERVING;
    for pod in own.filter(|pod| serves(pod.as_ref()) != wanted) {
        // With its UID, a pod that is gone is a conflict, and is not made anew.
        let patch = json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": pod.name_any(), "uid": pod.uid(), "labels": {labels::ROLE: role}},
        });
        match writer.apply(&pods(), "Pod", &patch).await {
            Err(error) if !error.is_gone() => return Err(error.into()),
            _ => {}
        }
    }
    Ok(())
}

fn find<'a>(
    objects: &'a [std::sync::Arc<DynamicObject>],
    revision: &RevisionName,
) -> Option<&'a DynamicObject> {
    objects
        .iter()
        .map(AsRef::as_ref)
        .find(|object| object.name_any() == revision.as_str())
}

/// core/v1 Pod.
fn pods() -> ApiResource {
    ApiResource::erase::<Pod>(&())
}

/// core/v1 Service.
fn service() -> ApiResource {
    ApiResource::erase::<k8s_openapi::api::core::v1::Service>(&())
}
