//! Somebody else writes our route. What a person does by hand is put back at once; against a program
//! that writes without end, we write now and then, and say who it is.

use chrono::TimeDelta;

use crate::Route;
use crate::decision::Routing;
use crate::state::Contest;
use crate::waiting::Waiting;

use super::turn::Turn;

/// After each time that the route is put back, one more is free so much later.
const EASE: TimeDelta = TimeDelta::seconds(5);
/// So many times in a row are at once.
const AT_ONCE: i32 = 6;

/// Forgets a contest that is over; tells one that is under way.
pub(super) fn run(turn: &mut Turn<'_>) {
    let Some(contest) = turn.state.contest.clone() else {
        return;
    };
    if contest.counts_until <= turn.now {
        turn.state.contest = None;
        return;
    }
    // It is told for a while longer than it holds up, so that it is not told by turns.
    let calm_at = contest.counts_until - EASE * (AT_ONCE - 2);
    if turn.now < calm_at {
        turn.wake(calm_at);
        turn.wait(Waiting::Contested {
            writer: contest.writer,
        });
    }
}

/// Whether a write that only puts the route back has to wait; if not, it is counted.
pub(super) fn holds_up(turn: &mut Turn<'_>, routing: &Routing) -> bool {
    let route = turn.world.route.as_ref();
    if !is_put_back(turn, route, routing) {
        return false;
    }
    let writer = route.and_then(|route| route.foreign_writer.clone());
    let known = turn.state.contest.take();
    let (restored_at, counts_until) = known.as_ref().map_or((None, turn.now), |known| {
        (Some(known.restored_at), known.counts_until.max(turn.now))
    });
    let writer = writer.or_else(|| known.as_ref().and_then(|known| known.writer.clone()));
    let free_at = counts_until - EASE * (AT_ONCE - 1);
    let again = restored_at == Some(turn.now);
    let held = turn.now < free_at && !again;
    turn.state.contest = Some(if held || again {
        turn.wake(free_at);
        Contest {
            writer,
            restored_at: restored_at.unwrap_or(turn.now),
            counts_until,
        }
    } else {
        Contest {
            writer,
            restored_at: turn.now,
            counts_until: counts_until + EASE,
        }
    });
    held
}

/// Whether nothing was decided since our last write, as we noted it: what moves traffic never waits.
fn is_put_back(turn: &Turn<'_>, route: Option<&Route>, routing: &Routing) -> bool {
    match route {
        None => turn.state.stable.is_some(),
        Some(route) => {
            let same = route.stable == routing.stable && route.candidate == routing.candidate;
            let stripped = route.stable.is_none() && route.candidate.is_none();
            (same && route.step == routing.step) || stripped
        }
    }
}
