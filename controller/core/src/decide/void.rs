//! Orders that came too late: what they name serves already.

use crate::decision::{Effect, Note};

use super::turn::Turn;

/// Notes on the stable revision every order that names it. The annotation stays on the Canary: without
/// the note it would be carried out when the revision is a candidate again, for whatever reason.
pub(super) fn run(turn: &mut Turn<'_>) {
    let world = turn.world;
    let Some(stable) = &turn.state.stable else {
        return;
    };
    let Some(record) = world.record(stable) else {
        return;
    };
    let orders = world.orders_for(stable, None);
    let late: Vec<String> = orders
        .filter(|order| !record.orders.contains(order))
        .collect();
    if late.is_empty() {
        return;
    }
    let record = late
        .iter()
        .fold(record.clone(), |record, order| record.obeyed(order));
    turn.effects.push(Effect::Remember {
        revision: stable.clone(),
        record,
    });
    turn.notes.extend(late.into_iter().map(Note::Void));
}
