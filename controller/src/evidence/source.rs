//! What a source calls things. Adding a source is adding an entry here.

use std::collections::BTreeMap;

use sluice_crds::Source;

/// The labels of one series.
pub(super) type Labels = BTreeMap<String, String>;

/// The names that one source uses.
#[derive(Debug)]
pub(super) struct Dialect {
    /// As users write it.
    pub(super) name: &'static str,
    /// A counter of requests.
    pub(super) requests: &'static str,
    /// A classic histogram of their durations in milliseconds, without `_bucket` and `_count`.
    pub(super) durations: &'static str,
    /// Only series with these labels count.
    pub(super) only: &'static [(&'static str, &'static str)],
    /// The label with the namespace of the revision's Service.
    pub(super) namespace: &'static str,
    /// The label with its name.
    pub(super) service: &'static str,
    /// The labels that tell one process from another: the counters of a process restart together.
    pub(super) origin: &'static [&'static str],
    /// Who connects to pods.
    pub(super) connections: Connections,
    /// What became of a request: the first rule that fits; good if none does.
    rules: &'static [Rule],
    /// The bounds of the histogram's buckets that are whole milliseconds, rising.
    bounds_ms: &'static [u64],
}

/// How a source counts connections to pods, at the pods.
#[derive(Debug)]
pub(super) struct Connections {
    /// A counter of connections.
    pub(super) opened: &'static str,
    /// Only series with these labels count.
    pub(super) only: &'static [(&'static str, &'static str)],
    /// The label with the namespace of the pods' workload.
    pub(super) namespace: &'static str,
    /// The label with its name.
    pub(super) workload: &'static str,
    /// The label with the namespace of the workload that connects.
    pub(super) from_namespace: &'static str,
    /// The label with its name.
    pub(super) from_workload: &'static str,
    /// The label with its identity in the mesh.
    pub(super) from_principal: &'static str,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Outcome {
    /// Answered, and not with a server error.
    Good,
    /// Answered with a server error.
    Bad,
    /// Answered with a server error by the proxy itself, which reached no pod.
    Unreached,
    /// Ended without an answer: the client may have gone. Neither good nor bad.
    Unanswered,
}

/// An outcome, and all that the labels must say for it.
#[derive(Debug)]
struct Rule {
    when: &'static [(&'static str, Is)],
    outcome: Outcome,
}

/// What a label's value must be.
#[derive(Debug)]
enum Is {
    OneOf(&'static [&'static str]),
    /// A list, separated by commas, with one of these in it.
    Lists(&'static [&'static str]),
    Prefixed(&'static str),
}

/// Envoy's flags for an answer of its own because it knows no endpoint that is healthy, could not connect to the
/// one that it knew, or knows no cluster.
const UNREACHED: &[&str] = &["UH", "UF", "NC"];

/// <https://istio.io/latest/docs/reference/config/metrics/>, as a waypoint reports them: the
/// destination is the backend that the route chose, never the Service that the client called.
const ISTIO_WAYPOINT: Dialect = Dialect {
    name: "istio-waypoint",
    requests: "istio_requests_total",
    durations: "istio_request_duration_milliseconds",
    only: &[("reporter", "waypoint")],
    namespace: "destination_service_namespace",
    service: "destination_service_name",
    origin: &["instance", "pod"],
    // Of the ztunnel of the pods' node. What it says of the destination's Service is a guess by port. A
    // kubelet's probes go past it.
    connections: Connections {
        opened: "istio_tcp_connections_opened_total",
        only: &[("reporter", "destination")],
        namespace: "destination_workload_namespace",
        workload: "destination_workload",
        from_namespace: "source_workload_namespace",
        from_workload: "source_workload",
        from_principal: "source_principal",
    },
    rules: &[
        Rule {
            when: &[("response_code", Is::OneOf(&["0"]))],
            outcome: Outcome::Unanswered,
        },
        Rule {
            when: &[
                ("response_code", Is::Prefixed("5")),
                ("response_flags", Is::Lists(UNREACHED)),
            ],
            outcome: Outcome::Unreached,
        },
        Rule {
            when: &[
                ("request_protocol", Is::OneOf(&["grpc"])),
                ("grpc_response_status", Is::OneOf(&["14"])),
                ("response_flags", Is::Lists(UNREACHED)),
            ],
            outcome: Outcome::Unreached,
        },
        // For gRPC too: a proxy in between may answer without a gRPC status.
        Rule {
            when: &[("response_code", Is::Prefixed("5"))],
            outcome: Outcome::Bad,
        },
        // UNKNOWN, DEADLINE_EXCEEDED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE, DATA_LOSS: the server's fault.
        Rule {
            when: &[
                ("request_protocol", Is::OneOf(&["grpc"])),
                (
                    "grpc_response_status",
                    Is::OneOf(&["2", "4", "12", "13", "14", "15"]),
                ),
            ],
            outcome: Outcome::Bad,
        },
    ],
    // Istio's defaults, less the half millisecond. The waypoint's annotation
    // sidecar.istio.io/statsHistogramBuckets replaces them.
    bounds_ms: &[
        1, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 300_000,
        600_000, 1_800_000, 3_600_000,
    ],
};

impl Dialect {
    /// The names that this source uses.
    pub(super) fn of(source: Source) -> &'static Self {
        match source {
            Source::IstioWaypoint => &ISTIO_WAYPOINT,
        }
    }

    /// What became of the requests that a series counts.
    pub(super) fn outcome(&self, labels: &Labels) -> Outcome {
        let fits = |(label, is): &(&str, Is)| {
            let value = labels.get(*label).map_or("", String::as_str);
            match is {
                Is::OneOf(values) => values.contains(&value),
                Is::Lists(values) => value.split(',').any(|one| values.contains(&one)),
                Is::Prefixed(prefix) => value.starts_with(prefix),
            }
        };
        let rule = self.rules.iter().find(|rule| rule.when.iter().all(fits));
        rule.map_or(Outcome::Good, |rule| rule.outcome)
    }

    /// The labels that [`Self::outcome`] looks at, each once.
    pub(super) fn outcome_labels(&self) -> Vec<&'static str> {
        let mut labels = Vec::new();
        for (label, _) in self.rules.iter().flat_map(|rule| rule.when) {
            if !labels.contains(label) {
                labels.push(*label);
            }
        }
        labels
    }
}

/// The thresholds, in milliseconds, by which this source can tell fast from slow; rising.
#[must_use]
pub fn buckets_ms(source: Source) -> &'static [u64] {
    Dialect::of(source).bounds_ms
}

/// Whether this source can tell requests below a latency threshold from those above.
///
/// # Errors
/// When the threshold is no bound of its histogram's buckets; the message names the nearest.
pub fn check_threshold(source: Source, threshold_ms: u64) -> Result<(), NoBucket> {
    let bounds = buckets_ms(source);
    match bounds.binary_search(&threshold_ms) {
        Ok(_) => Ok(()),
        Err(above) => Err(NoBucket {
            source: Dialect::of(source).name,
            threshold_ms,
            below: above
                .checked_sub(1)
                .and_then(|below| bounds.get(below).copied()),
            above: bounds.get(above).copied(),
        }),
    }
}

/// A latency threshold is no bound of the source's buckets.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NoBucket {
    source: &'static str,
    /// The threshold.
    pub threshold_ms: u64,
    /// The next lower bound.
    pub below: Option<u64>,
    /// The next higher bound.
    pub above: Option<u64>,
}

impl std::error::Error for NoBucket {}

impl std::fmt::Display for NoBucket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} does not count requests by a threshold of {}ms: use ",
            self.source, self.threshold_ms
        )?;
        match (self.below, self.above) {
            (Some(below), Some(above)) => write!(f, "{below}ms or {above}ms"),
            (Some(nearest), None) | (None, Some(nearest)) => write!(f, "{nearest}ms"),
            (None, None) => write!(f, "another source"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(protocol: &str, code: &str, grpc: &str) -> Outcome {
        let labels = [
            ("request_protocol", protocol),
            ("response_code", code),
            ("grpc_response_status", grpc),
        ];
        ISTIO_WAYPOINT.outcome(&labels.map(|(k, v)| (k.to_owned(), v.to_owned())).into())
    }

    #[test]
    fn server_errors_are_bad() {
        assert_eq!(outcome("http", "200", ""), Outcome::Good);
        assert_eq!(outcome("http", "404", ""), Outcome::Good);
        assert_eq!(outcome("http", "503", ""), Outcome::Bad);
        assert_eq!(outcome("http", "0", ""), Outcome::Unanswered);
        assert_eq!(outcome("grpc", "0", "14"), Outcome::Unanswered);
        assert_eq!(outcome("grpc", "200", "0"), Outcome::Good);
        assert_eq!(outcome("grpc", "200", "5"), Outcome::Good);
        assert_eq!(outcome("grpc", "200", "1"), Outcome::Good);
        assert_eq!(outcome("grpc", "200", "13"), Outcome::Bad);
        assert_eq!(outcome("grpc", "503", ""), Outcome::Bad);
        assert_eq!(outcome("http", "200", "13"), Outcome::Good);
    }

    #[test]
    fn an_answer_of_the_proxy_itself_is_told_from_the_applications() {
        let flagged = |protocol: &str, code: &str, grpc: &str, flags: &str| {
            let labels = [
                ("request_protocol", protocol),
                ("response_code", code),
                ("grpc_response_status", grpc),
                ("response_flags", flags),
            ];
            ISTIO_WAYPOINT.outcome(&labels.map(|(k, v)| (k.to_owned(), v.to_owned())).into())
        };
        for flags in ["UH", "UF", "UF,URX", "NC"] {
            assert_eq!(flagged("http", "503", "", flags), Outcome::Unreached);
            assert_eq!(flagged("grpc", "200", "14", flags), Outcome::Unreached);
            assert_eq!(flagged("http", "200", "", flags), Outcome::Good, "a retry");
        }
        for flags in ["", "-", "UC", "UC,URX", "UT", "UFX"] {
            assert_eq!(flagged("http", "503", "", flags), Outcome::Bad, "{flags}");
        }
        assert_eq!(flagged("grpc", "200", "14", "-"), Outcome::Bad);
        assert_eq!(flagged("http", "0", "", "UF"), Outcome::Unanswered);
    }

    #[test]
    fn a_threshold_must_be_a_bound() {
        let refusal = |ms| check_threshold(Source::IstioWaypoint, ms).map_err(|e| e.to_string());
        assert_eq!(refusal(250), Ok(()));
        let text = "istio-waypoint does not count requests by a threshold of";
        assert_eq!(
            refusal(300),
            Err(format!("{text} 300ms: use 250ms or 500ms"))
        );
        assert_eq!(refusal(0), Err(format!("{text} 0ms: use 1ms")));
        assert_eq!(
            refusal(7_200_000),
            Err(format!("{text} 7200000ms: use 3600000ms"))
        );
        assert!(buckets_ms(Source::IstioWaypoint).is_sorted());
    }
}
