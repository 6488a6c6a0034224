//! The decision of Sluice: which revision serves which share of the traffic, and why.
//!
//! [`decide`] is a pure function of a [`Plan`], the remembered [`State`], the observed [`World`] and
//! the time. It has no I/O and no clock, and it is total: it never panics. What it wants done it
//! returns as [`Effect`]s; what it waits for, as a [`Waiting`]. What an effect makes of the world is told by
//! [`World::done`], for simulations and rehearsals.
//!
//! Read in this order: [`plan`], [`world`], [`state`], [`decision`], then [`mod@decide`].

pub mod decide;
pub mod decision;
mod done;
pub mod evidence;
pub mod person;
pub mod plan;
pub mod revision;
pub mod simulate;
pub mod state;
pub mod waiting;
pub mod weight;
pub mod world;

pub use decide::decide;
pub use decision::{Decision, Effect, Note, Part, Routing};
pub use evidence::{Caller, Counts, Evidence, Finding, PastTraffic, Sample, Tally, Verdict};
pub use person::{Approval, Named, Orders};
pub use plan::{Action, ErrorBudget, Indicator, Plan, Requirement, Slo, Step, Traffic};
pub use revision::{Outcome, Record, RevisionName};
pub use state::{Consent, Contest, Left, Phase, Restored, Rollout, Stage, State};
pub use waiting::Waiting;
pub use weight::Weight;
pub use world::{
    Admission, Autoscaler, Blocked, Leaving, Parent, Revision, Route, Scaled, Service, Sight,
    Source, Span, Target, Workload, World, Writer,
};

/// A point in time. The crate never asks for the present one: it is always given.
pub type Time = chrono::DateTime<chrono::Utc>;
