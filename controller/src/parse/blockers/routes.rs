//! Another route on the Service: it takes a share of the requests that we do not know of.

use kube::ResourceExt as _;
use kube::api::DynamicObject;

use crate::observe::Observed;
use crate::render::mentions::{self, Place};
use crate::render::{mesh, service};

/// What to mend, for each.
pub(super) fn find(observed: &Observed, service: &Place) -> Vec<String> {
    let takes = |route: &DynamicObject| {
        is_heard(observed, route)
            && mentions::parent_ports(route, service)
                .iter()
                .any(|port| is_routed(observed, *port))
    };
    let routes = observed.others.routes.iter();
    let routes = routes.filter(|(_, route)| takes(route));
    let told = routes.map(|(kind, route)| {
        format!(
            "{kind} {} is on Service {} as well: delete it, or move its rules to spec.route",
            name(observed, route),
            service.name
        )
    });
    told.collect()
}

/// The name of an object, with its namespace if that is another one.
pub(super) fn name(observed: &Observed, object: &DynamicObject) -> String {
    let namespace = object.namespace().unwrap_or_default();
    if namespace == observed.namespace {
        object.name_any()
    } else {
        format!("{namespace}/{}", object.name_any())
    }
}

/// Whether the waypoint reads an object: it does so in the Service's namespace and in its own. What is
/// elsewhere is for the clients there.
pub(super) fn is_heard(observed: &Observed, object: &DynamicObject) -> bool {
    let namespace = object.namespace();
    namespace.as_ref() == Some(&observed.namespace)
        || mesh::waypoint_namespace(
            observed.parent.as_deref(),
            observed.namespace_labels.as_ref(),
        ) == namespace.as_deref()
}

/// Whether we route a port, or any where none is named.
fn is_routed(observed: &Observed, port: Option<i64>) -> bool {
    let (Some(port), Some(parent)) = (port, observed.parent.as_deref()) else {
        return true;
    };
    let spec = observed.canary.spec.service.as_ref();
    let unrouted = spec.map(|spec| spec.unrouted_ports.as_slice());
    let mut routed = service::routed_ports(parent, unrouted.unwrap_or_default());
    routed.any(|routed| i64::from(routed.port) == port)
}
