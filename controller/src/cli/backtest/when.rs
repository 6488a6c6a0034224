//! Times as a person writes them.

use anyhow::{Context as _, bail};
use chrono::TimeDelta;
use sluice_core::Time;

use super::Duration;

/// A time: `now`, so long ago, or RFC 3339.
pub(super) fn time(text: &str, now: Time) -> anyhow::Result<Time> {
    if text == "now" {
        return Ok(now);
    }
    if let Ok(time) = text.parse::<Time>() {
        return Ok(time);
    }
    let ago = length(text);
    let ago =
        ago.with_context(|| format!("{text:?} is neither so long ago, as in \"7d\", nor a time"))?;
    match now.checked_sub_signed(ago) {
        Some(time) => Ok(time),
        None => bail!("{text:?} is too long ago"),
    }
}

/// A length of time: as in a policy, and days.
pub(super) fn length(text: &str) -> anyhow::Result<TimeDelta> {
    let length = match text.strip_suffix('d') {
        Some(days) => {
            let days: u16 = days
                .parse()
                .with_context(|| format!("{text:?} is no number of days"))?;
            TimeDelta::days(days.into())
        }
        None => Duration::new(text).delta()?,
    };
    if length <= TimeDelta::zero() {
        bail!("{text:?} must be longer than 0");
    }
    Ok(length)
}
