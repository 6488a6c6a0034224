//! The kinds that are looked at and that Sluice itself does not use.

use kube::api::ApiResource;

use crate::cli::read::resource;

pub(super) fn autoscaler() -> ApiResource {
    resource(
        "autoscaling",
        "v2",
        "HorizontalPodAutoscaler",
        "horizontalpodautoscalers",
    )
}

pub(super) fn scaled_object() -> ApiResource {
    resource("keda.sh", "v1alpha1", "ScaledObject", "scaledobjects")
}

pub(super) fn vertical_autoscaler() -> ApiResource {
    resource(
        "autoscaling.k8s.io",
        "v1",
        "VerticalPodAutoscaler",
        "verticalpodautoscalers",
    )
}

pub(super) fn disruption_budget() -> ApiResource {
    resource(
        "policy",
        "v1",
        "PodDisruptionBudget",
        "poddisruptionbudgets",
    )
}

pub(super) fn service_monitor() -> ApiResource {
    monitoring("ServiceMonitor", "servicemonitors")
}

pub(super) fn pod_monitor() -> ApiResource {
    monitoring("PodMonitor", "podmonitors")
}

pub(super) fn rule() -> ApiResource {
    monitoring("PrometheusRule", "prometheusrules")
}

fn monitoring(kind: &str, plural: &str) -> ApiResource {
    resource("monitoring.coreos.com", "v1", kind, plural)
}

pub(super) fn authorization_policy() -> ApiResource {
    resource(
        "security.istio.io",
        "v1",
        "AuthorizationPolicy",
        "authorizationpolicies",
    )
}
