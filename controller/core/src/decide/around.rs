//! Clients that go around the waypoint.

use crate::state::Rollout;
use crate::waiting::Waiting;
use crate::{Time, Weight};

use super::turn::Turn;

/// So many times as long as a source may be silent, no new connection must be seen before a rollout
/// goes on: five minutes where metrics are scraped every 15 s.
const CALM: i32 = 5;

/// Who reaches a candidate that is not to have all traffic yet, whatever its weight. Such a client is a
/// danger, not a failure: no evidence counts it, and to take the weight away does not keep it out.
pub(super) fn callers(turn: &mut Turn<'_>, rollout: &Rollout) -> Option<Waiting> {
    let evidence = &turn.world.evidence;
    let watched = evidence.candidate.as_ref() == Some(&rollout.candidate);
    if !watched || !rollout.gated || rollout.weight == Weight::WHOLE {
        return None;
    }
    let calm = evidence.stale_after.checked_mul(CALM).unwrap_or_default();
    let ends = |last_at: Time| last_at.checked_add_signed(calm).unwrap_or(last_at);
    let recent = evidence
        .callers
        .iter()
        .filter(|caller| turn.now < ends(caller.last_at));
    let (names, times): (Vec<_>, Vec<_>) = recent
        .map(|caller| (caller.name.clone(), ends(caller.last_at)))
        .unzip();
    let until = times.into_iter().max()?;
    turn.wake(until);
    Some(Waiting::Around {
        revision: rollout.candidate.clone(),
        callers: names,
        calm,
    })
}
