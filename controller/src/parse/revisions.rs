//! The revisions of a Canary, as far as they exist.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::ResourceExt as _;
use serde_json::Value;
use sluice_core::{Admission, Revision, RevisionName};
use sluice_crds::labels;

use crate::observe::Observed;
use crate::observe::labelled::{label, revision_of};
use crate::observe::observed::parent_name;
use crate::render;
use crate::render::copies::{self, Setting};
use crate::render::kind::Optional;
use crate::render::mentions::Place;
use crate::render::references::images;
use crate::render::snapshot::{Snapshot, read_snapshot};

use super::mesh;
use super::workload;

/// The snapshots of a Canary, read.
pub struct Known<'a> {
    /// In no order.
    pub snapshots: Vec<Snapshot<'a>>,
}

impl<'a> Known<'a> {
    /// Reads the snapshots. One that is being deleted is none any more.
    #[must_use]
    pub fn of(observed: &'a Observed) -> Self {
        let live = observed
            .snapshots
            .iter()
            .filter(|s| s.metadata.deletion_timestamp.is_none());
        Self {
            snapshots: live.filter_map(|object| read_snapshot(object)).collect(),
        }
    }

    /// The snapshot of a revision.
    #[must_use]
    pub fn get(&self, revision: &RevisionName) -> Option<&Snapshot<'a>> {
        self.snapshots
            .iter()
            .find(|snapshot| snapshot.revision == *revision)
    }
}

/// Every revision of which anything is left.
#[must_use]
pub fn parse(observed: &Observed, known: &Known<'_>) -> BTreeMap<RevisionName, Revision> {
    let mut revisions: BTreeMap<RevisionName, Revision> = BTreeMap::new();
    for snapshot in &known.snapshots {
        let revision = revisions.entry(snapshot.revision.clone()).or_default();
        revision.template.clone_from(&snapshot.template_hash);
        revision.images = images(snapshot.template);
        revision.record = Some(snapshot.record.clone());
        revision.created = snapshot.created;
    }
    // What is a revision's has its name, whatever became of its labels.
    for object in &observed.workloads {
        let name = RevisionName::from(object.name_any());
        revisions.entry(name.clone()).or_default().workload =
            Some(workload::parse(object, &observed.pods, &name));
    }
    for service in &observed.services {
        let name = RevisionName::from(service.name_any());
        if service.metadata.deletion_timestamp.is_none() {
            let endpoints = ready_endpoints(&observed.slices, &name);
            let parsed = parse_service(service, observed, &name, endpoints);
            revisions.entry(name).or_default().service = Some(parsed);
        }
    }
    for pod in &observed.pods {
        if let Some(name) = revision_of(pod.labels()) {
            let revision = revisions.entry(name).or_default();
            revision.pods = revision.pods.saturating_add(1);
            count(&mut revision.admission, pod);
        }
    }
    revisions
}

fn count(admission: &mut Admission, pod: &Pod) {
    if !is_live(pod) {
        return;
    }
    let add = |sum: &mut u32| *sum = sum.saturating_add(1);
    if label(pod.labels(), labels::ROLE) != Some(labels::SERVING) {
        add(&mut admission.outside);
        return;
    }
    add(&mut admission.admitted);
    let conditions = pod.status.iter().flat_map(|status| &status.conditions);
    if conditions
        .flatten()
        .any(|condition| condition.type_ == "Ready" && condition.status == "True")
    {
        add(&mut admission.ready);
    }
}

/// Whether a pod may be an endpoint, now or later: it is not on its way out, and has not ended.
#[must_use]
pub fn is_live(pod: &Pod) -> bool {
    let phase = pod
        .status
        .as_ref()
        .and_then(|status| status.phase.as_deref());
    pod.metadata.deletion_timestamp.is_none() && !matches!(phase, Some("Succeeded" | "Failed"))
}

fn parse_service(
    service: &Service,
    observed: &Observed,
    revision: &RevisionName,
    endpoints: u32,
) -> sluice_core::Service {
    let (bound, problem) = mesh::serves_revision(observed, service);
    let outdated = observed.parent.as_deref().is_some_and(|parent| {
        let (namespace, canary) = (&observed.namespace, &observed.name);
        let wanted = render::service::service(namespace, canary, revision, parent, Some(service));
        render::service::is_outdated(service, parent, &wanted)
    });
    let own = |live: &&Setting| revision_of(live.1.labels()).as_ref() == Some(revision);
    let live: Vec<Setting> = observed.copies.iter().filter(own).cloned().collect();
    sluice_core::Service {
        bound,
        outdated: outdated || copies::is_outdated(&live, &wanted_copies(observed, revision)),
        endpoints,
        problem,
    }
}

/// The copies of what says how the Service is called that a revision is to have.
#[must_use]
pub fn wanted_copies(observed: &Observed, revision: &RevisionName) -> Vec<(Optional, Value)> {
    let service = Place::new(&observed.namespace, parent_name(&observed.canary));
    copies::copies(
        &observed.name,
        revision,
        &service,
        &observed.others.settings,
    )
}

/// Endpoints that are ready: `conditions.ready` is also true for those that publish unready
/// addresses, which we never ask for.
fn ready_endpoints(slices: &[std::sync::Arc<EndpointSlice>], revision: &RevisionName) -> u32 {
    let own = slices
        .iter()
        .filter(|s| revision_of(s.labels()).as_ref() == Some(revision));
    let ready = own.flat_map(|slice| &slice.endpoints).filter(|endpoint| {
        let conditions = endpoint.conditions.as_ref();
        conditions.is_some_and(|c| c.ready == Some(true) && c.terminating != Some(true))
    });
    // A dual-stack Service has a slice for each family: the pods are counted, not their addresses.
    let mut pods: Vec<_> = ready
        .map(|endpoint| {
            let pod = endpoint
                .target_ref
                .as_ref()
                .and_then(|target| target.name.clone());
            pod.or_else(|| endpoint.addresses.first().cloned())
        })
        .collect();
    pods.sort_unstable();
    pods.dedup();
    u32::try_from(pods.len()).unwrap_or(u32::MAX)
}
