//! A percentage as a string, as in "99.9%".

use std::borrow::Cow;
use std::fmt;

use kube::core::Rule;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// Parts per million in one percent, so that the finest step, 0.0001%, is one part.
const PPM_PER_PERCENT: u32 = 10_000;

/// The shape as a regular expression, its backslash doubled for a CEL string; `100.5%` fits it and
/// is caught by its value.
pub(crate) const SHAPE: &str = r"^[0-9]{1,3}(\\.[0-9]{1,4})?%$";

/// A percentage such as "5%" or "99.95%", with at most four decimals.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Percent(String);

/// Why a text is not a percentage.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PercentError {
    /// The `%` is missing: "5".
    #[error("{0:?} has no % sign: write \"5%\", not \"5\" or \"0.05\"")]
    NoSign(String),
    /// Something other than digits and one point.
    #[error("{0:?} is not a percentage: write digits, at most one point, and %, as in \"99.9%\"")]
    NotANumber(String),
    /// More than four decimals.
    #[error("{0:?} has more than 4 decimals: the finest percentage is \"0.0001%\"")]
    TooFine(String),
    /// More than "100%".
    #[error("{0:?} is more than \"100%\"")]
    TooLarge(String),
}

impl Percent {
    /// Keeps a text without looking at it; [`Percent::ppm`] checks it.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The shortest text for a number of parts per million: 50 000 is "5%".
    #[must_use]
    pub fn from_ppm(ppm: u32) -> Self {
        let (whole, rest) = (ppm / PPM_PER_PERCENT, ppm % PPM_PER_PERCENT);
        if rest == 0 {
            return Self(format!("{whole}%"));
        }
        let decimals = format!("{rest:04}");
        Self(format!("{whole}.{}%", decimals.trim_end_matches('0')))
    }

    /// The value in parts per million, 0 to 1 000 000.
    ///
    /// # Errors
    /// When the text is not a percentage, what is wrong with it and how to write it.
    pub fn ppm(&self) -> Result<u32, PercentError> {
        let text = &self.0;
        let number = text
            .strip_suffix('%')
            .ok_or_else(|| PercentError::NoSign(text.clone()))?;
        let not_a_number = || PercentError::NotANumber(text.clone());
        let (whole, decimals) = match number.split_once('.') {
            Some((_, "")) => return Err(not_a_number()),
            Some(parts) => parts,
            None => (number, ""),
        };
        let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !digits(whole) || !digits(decimals) {
            return Err(not_a_number());
        }
        if decimals.len() > 4 {
            return Err(PercentError::TooFine(text.clone()));
        }
        let too_large = || PercentError::TooLarge(text.clone());
        let whole: u32 = whole.parse().map_err(|_| too_large())?;
        let decimals: u32 = format!("{decimals:0<4}")
            .parse()
            .map_err(|_| not_a_number())?;
        whole
            .checked_mul(PPM_PER_PERCENT)
            .and_then(|ppm| ppm.checked_add(decimals))
            .filter(|&ppm| ppm <= 100 * PPM_PER_PERCENT)
            .ok_or_else(too_large)
    }

    /// The text as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl JsonSchema for Percent {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Percent".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "maxLength": 16,
            "x-kubernetes-validations": [{
                "rule": format!("self.matches('{SHAPE}')"),
                "message": "must be a percentage with a % sign and at most 4 decimals, \
                            as in \"5%\" or \"99.95%\"",
            }],
        })
    }
}

/// The rule that a percentage field lies strictly between 0 % and 100 %.
///
/// A text that is no percentage passes: the type's own rule has already named it.
pub(crate) fn between_0_and_100(message: &str) -> Rule {
    Rule::new(format!(
        "!self.matches('{SHAPE}') || (double(self.replace('%', '')) > 0.0 && \
         double(self.replace('%', '')) < 100.0)"
    ))
    .message(message)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use super::*;

    fn ppm(text: &str) -> Result<u32, PercentError> {
        Percent::new(text).ppm()
    }

    #[test]
    fn parts_per_million() {
        assert_eq!(ppm("0%"), Ok(0));
        assert_eq!(ppm("0.0001%"), Ok(1));
        assert_eq!(ppm("5%"), Ok(50_000));
        assert_eq!(ppm("05.50%"), Ok(55_000));
        assert_eq!(ppm("99.9%"), Ok(999_000));
        assert_eq!(ppm("100%"), Ok(1_000_000));
    }

    #[test]
    fn every_value_survives_a_round_trip() {
        for value in 0..=1_000_000 {
            assert_eq!(Percent::from_ppm(value).ppm(), Ok(value));
        }
    }

    #[test]
    fn the_shortest_text() {
        assert_eq!(Percent::from_ppm(50_000).as_str(), "5%");
        assert_eq!(Percent::from_ppm(999_000).as_str(), "99.9%");
        assert_eq!(Percent::from_ppm(1).as_str(), "0.0001%");
        assert_eq!(Percent::from_ppm(10_100).as_str(), "1.01%");
    }

    #[test]
    fn an_error_says_what_is_wrong() {
        let message = |text| ppm(text).unwrap_err().to_string();
        assert!(message("5").contains("has no % sign"));
        assert!(message("0.05").contains("has no % sign"));
        assert!(message("0.00001%").contains("more than 4 decimals"));
        assert!(message("100.0001%").contains("more than \"100%\""));
        assert!(message("99999999999%").contains("more than \"100%\""));
        for text in ["%", ".5%", "5.%", "-5%", "+5%", "5 %", "1e1%", "1.2.3%"] {
            assert!(message(text).contains("is not a percentage"), "{text}");
        }
    }
}
