//! What the mesh says about a Service.

use k8s_openapi::api::core::v1::Service;

/// The one condition of Istio's that tells whether a waypoint serves a Service: an `HTTPRoute` is
/// Accepted without one, too. It has no `observedGeneration`.
const WAYPOINT_BOUND: &str = "istio.io/WaypointBound";

/// Whether a waypoint serves the Service, and what the mesh says if not, verbatim. Nothing said yet is
/// not bound.
#[must_use]
pub fn waypoint_bound(service: &Service) -> (bool, Option<String>) {
    let conditions = service
        .status
        .as_ref()
        .and_then(|status| status.conditions.as_ref());
    let bound = conditions
        .into_iter()
        .flatten()
        .find(|condition| condition.type_ == WAYPOINT_BOUND);
    match bound {
        None => (false, None),
        Some(condition) if condition.status == "True" => (true, None),
        Some(condition) => (
            false,
            Some(format!("{}: {}", condition.reason, condition.message)),
        ),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use serde_json::json;

    use super::*;

    fn service(kind: &str, status: &str) -> Service {
        serde_json::from_value(json!({"status": {"conditions": [{
            "type": kind, "status": status, "reason": "WaypointIsNotReady",
            "message": "waypoint shop/waypoint is not ready",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }]}}))
        .unwrap()
    }

    #[test]
    fn only_a_true_condition_is_bound() {
        assert_eq!(
            waypoint_bound(&service(WAYPOINT_BOUND, "True")),
            (true, None)
        );
        let problem = "WaypointIsNotReady: waypoint shop/waypoint is not ready".to_owned();
        assert_eq!(
            waypoint_bound(&service(WAYPOINT_BOUND, "False")),
            (false, Some(problem))
        );
        assert_eq!(waypoint_bound(&service("Other", "True")), (false, None));
        assert_eq!(waypoint_bound(&Service::default()), (false, None));
    }
}
