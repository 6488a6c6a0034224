//! Cilium's metrics: <https://docs.cilium.io/en/stable/observability/metrics/#hubble-exported-metrics>.

use sluice_core::Indicator;

use super::connections::{Connections, Count, Counted, WorkloadLabels};
use super::{CountedBy, Dialect, Family, Is, Outcome, Rule, ToldBy, Unit};

/// Hubble's `httpV2`, with `labelsContext=destination_namespace,destination_workload`. Each request is counted
/// where it leaves and where it arrives; the durations have no status.
pub(super) const HUBBLE: Dialect = Dialect {
    name: "cilium-hubble",
    families: &[Family {
        requests: Some("hubble_http_requests_total"),
        durations: &["hubble_http_request_duration_seconds"],
        unit: Unit::Seconds,
    }],
    only: &[("reporter", "server")],
    namespace: "destination_namespace",
    service: "destination_workload",
    told_by: ToldBy::Workload,
    // Of the node's agent.
    origin: &["instance", "pod"],
    counted_by: CountedBy::Proxies,
    connections: None,
    rules: &[
        // No answer was seen.
        Rule {
            when: &[("status", Is::OneOf(&["", "0"]))],
            outcome: Outcome::Unanswered,
        },
        Rule {
            when: &[("status", Is::Prefixed("5"))],
            outcome: Outcome::Bad,
        },
    ],
    // The defaults of Prometheus' Go client.
    bounds_ms: &[5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000],
};

const FLOWS: &str = "hubble_flows_processed_total";

/// Hubble's `flow`, with `labelsContext` of all four labels: what Cilium passed on or dropped of the revision's pods,
/// at their own node. An agent knows no workload of another node's pods: what the caller's node dropped has no
/// destination here.
///
/// A packet that a policy denies is a `Drop` like any other, and a `PolicyVerdict` besides, both with the
/// verdict DROPPED: `hubble_drop_total` counts it twice, and `type` tells the two apart. Denials on layer 7 are of
/// the type `L7`, and no drops.
/// <https://github.com/cilium/cilium/blob/main/pkg/hubble/metrics/flow/handler.go>
pub(super) const DROPS: Connections = Connections {
    name: "cilium-drops",
    indicator: Indicator::Flows,
    rules: &[
        Count::new(FLOWS, &[("type", Is::OneOf(&["Trace"]))], Counted::Good),
        Count::new(FLOWS, &[("type", Is::OneOf(&["Drop"]))], Counted::Bad),
    ],
    only: &[("type", &["Drop", "Trace"])],
    // Of the node's agent.
    origin: &["instance", "pod"],
    parts: &[
        WorkloadLabels {
            namespace: "destination_namespace",
            name: "destination_workload",
        },
        WorkloadLabels {
            namespace: "source_namespace",
            name: "source_workload",
        },
    ],
    from: None,
    hint: "are Cilium's agents still scraped?",
};

#[cfg(test)]
mod tests {
    use super::super::labels;
    use super::*;

    #[test]
    fn a_server_error_is_bad() {
        let outcome = |status| HUBBLE.outcome(&labels([("status", status)]));
        assert_eq!(outcome("200"), Outcome::Good);
        assert_eq!(outcome("404"), Outcome::Good);
        assert_eq!(outcome("503"), Outcome::Bad);
        assert_eq!(outcome("0"), Outcome::Unanswered);
    }
}
