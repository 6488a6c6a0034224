//! An Istio `VirtualService` on the Service: a waypoint that reads it may leave our route aside.

use crate::observe::Observed;
use crate::render::mentions::{self, Place};

use super::routes::{is_heard, name};

/// What to mend, if there is one.
pub(super) fn find(observed: &Observed, service: &Place) -> Option<String> {
    let mut found = observed.others.virtual_services.iter();
    let found = found
        .find(|object| is_heard(observed, object) && mentions::takes_calls(object, service))?;
    Some(format!(
        "VirtualService {} has Service {} among its hosts: delete it, or move its rules to spec.route",
        name(observed, found),
        service.name
    ))
}
