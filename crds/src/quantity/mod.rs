//! Percentages, durations and days, which the API holds as strings: Kubernetes APIs have no floats.
//!
//! All of them keep the text as it came and parse on demand. If reading an object failed on a bad
//! one, a single stored object could stop the watch of every other.

mod days;
mod duration;
mod percent;

pub use days::{Days, DaysError};
pub use duration::{Duration, DurationError};
pub use percent::{Percent, PercentError};

pub(crate) use duration::positive;
pub(crate) use percent::{SHAPE as PERCENT_SHAPE, between_0_and_100};
