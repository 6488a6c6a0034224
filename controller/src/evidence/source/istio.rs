//! Istio's metrics: <https://istio.io/latest/docs/reference/config/metrics/>.

use sluice_core::Indicator;

use super::connections::{Connections, Count, Counted, PeerLabels, WorkloadLabels};
use super::{CountedBy, Dialect, Family, Is, Outcome, Rule, ToldBy, Unit};

/// Envoy's flags for an answer of its own because it knows no endpoint that is healthy, could not connect to the
/// one that it knew, or knows no cluster.
const UNREACHED: &[&str] = &["UH", "UF", "NC"];

const FAMILIES: &[Family] = &[Family {
    requests: Some("istio_requests_total"),
    durations: &["istio_request_duration_milliseconds"],
    unit: Unit::Milliseconds,
}];

/// Istio's defaults, less the half millisecond. An annotation, `sidecar.istio.io/statsHistogramBuckets`, replaces
/// them.
const BOUNDS_MS: &[u64] = &[
    1, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 300_000, 600_000,
    1_800_000, 3_600_000,
];

const UNANSWERED: Rule = Rule {
    when: &[("response_code", Is::OneOf(&["0"]))],
    outcome: Outcome::Unanswered,
};

/// For gRPC too: a proxy in between may answer without a gRPC status.
const FAILED: Rule = Rule {
    when: &[("response_code", Is::Prefixed("5"))],
    outcome: Outcome::Bad,
};

/// UNKNOWN, `DEADLINE_EXCEEDED`, UNIMPLEMENTED, INTERNAL, UNAVAILABLE, `DATA_LOSS`: the server's fault.
const FAILED_GRPC: Rule = Rule {
    when: &[
        ("request_protocol", Is::OneOf(&["grpc"])),
        (
            "grpc_response_status",
            Is::OneOf(&["2", "4", "12", "13", "14", "15"]),
        ),
    ],
    outcome: Outcome::Bad,
};

/// As a waypoint reports: the destination is the backend that the route chose, never the Service that the client
/// called.
pub(super) const WAYPOINT: Dialect = Dialect {
    name: "istio-waypoint",
    families: FAMILIES,
    only: &[("reporter", "waypoint")],
    namespace: "destination_service_namespace",
    service: "destination_service_name",
    told_by: ToldBy::Service,
    origin: &["instance", "pod"],
    counted_by: CountedBy::Proxies,
    connections: Some(&ZTUNNEL),
    rules: &[
        UNANSWERED,
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
        FAILED,
        FAILED_GRPC,
    ],
    bounds_ms: BOUNDS_MS,
};

/// As the sidecar beside the app reports. The client's says the wrong Service after a split
/// (<https://github.com/istio/istio/issues/45555>), but the workload is always that of the pod. Whatever the
/// sidecar answers itself, the app beside it did not: there is no mesh in between to blame.
pub(super) const SIDECAR: Dialect = Dialect {
    name: "istio-sidecar",
    families: FAMILIES,
    only: &[("reporter", "destination")],
    namespace: "destination_workload_namespace",
    service: "destination_workload",
    told_by: ToldBy::Workload,
    origin: &["instance", "pod"],
    counted_by: CountedBy::Pods { target_info: false },
    connections: None,
    rules: &[UNANSWERED, FAILED, FAILED_GRPC],
    bounds_ms: BOUNDS_MS,
};

/// The ztunnel of the pods' node. What it says of the destination's Service is a guess by port. A kubelet's probes
/// go past it.
///
/// A connection is counted as opened before it is let in and before the pod is connected to. Whatever then
/// goes wrong is a flag on the one that closed: denied by a policy, refused by the pod; from Istio 1.30 on also one
/// that breaks later, and the same once more as `istio_tcp_connections_failed_total`, which Istio calls unstable.
/// <https://github.com/istio/ztunnel/blob/master/src/proxy/metrics.rs>
pub(super) const ZTUNNEL: Connections = Connections {
    name: "ztunnel",
    indicator: Indicator::Connections,
    rules: &[
        Count::new("istio_tcp_connections_opened_total", &[], Counted::Begun),
        Count::new(
            "istio_tcp_connections_closed_total",
            &[("response_flags", Is::NoneOf(&["", "-"]))],
            Counted::Bad,
        ),
    ],
    only: &[("reporter", &["destination"])],
    origin: &["instance", "pod"],
    parts: &[WorkloadLabels {
        namespace: "destination_workload_namespace",
        name: "destination_workload",
    }],
    from: Some(&PeerLabels {
        workload: WorkloadLabels {
            namespace: "source_workload_namespace",
            name: "source_workload",
        },
        principal: "source_principal",
    }),
    hint: "is ztunnel still scraped?",
};

#[cfg(test)]
mod tests {
    use super::super::labels;
    use super::*;

    fn outcome(dialect: &Dialect, protocol: &str, code: &str, grpc: &str, flags: &str) -> Outcome {
        dialect.outcome(&labels([
            ("request_protocol", protocol),
            ("response_code", code),
            ("grpc_response_status", grpc),
            ("response_flags", flags),
        ]))
    }

    #[test]
    fn server_errors_are_bad() {
        for dialect in [&WAYPOINT, &SIDECAR] {
            let outcome = |protocol, code, grpc| outcome(dialect, protocol, code, grpc, "-");
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
    }

    #[test]
    fn an_answer_of_the_proxy_itself_is_told_from_the_applications() {
        let flagged = |protocol, code, grpc, flags| outcome(&WAYPOINT, protocol, code, grpc, flags);
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
    fn a_sidecar_that_does_not_reach_its_app_blames_the_app() {
        let refused = outcome(&SIDECAR, "http", "503", "", "UF");
        assert_eq!(refused, Outcome::Bad);
    }
}
