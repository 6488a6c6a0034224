//! A number of whole days as a string, as in "30d".

use std::borrow::Cow;

use chrono::TimeDelta;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// No budget is for longer than a year.
const MOST: u32 = 366;

/// A number of days such as "30d", from "1d" to "366d".
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Days(String);

/// Why a text is not a number of days.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no number of days from \"1d\" to \"366d\": write as in \"30d\"")]
pub struct DaysError(String);

impl Days {
    /// Keeps a text without looking at it; [`Days::delta`] checks it.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The length of time.
    ///
    /// # Errors
    /// When the text is no number of days, with how to write it.
    pub fn delta(&self) -> Result<TimeDelta, DaysError> {
        let number = self.0.strip_suffix('d').unwrap_or_default();
        let plain = number.bytes().all(|byte| byte.is_ascii_digit());
        let days = number.parse::<u32>().ok().filter(|_| plain);
        days.filter(|days| (1..=MOST).contains(days))
            .map(|days| TimeDelta::days(days.into()))
            .ok_or_else(|| DaysError(self.0.clone()))
    }
}

impl JsonSchema for Days {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Days".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "maxLength": 4,
            "x-kubernetes-validations": [{
                "rule": format!(
                    "self.matches('^[1-9][0-9]{{0,2}}d$') && int(self.replace('d', '')) <= {MOST}"
                ),
                "message": "must be a number of days from 1d to 366d, as in \"30d\"",
            }],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_whole_and_a_year_at_most() {
        let days = |text| Days::new(text).delta().map(|delta| delta.num_days());
        assert_eq!(days("1d"), Ok(1));
        assert_eq!(days("30d"), Ok(30));
        assert_eq!(days("366d"), Ok(366));
        for text in ["", "d", "0d", "367d", "30", "+3d", "1.5d", "720h", "1d1d"] {
            let message = days(text).map_err(|error| error.to_string());
            assert!(
                message.is_err_and(|m| m.contains("as in \"30d\"")),
                "{text}"
            );
        }
    }
}
