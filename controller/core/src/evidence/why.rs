//! Why nothing follows from the evidence, in data and in words.

use serde::{Deserialize, Serialize};

/// Why nothing follows.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub enum Why {
    /// The source gives nothing: its error, verbatim.
    NoData(Option<String>),
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
            Self::NoTraffic { anywhere } => {
                write!(
                    f,
                    "the candidate got no request since its weight is in force"
                )?;
                if !anywhere {
                    write!(f, ", nor did the stable revision: is the waypoint scraped?")?;
                }
                Ok(())
            }
            Self::NothingCounted { slo, requests } => write!(
                f,
                "{slo}: the candidate got {requests} requests, and none was counted"
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
            Self::Unclear { slo, bad, total } => {
                write!(
                    f,
                    "{slo}: {bad} of {total} requests were bad, which chance may explain"
                )
            }
            Self::Incident { slo } => {
                write!(f, "{slo}: the stable revision misses the objective as well")
            }
        }
    }
}
