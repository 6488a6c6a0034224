//! Why nothing follows from the evidence, in data and in words.

use serde::{Deserialize, Serialize};

use super::real::{count, whole_seconds};
use crate::{Indicator, Time};

/// What is missing, and how long it takes as it goes at present.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Lack {
    /// So many events more.
    pub events: u64,
    /// So many seconds, if that can be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<u64>,
}

impl Why {
    /// What is missing, if that is a number of events. `pace` is how many requests the candidate gets in a
    /// second.
    #[must_use]
    pub fn lack(&self, pace: Option<f64>) -> Option<Lack> {
        match self {
            Self::TooFewRequests { have, need } => {
                let events = need.saturating_sub(*have);
                let takes = pace.and_then(|pace| whole_seconds(count(events) / pace));
                let seconds = takes.and_then(|takes| u64::try_from(takes.num_seconds()).ok());
                Some(Lack { events, seconds })
            }
            Self::TooFewValues { have, need, .. } => Some(Lack {
                events: need.saturating_sub(*have),
                seconds: None,
            }),
            _ => None,
        }
    }
}

/// Why nothing follows.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub enum Why {
    /// The source gives nothing: its error, verbatim.
    NoData(Option<String>),
    /// The source said nothing new for too long, and no error either.
    Stale {
        /// Until then everything is known.
        since: Time,
    },
    /// The present weight is not proven to be in force: nothing counts for it yet.
    Unproven,
    /// The candidate got no request since its weight is in force.
    NoTraffic {
        /// Whether there was any request at all in this rollout.
        anywhere: bool,
    },
    /// The candidate got requests, and the source counted none of them for this SLO: no answer, or no
    /// histogram.
    NothingCounted {
        /// The SLO.
        slo: String,
        /// Requests of the candidate.
        requests: u64,
    },
    /// The candidate got requests, and its source has none of what carried them.
    NoConnection {
        /// The SLO.
        slo: String,
        /// What its source counts.
        indicator: Indicator,
        /// Requests of the candidate, over the rollout.
        requests: u64,
    },
    /// Fewer requests than `minRequests`.
    TooFewRequests {
        /// Of the candidate, over the rollout.
        have: u64,
        /// `minRequests`.
        need: u64,
    },
    /// A value was looked at too rarely since the present weight is in force.
    TooFewValues {
        /// The SLO.
        slo: String,
        /// Windows with a value.
        have: u64,
        /// How many it takes.
        need: u64,
    },
    /// There is no objective, and the stable revision got too little traffic to compare with.
    NoComparison {
        /// The SLO.
        slo: String,
    },
    /// Worse than it should be, but chance may explain it.
    Unclear {
        /// The SLO.
        slo: String,
        /// What it counts.
        indicator: Indicator,
        /// Bad events of the candidate.
        bad: u64,
        /// All its events.
        total: u64,
    },
    /// The objective is missed, but not because of the candidate: the stable revision misses it too.
    Incident {
        /// The SLO.
        slo: String,
    },
}

impl std::fmt::Display for Why {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoData(Some(problem)) => write!(f, "the metrics source gives no data: {problem}"),
            Self::NoData(None) => write!(f, "the metrics source gives no data"),
            Self::Stale { since } => write!(
                f,
                "the metrics source gives nothing newer than {}",
                since.format("%H:%M:%SZ")
            ),
            Self::Unproven => write!(f, "the weight is not proven to be in force yet"),
            Self::NoTraffic { anywhere } => {
                write!(
                    f,
                    "the candidate got no request since its weight is in force"
                )?;
                if !anywhere {
                    write!(
                        f,
                        ", nor did the stable revision: is what spec.source reads scraped, and does it fit the mesh?"
                    )?;
                }
                Ok(())
            }
            Self::NothingCounted { slo, requests } => write!(
                f,
                "{slo}: the candidate got {requests} requests, and none was counted"
            ),
            Self::NoConnection {
                slo,
                indicator,
                requests,
            } => write!(
                f,
                "{slo}: the candidate got {requests} requests, and its source counts no {}: is it scraped?",
                indicator.noun()
            ),
            Self::TooFewRequests { have, need } => {
                write!(
                    f,
                    "the candidate got {have} of the {need} requests that minRequests asks"
                )
            }
            Self::TooFewValues { slo, have, need } => write!(
                f,
                "{slo}: {have} of the {need} windows that it takes at this weight are over"
            ),
            Self::NoComparison { slo } => write!(
                f,
                "{slo} has no objective, and the stable revision gets too little traffic to compare"
            ),
            Self::Unclear {
                slo,
                indicator,
                bad,
                total,
            } => {
                let what = indicator.noun();
                write!(
                    f,
                    "{slo}: {bad} of {total} {what} were bad, which chance may explain"
                )
            }
            Self::Incident { slo } => {
                write!(f, "{slo}: the stable revision misses the objective as well")
            }
        }
    }
}
