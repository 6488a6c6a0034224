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
        .or_else(|| in_service(observed))
        .or_else(|| danger(observed))
}

/// Why the requests of the Service cannot be split.
#[must_use]
pub fn in_service(observed: &Observed) -> Option<Blocked> {
    parent(observed).or_else(|| half_strict(observed))
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

/// Something of others that sends requests past the weights. A person may waive each.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Danger {
    /// Another route on the Service.
    Routes,
    /// A `VirtualService` on it.
    VirtualServices,
    /// A second controller that programs our route.
    Controllers,
    /// Another Service on the same pods.
    Pods,
    /// An ingress that leads past the waypoint.
    Ingress,
    /// Pods of a namespace that is not in the mesh.
    OwnClients,
}

impl Danger {
    /// All, in the order in which a person hears of them.
    pub const ALL: [Self; 6] = [
        Self::Routes,
        Self::VirtualServices,
        Self::Controllers,
        Self::Pods,
        Self::Ingress,
        Self::OwnClients,
    ];

    /// By what it is accepted.
    #[must_use]
    pub const fn waiver(self) -> Waiver {
        match self {
            Self::Routes | Self::VirtualServices | Self::Controllers => Waiver::ForeignRoute,
            Self::Pods => Waiver::SharedPods,
            Self::Ingress | Self::OwnClients => Waiver::AroundWaypoint,
        }
    }

    /// Each thing to mend, by name and with the fix, whether it is waived or not.
    #[must_use]
    pub fn find(self, observed: &Observed) -> Vec<String> {
        let place = Place::new(&observed.namespace, parent_name(&observed.canary));
        match self {
            Self::Routes => routes::find(observed, &place),
            Self::VirtualServices => virtual_services::find(observed, &place),
            Self::Controllers => controllers::find(observed).into_iter().collect(),
            Self::Pods => pods::find(observed),
            // In strict mode who goes around the waypoint reaches what serves, and nothing else.
            Self::Ingress if service::selects_role(observed.parent.as_deref()) => Vec::new(),
            Self::Ingress => around::ingress(observed, &place).into_iter().collect(),
            Self::OwnClients => around::own_clients(observed).into_iter().collect(),
        }
    }

    /// What was found, with the other way out.
    #[must_use]
    pub fn or_waive(self, message: &str) -> String {
        format!(
            "{message}, or accept it by spec.waivers: [{:?}]",
            self.waiver()
        )
    }
}

/// The first danger that nobody waived.
fn danger(observed: &Observed) -> Option<Blocked> {
    let waivers = &observed.canary.spec.waivers;
    let mut dangers = Danger::ALL
        .into_iter()
        .filter(|danger| !waivers.contains(&danger.waiver()));
    let (danger, message) = dangers.find_map(|danger| {
        let message = danger.find(observed).into_iter().next()?;
        Some((danger, message))
    })?;
    let reason = match danger.waiver() {
        Waiver::ForeignRoute => Reason::ForeignRoute,
        Waiver::SharedPods => Reason::SharedPods,
        Waiver::AroundWaypoint => Reason::AroundWaypoint,
    };
    Some(blocked(reason, danger.or_waive(&message)))
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
