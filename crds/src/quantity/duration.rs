//! A length of time as a string, as in "1m30s".

use std::borrow::Cow;
use std::fmt;

use chrono::TimeDelta;
use kube::core::Rule;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// The Gateway API's duration format (GEP-2257), which `HTTPRoute` timeouts use as well.
const SHAPE: &str = "^([0-9]{1,5}(h|m|s|ms)){1,4}$";

/// Units and their milliseconds, largest first.
const UNITS: [(&str, i64); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// The most parts, and digits in a part, that the format allows.
const MAX_PARTS: usize = 4;
const MAX_DIGITS: usize = 5;

/// A length of time such as "250ms", "30s" or "1m30s".
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Duration(String);

/// Why a text is not a duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// Nothing, or only spaces.
    #[error("the duration is empty: write a number and a unit, as in \"30s\"")]
    Empty,
    /// A part does not begin with a whole number.
    #[error("{0:?} is not a duration: write whole numbers with units, as in \"1m30s\"")]
    NotANumber(String),
    /// A number without a unit, or with one that is not known.
    #[error("{0:?} has a number without a known unit: use h, m, s or ms, as in \"30s\"")]
    NoUnit(String),
    /// More than four parts, or more than five digits in one.
    #[error("{0:?} is too long: at most 4 parts of at most 5 digits each")]
    TooLong(String),
}

impl Duration {
    /// Keeps a text without looking at it; [`Duration::delta`] checks it.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The shortest text in falling units: 90 000 ms is "1m30s".
    #[must_use]
    pub fn from_millis(millis: u32) -> Self {
        let mut rest = i64::from(millis);
        let mut text = String::new();
        for (unit, size) in UNITS {
            if rest >= size {
                text.push_str(&(rest / size).to_string());
                text.push_str(unit);
                rest %= size;
            }
        }
        if text.is_empty() {
            text.push_str("0s");
        }
        Self(text)
    }

    /// The length of time; never negative.
    ///
    /// # Errors
    /// When the text is not a duration, what is wrong with it and how to write it.
    pub fn delta(&self) -> Result<TimeDelta, DurationError> {
        let text = &self.0;
        if text.trim().is_empty() {
            return Err(DurationError::Empty);
        }
        let mut millis: i64 = 0;
        let mut parts = 0;
        let mut rest = text.as_str();
        while !rest.is_empty() {
            let after_digits = rest.trim_start_matches(|c: char| c.is_ascii_digit());
            let digits = rest.strip_suffix(after_digits).unwrap_or_default();
            if digits.is_empty() {
                return Err(DurationError::NotANumber(text.clone()));
            }
            let next = after_digits.trim_start_matches(|c: char| c.is_ascii_alphabetic());
            let unit = after_digits.strip_suffix(next).unwrap_or_default();
            let Some(&(_, size)) = UNITS.iter().find(|(name, _)| *name == unit) else {
                return Err(DurationError::NoUnit(text.clone()));
            };
            parts += 1;
            if parts > MAX_PARTS || digits.len() > MAX_DIGITS {
                return Err(DurationError::TooLong(text.clone()));
            }
            let number: i64 = digits
                .parse()
                .map_err(|_| DurationError::TooLong(text.clone()))?;
            // At most 4 × 99 999 hours: far below what i64 milliseconds hold.
            millis += number * size;
            rest = next;
        }
        Ok(TimeDelta::milliseconds(millis))
    }

    /// The text as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl JsonSchema for Duration {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "maxLength": 32,
            "x-kubernetes-validations": [{
                "rule": format!("self.matches('{SHAPE}')"),
                "message": "must be a duration of whole numbers with the units h, m, s or ms, \
                            as in \"250ms\", \"30s\" or \"1m30s\"",
            }],
        })
    }
}

/// The rule that a duration field is longer than nothing.
///
/// A text that is no duration passes: the type's own rule has already named it.
pub(crate) fn positive(message: &str) -> Rule {
    Rule::new(format!(
        "!self.matches('{SHAPE}') || duration(self) > duration('0s')"
    ))
    .message(message)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use super::*;

    fn millis(text: &str) -> Result<i64, DurationError> {
        Duration::new(text)
            .delta()
            .map(|delta| delta.num_milliseconds())
    }

    #[test]
    fn milliseconds() {
        assert_eq!(millis("0s"), Ok(0));
        assert_eq!(millis("250ms"), Ok(250));
        assert_eq!(millis("1m30s"), Ok(90_000));
        assert_eq!(millis("1h"), Ok(3_600_000));
        assert_eq!(
            millis("99999h99999m99999s99999ms"),
            Ok(99_999 * 3_661_001),
            "the longest text fits"
        );
    }

    #[test]
    fn values_survive_a_round_trip() {
        for value in (0..=u32::MAX).step_by(65_521).chain(0..100_000) {
            assert_eq!(
                Duration::from_millis(value).delta(),
                Ok(TimeDelta::milliseconds(i64::from(value)))
            );
        }
    }

    #[test]
    fn the_shortest_text() {
        assert_eq!(Duration::from_millis(0).as_str(), "0s");
        assert_eq!(Duration::from_millis(250).as_str(), "250ms");
        assert_eq!(Duration::from_millis(90_000).as_str(), "1m30s");
        assert_eq!(Duration::from_millis(7_200_000).as_str(), "2h");
    }

    #[test]
    fn an_error_says_what_is_wrong() {
        let message = |text| millis(text).unwrap_err().to_string();
        assert!(message("").contains("is empty"));
        for text in ["s", "-5s", "1.5m", " 5s", "1m 30s"] {
            let found = message(text);
            let named = found.contains("whole numbers") || found.contains("known unit");
            assert!(named, "{text}: {found}");
        }
        for text in ["30", "1d", "1m30", "5min", "5S"] {
            assert!(message(text).contains("known unit"), "{text}");
        }
        for text in ["100000s", "1s1s1s1s1s"] {
            assert!(message(text).contains("too long"), "{text}");
        }
    }
}
