//! The decision: what to do next for one Canary.
//!
//! The stages are the calls in [`decide`], in their order; the other modules are what these ask. A stage
//! reads the world, changes the state and asks for effects through [`turn::Turn`]; it never assumes that
//! an effect asked for in the same decision has happened.

mod admit;
mod adopt;
mod advance;
mod approval;
mod around;
mod budget;
mod choose;
mod contest;
mod deadline;
mod drain;
mod end;
mod finalise;
mod holdback;
mod pass;
mod phase;
mod promoted;
mod prove;
mod rebuild;
mod retire;
mod size;
mod steer;
mod turn;
mod void;

use crate::decision::{Decision, Effect};
use crate::waiting::Waiting;
use crate::{Plan, State, Time, World};
use turn::Turn;

/// Decides what to do next.
///
/// `plan` is the present policy: a rollout under way follows the plan that its state pinned. `state`
/// is what the last decision returned, or the default when that was lost.
#[must_use]
pub fn decide(plan: &Plan, state: &State, world: &World, now: Time) -> Decision {
    let first;
    let mut turn = Turn::new(plan, state, world, now);
    rebuild::run(&mut turn);
    if let Some(promoted) = promoted::in_its_place(&turn) {
        first = promoted;
        turn.world = &first;
    }
    // Where the app itself is removed, nothing is left that a person may be working on.
    let removed = world.deleting && world.target.is_none();
    if world.suspended && !removed {
        // Nobody is to blame for the time that a person took.
        if let Some(rollout) = &mut turn.state.rollout {
            rollout.progressed_at = now;
            rollout.passed_at = rollout.passed_at.map(|_| now);
        }
        drain::track(&mut turn);
        turn.wait(Waiting::Suspended);
        return turn.end();
    }
    if world.deleting {
        finalise::run(&mut turn);
        return turn.end();
    }
    if !world.claimed {
        turn.effects.push(Effect::Claim);
    }
    void::run(&mut turn);
    choose::run(&mut turn);
    contest::run(&mut turn);
    adopt::keep(&mut turn);
    rebuild::resume(&mut turn);
    advance::run(&mut turn);
    drain::track(&mut turn);
    steer::run(&mut turn);
    size::run(&mut turn);
    admit::run(&mut turn);
    retire::run(&mut turn);
    adopt::advise(&mut turn);
    // What Git asks for is the target's own template, whatever serves first.
    turn.world = world;
    turn.end()
}
