//! Whose field is whose: one table, which `docs/ownership.md` shows, and with which the `managedFields` of all objects
//! are compared at the end of every story.

pub mod field;
pub mod judge;
mod look;
pub mod owner;
pub mod page;
pub mod table;
pub mod whose;

pub use look::compare;
