//! What a candidate meets.

use clap::ValueEnum;
use sluice_core::{Indicator, Plan, Slo};
use sluice_crds::Percent;

use crate::cli::timeline::length;

/// A candidate in a cluster and its traffic.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Scenario {
    /// It is like the stable revision.
    Healthy,
    /// It fails a share of its requests.
    Errors,
    /// A share of its requests takes too long.
    Slow,
    /// Nobody calls the Service.
    NoTraffic,
    /// It is healthy, and Prometheus is away for a while.
    Outage,
}

/// How bad things are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Troubles {
    /// Requests that fail, in parts per million.
    pub(super) errors: u32,
    /// Requests that take too long, in parts per million.
    pub(super) slow: u32,
    /// How long Prometheus is away.
    pub(super) outage: chrono::TimeDelta,
}

/// Where there is no objective, a healthy revision has so many bad events...
const USUAL: f64 = 0.0001;
/// ...and where there is one, this part of what it allows.
const SPENT: f64 = 0.1;

impl Scenario {
    /// All of them.
    pub(crate) const ALL: [Self; 5] = [
        Self::Healthy,
        Self::Errors,
        Self::Slow,
        Self::NoTraffic,
        Self::Outage,
    ];

    /// As it is given.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Errors => "errors",
            Self::Slow => "slow",
            Self::NoTraffic => "no-traffic",
            Self::Outage => "outage",
        }
    }

    /// In a few words.
    pub(super) fn describe(self, troubles: &Troubles) -> String {
        let what = match self {
            Self::Healthy => "the candidate is like the stable revision".to_owned(),
            Self::Errors => format!(
                "the candidate fails {} of its requests",
                Percent::from_ppm(troubles.errors)
            ),
            Self::Slow => format!(
                "{} of the candidate's requests are slow",
                Percent::from_ppm(troubles.slow)
            ),
            Self::NoTraffic => "nobody calls the Service".to_owned(),
            Self::Outage => format!(
                "the candidate is healthy, and Prometheus is away for {} in mid-rollout",
                length(troubles.outage)
            ),
        };
        format!("{}: {what}", self.name())
    }

    /// The share of an SLO's events that are bad: of a healthy revision, and of the candidate.
    pub(super) fn shares(self, slo: &Slo, troubles: &Troubles) -> (f64, f64) {
        let part = |ppm: u32| f64::from(ppm) / 1e6;
        let allowed = |ppm: u32| part(1_000_000_u32.saturating_sub(ppm));
        let healthy = slo.objective_ppm.map_or(USUAL, |ppm| allowed(ppm) * SPENT);
        let added = match (self, slo.indicator) {
            (Self::Errors, Indicator::Availability | Indicator::Events) => part(troubles.errors),
            (Self::Slow, Indicator::Latency { .. }) => part(troubles.slow),
            // What a value says of requests nobody knows: take it for one that shows that something is wrong.
            (Self::Errors | Self::Slow, Indicator::Value) => 1.0,
            _ => 0.0,
        };
        (healthy, (healthy + added).min(1.0))
    }

    /// Whether any SLO can tell that something is wrong, if it is.
    pub(super) fn is_seen(self, plan: &Plan) -> bool {
        let mut indicators = plan.slos.iter().map(|slo| slo.indicator);
        match self {
            Self::Errors => indicators.any(|indicator| {
                matches!(
                    indicator,
                    Indicator::Availability | Indicator::Events | Indicator::Value
                )
            }),
            Self::Slow => indicators
                .any(|indicator| matches!(indicator, Indicator::Latency { .. } | Indicator::Value)),
            Self::Healthy | Self::NoTraffic | Self::Outage => true,
        }
    }
}
