//! A second controller that programs our own route, such as Cilium's Gateway API beside ambient.

use crate::observe::Observed;
use crate::render::acceptance;

/// What to mend, if there is one.
pub(super) fn find(observed: &Observed) -> Option<String> {
    observed.routes.iter().find_map(|route| {
        let controllers = acceptance::two_controllers(route)?;
        let name = route.metadata.name.as_deref().unwrap_or_default();
        Some(acceptance::two_are_one_too_many(name, &controllers))
    })
}
