//! OpenTelemetry's metrics of servers, as a Prometheus keeps them that took them by OTLP.
//!
//! A revision is told by its Deployment: `service.name` is the same for all revisions of an app, and
//! `service.version` is the same for two that differ in configuration alone. A collector's `k8sattributes`
//! processor or the operator sets it, and so can the pod itself, from its label `sluice.dev/revision`.

use super::istio::ZTUNNEL;
use super::{CountedBy, Dialect, Family, Is, Outcome, Rule, ToldBy, Unit};

const NAMESPACE: &str = "k8s.namespace.name";
const DEPLOYMENT: &str = "k8s.deployment.name";

/// `instance` is `service.instance.id`. Where an SDK sets none, the pod's name keeps two pods apart.
const ORIGIN: &[&str] = &["job", "instance", "k8s.pod.name"];

/// The bounds that the semantic conventions advise; SDKs use them unless a view says otherwise.
const BOUNDS_MS: &[u64] = &[
    5, 10, 25, 50, 75, 100, 250, 500, 750, 1_000, 2_500, 5_000, 7_500, 10_000,
];

/// <https://opentelemetry.io/docs/specs/semconv/http/http-metrics/#metric-httpserverrequestduration>
pub(super) const HTTP: Dialect = Dialect {
    name: "otel-http",
    families: &[Family {
        requests: None,
        durations: &[
            "http.server.request.duration_seconds",
            "http.server.request.duration",
        ],
        unit: Unit::Seconds,
    }],
    only: &[],
    namespace: NAMESPACE,
    service: DEPLOYMENT,
    told_by: ToldBy::Workload,
    origin: ORIGIN,
    counted_by: CountedBy::Pods { target_info: true },
    connections: Some(&ZTUNNEL),
    rules: &[
        Rule {
            when: &[("http.response.status_code", Is::Prefixed("5"))],
            outcome: Outcome::Bad,
        },
        // The client's fault, whatever an instrumentation says beside it.
        Rule {
            when: &[("http.response.status_code", Is::Prefixed("4"))],
            outcome: Outcome::Good,
        },
        // Without an answer, or in the middle of one.
        Rule {
            when: &[("error.type", Is::Set)],
            outcome: Outcome::Bad,
        },
    ],
    bounds_ms: BOUNDS_MS,
};

/// <https://opentelemetry.io/docs/specs/semconv/rpc/rpc-metrics/>, and the same metric as it was up to version
/// 1.37, in milliseconds and with the codes of gRPC as numbers.
pub(super) const RPC: Dialect = Dialect {
    name: "otel-rpc",
    families: &[
        Family {
            requests: None,
            durations: &[
                "rpc.server.call.duration_seconds",
                "rpc.server.call.duration",
            ],
            unit: Unit::Seconds,
        },
        Family {
            requests: None,
            durations: &["rpc.server.duration_milliseconds", "rpc.server.duration"],
            unit: Unit::Milliseconds,
        },
    ],
    only: &[],
    namespace: NAMESPACE,
    service: DEPLOYMENT,
    told_by: ToldBy::Workload,
    origin: ORIGIN,
    counted_by: CountedBy::Pods { target_info: true },
    connections: Some(&ZTUNNEL),
    rules: &[
        Rule {
            when: &[("rpc.response.status_code", Is::OneOf(SERVER_ERRORS))],
            outcome: Outcome::Bad,
        },
        Rule {
            when: &[("rpc.status_code", Is::OneOf(SERVER_ERRORS))],
            outcome: Outcome::Bad,
        },
        Rule {
            when: &[(
                "rpc.grpc.status_code",
                Is::OneOf(&["2", "4", "12", "13", "14", "15"]),
            )],
            outcome: Outcome::Bad,
        },
        // Any other code is the client's fault, whatever stands beside it.
        Rule {
            when: &[("rpc.response.status_code", Is::Set)],
            outcome: Outcome::Good,
        },
        Rule {
            when: &[("rpc.status_code", Is::Set)],
            outcome: Outcome::Good,
        },
        Rule {
            when: &[("rpc.grpc.status_code", Is::Set)],
            outcome: Outcome::Good,
        },
        Rule {
            when: &[("error.type", Is::Set)],
            outcome: Outcome::Bad,
        },
    ],
    bounds_ms: BOUNDS_MS,
};

/// By which the conventions blame the server; some SDKs write the numbers.
const SERVER_ERRORS: &[&str] = &[
    "UNKNOWN",
    "DEADLINE_EXCEEDED",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "2",
    "4",
    "12",
    "13",
    "14",
    "15",
];

#[cfg(test)]
mod tests {
    use super::super::labels;
    use super::*;

    #[test]
    fn a_server_error_is_bad_and_a_clients_is_not() {
        let outcome = |code: &str, error: &str| {
            HTTP.outcome(&labels([
                ("http.response.status_code", code),
                ("error.type", error),
            ]))
        };
        assert_eq!(outcome("200", ""), Outcome::Good);
        assert_eq!(outcome("404", ""), Outcome::Good);
        assert_eq!(outcome("499", "canceled"), Outcome::Good);
        assert_eq!(outcome("500", "500"), Outcome::Bad);
        assert_eq!(outcome("503", ""), Outcome::Bad);
        assert_eq!(outcome("", "java.net.SocketException"), Outcome::Bad);
        assert_eq!(outcome("200", "broken pipe"), Outcome::Bad);
    }

    #[test]
    fn codes_of_every_convention_are_known() {
        let outcome =
            |label: &str, code: &str| RPC.outcome(&labels([(label, code), ("error.type", "x")]));
        for label in ["rpc.response.status_code", "rpc.status_code"] {
            assert_eq!(outcome(label, "OK"), Outcome::Good);
            assert_eq!(outcome(label, "NOT_FOUND"), Outcome::Good);
            assert_eq!(outcome(label, "UNAVAILABLE"), Outcome::Bad);
            assert_eq!(outcome(label, "14"), Outcome::Bad);
        }
        assert_eq!(outcome("rpc.grpc.status_code", "0"), Outcome::Good);
        assert_eq!(outcome("rpc.grpc.status_code", "5"), Outcome::Good);
        assert_eq!(outcome("rpc.grpc.status_code", "13"), Outcome::Bad);
        assert_eq!(outcome("rpc.method", "Get"), Outcome::Bad, "no code");
        assert_eq!(RPC.outcome(&labels([])), Outcome::Good);
    }
}
