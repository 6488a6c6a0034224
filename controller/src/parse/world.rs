//! Everything observed becomes one [`World`].

use kube::ResourceExt as _;
use serde_json::Value;
use sluice_core::{
    Approval, Blocked, Evidence, Named, Orders, Parent, Route, Routing, Time, Weight, World,
};
use sluice_crds::{Approved, Waiver, annotations, labels};

use crate::observe::Observed;
use crate::render::{acceptance, live_route, service, time};

use super::autoscaler;
use super::mesh;
use super::revisions::{self, Known};
use super::target::{self, Identified};

/// The world of one Canary. `route` is what the live routes say, compared with what we would write.
#[must_use]
pub fn parse(
    observed: &Observed,
    known: &Known<'_>,
    identified: Option<&Identified>,
    blocked: Option<Blocked>,
    route: Option<Route>,
    evidence: Evidence,
    mesh_behind_until: Option<Time>,
) -> World {
    let canary = &observed.canary;
    let (bound, problem) = match observed.parent.as_deref() {
        None => (false, None),
        Some(parent) => mesh::serves_parent(observed, parent),
    };
    let deleting = canary.metadata.deletion_timestamp.is_some();
    // Without the Service nobody calls the app any more: it was removed as well.
    let removed = deleting && observed.parent.is_none();
    let target = identified.and_then(|identified| target::parse(observed, identified));
    World {
        suspended: canary.spec.suspend,
        claimed: canary
            .finalizers()
            .iter()
            .any(|name| name == labels::FINALIZER),
        deleting,
        deleted_at: canary.metadata.deletion_timestamp.as_ref().and_then(time),
        blocked,
        target: target.filter(|_| !removed),
        promoted: None,
        replicas: canary
            .spec
            .replicas
            .and_then(|replicas| u32::try_from(replicas).ok()),
        revisions: revisions::parse(observed, known),
        route,
        parent: Parent {
            missing: observed.parent.is_none(),
            bound,
            strict: is_strict(observed),
            problem,
        },
        mesh_behind_until,
        evidence,
        leaving: None,
        traffic: None,
        orders: orders(observed),
        approved: canary.spec.approved.iter().filter_map(approval).collect(),
        refused: None,
        autoscaler: autoscaler::parse(observed),
    }
}

/// Whether pods are to carry their role: the Service's selector asks for it, or is about to, since the
/// target's template has it. So a Service that takes it over in a second push never is without endpoints.
fn is_strict(observed: &Observed) -> bool {
    let role = |name: &str| observed.template()?.pointer(name)?.as_str();
    service::selects_role(observed.parent.as_deref())
        || role("/metadata/labels/sluice.dev~1role") == Some(labels::SERVING)
}

fn orders(observed: &Observed) -> Orders {
    let order = |name: &str| observed.canary.annotations().get(name).cloned();
    Orders {
        promote: order(annotations::PROMOTE),
        abort: order(annotations::ABORT),
        retry: order(annotations::RETRY),
    }
}

/// An approval; `None` for what the schema refuses, which approves nothing.
fn approval(approved: &Approved) -> Option<Approval> {
    let named = match (&approved.image, &approved.revision) {
        (Some(image), None) => Named::Image(image.clone()),
        (None, Some(revision)) => Named::Revision(revision.as_str().into()),
        _ => return None,
    };
    let at = match &approved.at {
        Some(at) => Some(Weight::from_ppm(at.ppm().ok()?)),
        None => None,
    };
    Some(Approval { named, at })
}

/// The live routes of a Canary as one. `rendered` makes the routes that we would write for given
/// weights: what differs from them was changed by somebody else, or is out of date.
#[must_use]
pub fn live_route(observed: &Observed, rendered: impl Fn(&Routing) -> Vec<Value>) -> Option<Route> {
    let live: Vec<_> = observed
        .routes
        .iter()
        .map(AsRef::as_ref)
        .filter(|route| route.metadata.deletion_timestamp.is_none())
        .collect();
    let read = live_route::read_routes(&live)?;
    let waived = observed.canary.spec.waivers.contains(&Waiver::ForeignRoute);
    let accepted = acceptance::acceptance(&live, waived);
    Some(Route {
        intact: read.agree && is_intact(&live, &rendered(&read.routing())),
        accepted: accepted.ok,
        problem: accepted.problem,
        weights: read.weights,
        stable: read.stable,
        candidate: read.candidate,
        step: read.step,
        written_at: read.written_at.unwrap_or_default(),
        foreign_writer: read.foreign_writer,
    })
}

/// Where nothing can be rendered, the Service or its last routed port is gone: nothing can be put right.
fn is_intact(live: &[&kube::api::DynamicObject], rendered: &[Value]) -> bool {
    rendered.is_empty() || live_route::intact(live, rendered)
}
