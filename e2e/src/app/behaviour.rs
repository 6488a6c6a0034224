//! How one version of the demo app behaves: its image tag, parsed.

use std::{fmt, str::FromStr, time::Duration};

/// The repository name of the demo app's images; any registry and path before it is accepted.
pub const REPOSITORY: &str = "demo";

/// What an image tag such as `v2-fail10-slow300x5` asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Behaviour {
    /// The tag's first part, e.g. `v2`: what answers report as their version.
    pub version: String,
    /// The share of requests that are answered 500.
    pub failing: Share,
    /// The share of requests that are answered late, and how late.
    pub slow: Share,
    /// How late a slow answer is.
    pub delay: Duration,
    /// Exit with code 1 after 200 ms.
    pub crash: bool,
    /// Never be ready.
    pub unready: bool,
}

impl Behaviour {
    /// Reads the behaviour from an image reference such as `demo:v2-fail10`, with a digest behind it or without.
    ///
    /// # Errors
    /// When the repository is not [`REPOSITORY`], or the tag does not parse.
    pub fn of_image(image: &str) -> Result<Self, Unknown> {
        let unknown = || Unknown(image.to_owned());
        let name = image.rsplit('/').next().unwrap_or(image);
        let name = name.split('@').next().unwrap_or(name);
        let (repository, tag) = name.split_once(':').ok_or_else(unknown)?;
        if repository != REPOSITORY {
            return Err(unknown());
        }
        tag.parse().map_err(|_| unknown())
    }
}

impl FromStr for Behaviour {
    type Err = Unknown;

    fn from_str(tag: &str) -> Result<Self, Unknown> {
        let unknown = || Unknown(tag.to_owned());
        let mut parts = tag.split('-');
        let version = parts.next().filter(|v| is_version(v)).ok_or_else(unknown)?;
        let mut behaviour = Self {
            version: version.to_owned(),
            failing: Share::NONE,
            slow: Share::NONE,
            delay: Duration::ZERO,
            crash: false,
            unready: false,
        };
        for part in parts {
            if part == "crash" {
                behaviour.crash = true;
            } else if part == "unready" {
                behaviour.unready = true;
            } else if let Some(percent) = part.strip_prefix("fail") {
                behaviour.failing = Share::percent(percent).ok_or_else(unknown)?;
            } else if let Some(slow) = part.strip_prefix("slow") {
                let (millis, percent) = slow.split_once('x').unwrap_or((slow, "100"));
                behaviour.delay = Duration::from_millis(millis.parse().map_err(|_| unknown())?);
                behaviour.slow = Share::percent(percent).ok_or_else(unknown)?;
            } else {
                return Err(unknown());
            }
        }
        Ok(behaviour)
    }
}

/// `v` and dotted numbers: `v2`, `v2.1`.
fn is_version(part: &str) -> bool {
    part.strip_prefix('v').is_some_and(|numbers| {
        numbers
            .split('.')
            .all(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
    })
}

/// An image or a tag that the demo app does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unknown(String);

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: not found", self.0)
    }
}

impl std::error::Error for Unknown {}

/// A share of requests in hundredths of a percent, 0 to 10,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share(u16);

impl Share {
    /// No request.
    pub const NONE: Self = Self(0);
    const WHOLE: u16 = 10_000;

    /// Parses a percentage with at most two decimals, e.g. `10` or `0.25`.
    #[must_use]
    pub fn percent(text: &str) -> Option<Self> {
        let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
        let hundredths: u16 = match decimals.len() {
            1 => decimals.parse::<u16>().ok()? * 10,
            2 => decimals.parse().ok()?,
            _ => return None,
        };
        let share = whole
            .parse::<u16>()
            .ok()?
            .checked_mul(100)?
            .checked_add(hundredths)?;
        (share <= Self::WHOLE).then_some(Self(share))
    }

    /// Whether the `n`-th request (from 0) belongs to this share. Evenly spaced instead of random,
    /// so that a test sees the same share each time, after as few requests as can show it.
    #[must_use]
    pub fn picks(self, n: u64) -> bool {
        let picked_before = |n: u128| n * u128::from(self.0) / u128::from(Self::WHOLE);
        picked_before(u128::from(n) + 1) > picked_before(u128::from(n))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use super::*;

    #[test]
    fn a_tag_says_how_to_behave() {
        let parsed = Behaviour::of_image("registry.example/shop/demo:v2-fail10-slow300x5").unwrap();
        assert_eq!(parsed.version, "v2");
        assert_eq!(parsed.failing, Share(1000));
        assert_eq!(
            (parsed.slow, parsed.delay),
            (Share(500), Duration::from_millis(300))
        );
        assert!(!parsed.crash && !parsed.unready);
        assert_eq!(
            "v3-slow40".parse::<Behaviour>().unwrap().slow,
            Share(10_000)
        );
        assert!("v3-crash".parse::<Behaviour>().unwrap().crash);
        assert!("v3-unready".parse::<Behaviour>().unwrap().unready);
    }

    #[test]
    fn an_image_nobody_pushed_is_refused() {
        for image in [
            "demo",
            "demo:latest",
            "nginx:v1",
            "demo:v1-fail101",
            "demo:v1-bogus",
            "demo:v",
        ] {
            assert!(Behaviour::of_image(image).is_err(), "{image}");
        }
    }

    #[test]
    fn a_share_is_exact_and_even() {
        for (percent, of_10_000) in [
            ("0", 0),
            ("0.25", 25),
            ("10", 1000),
            ("33", 3300),
            ("100", 10_000),
        ] {
            let share = Share::percent(percent).unwrap();
            assert_eq!(
                (0..10_000).filter(|n| share.picks(*n)).count(),
                of_10_000,
                "{percent}"
            );
        }
        let tenth = Share::percent("10").unwrap();
        assert_eq!(
            (0..30).filter(|n| tenth.picks(*n)).collect::<Vec<_>>(),
            [9, 19, 29]
        );
    }
}
