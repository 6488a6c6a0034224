//! Where nothing serves yet, and Git tells what was promoted last: that serves first, unjudged as any first
//! revision, and the target's template is judged as the candidate after it.

use crate::{Record, Target, World};

use super::turn::Turn;

/// The world in which the target is what was promoted last; `None` where the target is to be seen as it is.
///
/// The target's own pods run another template. They keep what they have until the first revision serves, as in
/// every adoption, but nobody waits for them: that template may never get ready.
pub(super) fn in_its_place(turn: &Turn<'_>) -> Option<World> {
    let promoted = turn.world.promoted.as_ref()?;
    // It may be gone from its registry, or a person gave it up: then the target comes first, as without it.
    let rejected = turn.world.record(&promoted.revision);
    if turn.state.stable.is_some() || rejected.is_some_and(Record::is_rejected) {
        return None;
    }
    let target = turn.world.target.clone()?;
    Some(World {
        target: Some(Target {
            revision: promoted.revision.clone(),
            template: promoted.template.clone(),
            images: promoted.images.clone(),
            settled: true,
            ..target
        }),
        ..turn.world.clone()
    })
}
