//! Callers that go around the waypoint, and so around the weights: they reach the endpoints of the
//! users' Service, which are the pods of every revision.

use crate::observe::Observed;
use crate::parse;
use crate::render::mentions::{self, Place};
use crate::render::mesh;
use sluice_crds::Mesh;

use super::routes::name;

/// An ingress that leads to the Service, where nothing tells it to go by the waypoint.
pub(super) fn ingress(observed: &Observed, service: &Place) -> Option<String> {
    let labels = observed.namespace_labels.as_ref();
    let ambient = parse::mesh::said(observed) == Mesh::IstioAmbient;
    if ambient && mesh::ingress_uses_waypoint(observed.parent.as_deref(), labels) {
        return None;
    }
    let gateways = &observed.others.gateways;
    let by_route = observed.others.routes.iter().find_map(|(kind, route)| {
        let mut own = mentions::gateways(route).into_iter();
        let gateway = own.find(|gateway| gateways.contains(gateway))?;
        mentions::has_backend(route, service).then(|| {
            let from = format!("{}/{}", gateway.namespace, gateway.name);
            (format!("{kind} {}", name(observed, route)), from)
        })
    });
    let by_virtual_service = || {
        observed.others.virtual_services.iter().find_map(|object| {
            let from = mentions::ingress_gateway(object, service)?.to_owned();
            Some((format!("VirtualService {}", name(observed, object)), from))
        })
    };
    let (what, gateway) = by_route.or_else(by_virtual_service)?;
    if !ambient {
        return Some(format!(
            "{what} leads from Gateway {gateway} to Service {} and does not ask its route on the way, so its \
             requests reach every revision alike, and are measured as well, which holds a rollout where they are \
             many: let it lead to an app in the mesh that calls the Service",
            service.name
        ));
    }
    Some(format!(
        "{what} leads from Gateway {gateway} to Service {} past the waypoint, so its requests reach \
         every revision alike: label Service {0} {}: \"true\"",
        service.name,
        mesh::INGRESS_LABEL
    ))
}

/// A namespace that is not in the mesh: its own pods call the Service past the waypoint.
pub(super) fn own_clients(observed: &Observed) -> Option<String> {
    if parse::mesh::said(observed) == Mesh::Gamma {
        // What is in such a mesh, nothing tells alike.
        return None;
    }
    let namespace = observed.namespace_labels.as_ref()?;
    let ambient = mesh::is_ambient(observed.template(), namespace);
    (!ambient).then(|| {
        format!(
            "namespace {} is not in the ambient mesh, so clients in it reach every revision past the \
             waypoint: label the namespace {}: ambient",
            observed.namespace,
            mesh::MODE_LABEL
        )
    })
}
