//! Rollouts that are only pretended: the same decision as ever, on a cluster that obeys at once and with requests
//! that somebody makes up or remembers.
//!
//! [`rollout`] runs one, [`random`] has the dice, [`figures`] says what came of many.

pub mod figures;
pub mod random;
pub mod rollout;

pub use random::Random;
pub use rollout::{End, Rollout};
