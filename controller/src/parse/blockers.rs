//! What a person must mend before any traffic grows. A file for each kind of danger.

mod around;
mod controllers;
mod pods;
mod routes;
mod virtual_services;

use sluice_core::Blocked;
use sluice_crds::{PolicySpec, Reason, Waiver, labels};

use crate::observe::Observed;
use crate::observe::observed::{Policy, parent_name};
use crate::render::mentions::Place;
use crate::render::service;
use crate::subscription;

use super::plan::{self, PlanError};
use super::promoted;
use super::template::TemplateError;

/// The first thing that is wrong, if anything is. `judged` are the sections that the rollout is held to.
#[must_use]
pub fn find(
    observed: &Observed,
    judged: &PolicySpec,
    plan: Result<(), &PlanError>,
) -> Option<Blocked> {
    in_spec(observed, judged, plan)
        .or_else(|| parent(observed))
        .or_else(|| half_strict(observed))
        .or_else(|| danger(observed))
}

/// The first thing that is wrong with what a person wrote, whatever the cluster is like.
#[must_use]
pub fn in_spec(
    observed: &Observed,
    judged: &PolicySpec,
    plan: Result<(), &PlanError>,
) -> Option<Blocked> {
    missing_policy(observed)
        .or_else(|| plan.err().map(|error| invalid(observed, error)))
        .or_else(|| template(observed, judged))
        .or_else(|| promoted::blocked(observed))
}

/// Something of others that a person may waive.
fn danger(observed: &Observed) -> Option<Blocked> {
    let place = Place::new(&observed.namespace, parent_name(&observed.canary));
    let unless = |waiver: Waiver, find: &dyn Fn() -> Option<String>| {
        let waived = observed.canary.spec.waivers.contains(&waiver);
        let found = if waived { None } else { find() };
        found.map(|message| (waiver, message))
    };
    let foreign = || {
        routes::find(observed, &place)
            .or_else(|| virtual_services::find(observed, &place))
            .or_else(|| controllers::find(observed))
    };
    // In strict mode who goes around the waypoint reaches what serves, and nothing else.
    let strict = service::selects_role(observed.parent.as_deref());
    let around = || {
        let ingress = if strict {
            None
        } else {
            around::ingress(observed, &place)
        };
        ingress.or_else(|| around::own_clients(observed))
    };
    let (waiver, message) = unless(Waiver::ForeignRoute, &foreign)
        .or_else(|| unless(Waiver::SharedPods, &|| pods::find(observed)))
        .or_else(|| unless(Waiver::AroundWaypoint, &around))?;
    let reason = match waiver {
        Waiver::ForeignRoute => Reason::ForeignRoute,
        Waiver::SharedPods => Reason::SharedPods,
        Waiver::AroundWaypoint => Reason::AroundWaypoint,
    };
    Some(blocked(
        reason,
        format!("{message}, or accept it by spec.waivers: [{waiver:?}]"),
    ))
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

/// Names the object whose field is wrong.
fn invalid(observed: &Observed, error: &PlanError) -> Blocked {
    let own = &observed.canary.spec.policy;
    let message = match &observed.policy {
        Policy::Found { reference, .. } if !plan::is_own(own, error) => {
            format!("{:?} {}: {error}", reference.kind, reference.name)
        }
        _ => format!("Canary {}: {error}", observed.name),
    };
    blocked(Reason::InvalidSpec, message)
}

/// An SLO names a template that is not there, or that cannot be asked.
fn template(observed: &Observed, judged: &PolicySpec) -> Option<Blocked> {
    let (slo, error) = subscription::unaskable(observed, judged).next()?;
    let reason = match error {
        TemplateError::Missing(_) => Reason::TemplateNotFound,
        _ => Reason::InvalidSpec,
    };
    Some(blocked(reason, format!("SLO {slo}: {error}")))
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

/// The Service selects by role, and the target's own pods lack it: nobody would reach them when they serve.
fn half_strict(observed: &Observed) -> Option<Blocked> {
    let own = observed.template()?.pointer("/metadata/labels");
    let role = own.and_then(|labels| labels.get(labels::ROLE)?.as_str());
    let selects = service::selects_role(observed.parent.as_deref());
    if !selects || role == Some(labels::SERVING) {
        return None;
    }
    let message = format!(
        "Service {} selects pods by {}: {}, and the template of {} lacks that label: add it there as well",
        parent_name(&observed.canary),
        labels::ROLE,
        labels::SERVING,
        observed.canary.spec.target_ref.name
    );
    Some(blocked(Reason::InvalidSpec, message))
}
