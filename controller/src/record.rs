//! The last stage of a reconcile: the user is told.
//!
//! [`conditions`] puts a decision into words, [`status`] into the Canary's status, [`event`] into
//! Events; [`foresight`] says what the gates will be able to do. Nothing is written that says the same as before.

pub mod conditions;
pub mod event;
pub mod evidence;
pub mod foresight;
#[cfg(test)]
mod states;
pub mod status;
