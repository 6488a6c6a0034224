//! Times in status: RFC 3339 in UTC with six decimals, as Kubernetes' `MicroTime`.
//!
//! Use as `#[serde(with = "micro_time")]`, or `micro_time::option`. Writing cuts off what is below
//! a microsecond, so a time read back is never later than the one written.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Deserializer, Serializer};

/// Writes `2026-01-31T12:00:00.000000Z`.
///
/// # Errors
/// Only those of the serializer.
pub fn serialize<S: Serializer>(time: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&time.to_rfc3339_opts(SecondsFormat::Micros, true))
}

/// Reads any RFC 3339 time.
///
/// # Errors
/// When the text is not an RFC 3339 time.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<DateTime<Utc>, D::Error> {
    DateTime::<Utc>::deserialize(deserializer)
}

/// The same for an optional time; pair it with `#[serde(default)]`.
pub mod option {
    use super::{DateTime, Deserialize, Deserializer, Serializer, Utc};

    /// Writes the time, or null.
    ///
    /// # Errors
    /// Only those of the serializer.
    pub fn serialize<S: Serializer>(
        time: &Option<DateTime<Utc>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match time {
            Some(time) => super::serialize(time, serializer),
            None => serializer.serialize_none(),
        }
    }

    /// Reads an RFC 3339 time, or null.
    ///
    /// # Errors
    /// When the text is not an RFC 3339 time.
    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<DateTime<Utc>>, D::Error> {
        Option::<DateTime<Utc>>::deserialize(deserializer)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use super::*;
    use serde::Serialize;

    #[derive(Serialize, Deserialize, PartialEq, Debug)]
    struct Times {
        #[serde(with = "super")]
        at: DateTime<Utc>,
        #[serde(
            default,
            with = "super::option",
            skip_serializing_if = "Option::is_none"
        )]
        since: Option<DateTime<Utc>>,
    }

    #[test]
    fn six_decimals_and_utc() {
        let at = DateTime::from_timestamp_nanos(1_769_860_800_123_456_789);
        let json = serde_json::to_string(&Times { at, since: None }).unwrap();
        assert_eq!(json, r#"{"at":"2026-01-31T12:00:00.123456Z"}"#);
    }

    #[test]
    fn what_was_written_is_read_back() {
        let at = DateTime::from_timestamp_micros(1_769_860_800_000_001).unwrap();
        let times = Times {
            at,
            since: Some(at),
        };
        let json = serde_json::to_string(&times).unwrap();
        assert_eq!(serde_json::from_str::<Times>(&json).unwrap(), times);
    }

    #[test]
    fn an_offset_is_turned_into_utc() {
        let times: Times = serde_json::from_str(r#"{"at":"2026-01-31T13:00:00+01:00"}"#).unwrap();
        assert_eq!(times.at.timestamp(), 1_769_860_800);
    }
}
