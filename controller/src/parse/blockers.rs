//! What a person must mend before any traffic grows.

use k8s_openapi::api::core::v1::Service;
use kube::ResourceExt as _;
use kube::api::DynamicObject;
use serde_json::Value;
use sluice_core::Blocked;
use sluice_crds::{Reason, Waiver};

use crate::observe::Observed;
use crate::observe::observed::{Policy, parent_name};
use crate::render::service;

use super::plan::PlanError;

/// The first thing that is wrong, if anything is.
#[must_use]
pub fn find(observed: &Observed, plan: Result<(), &PlanError>) -> Option<Blocked> {
    missing_policy(observed)
        .or_else(|| {
            plan.err()
                .map(|error| blocked(Reason::InvalidSpec, error.to_string()))
        })
        .or_else(|| parent(observed))
        .or_else(|| foreign_route(observed))
        .or_else(|| shared_pods(observed))
}

/// The policy's limit of rollouts at once is reached.
#[must_use]
pub fn no_place() -> Blocked {
    let message = "waits for another rollout of its policy to end: maxConcurrent is reached";
    blocked(Reason::TooManyRollouts, message.to_owned())
}

fn blocked(reason: Reason, message: String) -> Blocked {
    Blocked {
        reason: reason.as_str().to_owned(),
        message,
    }
}

fn missing_policy(observed: &Observed) -> Option<Blocked> {
    let Policy::Missing(reference) = &observed.policy else {
        return None;
    };
    let message = format!(
        "spec.policyRef: there is no {:?} named {}; create it, or name another",
        reference.kind, reference.name
    );
    Some(blocked(Reason::PolicyNotFound, message))
}

fn parent(observed: &Observed) -> Option<Blocked> {
    let Some(parent) = &observed.parent else {
        let message = format!(
            "there is no Service named {}; create it, or name another in spec.service.name",
            parent_name(&observed.canary)
        );
        return Some(blocked(Reason::ServiceNotFound, message));
    };
    let spec = observed.canary.spec.service.as_ref();
    let unrouted = spec
        .map(|spec| spec.unrouted_ports.as_slice())
        .unwrap_or_default();
    let (reason, message) = service::refusal(parent, unrouted)?;
    Some(blocked(reason, message))
}

/// Another route on the Service would take a share that we do not know of.
fn foreign_route(observed: &Observed) -> Option<Blocked> {
    if observed.canary.spec.waivers.contains(&Waiver::ForeignRoute) {
        return None;
    }
    let parent = parent_name(&observed.canary);
    let route = observed
        .other_routes
        .iter()
        .find(|route| names_service(route, parent))?;
    let message = format!(
        "HTTPRoute {} is on Service {parent} as well: delete it, move its rules to spec.route, or \
         accept it by spec.waivers: [ForeignRoute]",
        route.name_any()
    );
    Some(blocked(Reason::ForeignRoute, message))
}

fn names_service(route: &DynamicObject, service: &str) -> bool {
    let parents = route
        .data
        .pointer("/spec/parentRefs")
        .and_then(Value::as_array);
    parents.into_iter().flatten().any(|parent| {
        let text = |field: &str| parent.get(field).and_then(Value::as_str);
        text("kind") == Some("Service") && text("name") == Some(service)
    })
}

/// Another Service on the same pods sends them requests past our route.
fn shared_pods(observed: &Observed) -> Option<Blocked> {
    if observed.canary.spec.waivers.contains(&Waiver::SharedPods) {
        return None;
    }
    let labels = observed
        .template()?
        .pointer("/metadata/labels")?
        .as_object()?;
    let selects = |service: &Service| {
        let selector = service
            .spec
            .as_ref()
            .and_then(|spec| spec.selector.as_ref());
        selector.is_some_and(|selector| {
            !selector.is_empty()
                && selector.iter().all(|(name, value)| {
                    labels.get(name).and_then(Value::as_str) == Some(value.as_str())
                })
        })
    };
    let other = observed
        .other_services
        .iter()
        .find(|service| selects(service))?;
    let message = format!(
        "Service {} selects the same pods as {}: its callers reach every revision; change its \
         selector, or accept it by spec.waivers: [SharedPods]",
        other.name_any(),
        parent_name(&observed.canary)
    );
    Some(blocked(Reason::SharedPods, message))
}
