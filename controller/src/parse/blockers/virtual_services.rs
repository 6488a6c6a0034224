//! An Istio `VirtualService` on the Service: a waypoint that reads it may leave our route aside.

use crate::observe::Observed;
use crate::render::mentions::{self, Place};

use super::routes::{is_heard, name};

/// What to mend, for each.
pub(super) fn find(observed: &Observed, service: &Place) -> Vec<String> {
    let found = observed.others.virtual_services.iter();
    let found =
        found.filter(|object| is_heard(observed, object) && mentions::takes_calls(object, service));
    let told = found.map(|object| {
        format!(
            "VirtualService {} has Service {} among its hosts: delete it, or move its rules to spec.route",
            name(observed, object),
            service.name
        )
    });
    told.collect()
}
