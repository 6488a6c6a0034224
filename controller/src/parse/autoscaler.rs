//! What scales the target, or the Canary, by itself.

use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use kube::{Resource as _, ResourceExt as _};
use sluice_core::{Autoscaler, Scaled};
use sluice_crds::{Canary, TargetKind};

use crate::observe::Observed;

/// The autoscaler of a Canary: one that still scales its target comes first.
#[must_use]
pub fn parse(observed: &Observed) -> Option<Autoscaler> {
    let canary = &observed.canary;
    let of = |scales| {
        let mut autoscalers = observed.autoscalers.iter();
        let found = autoscalers.find(|autoscaler| what(autoscaler, canary) == Some(scales))?;
        Some(Autoscaler {
            name: named(found),
            scales,
        })
    };
    of(Scaled::Target).or_else(|| of(Scaled::Canary))
}

fn what(autoscaler: &HorizontalPodAutoscaler, canary: &Canary) -> Option<Scaled> {
    let points_at = &autoscaler.spec.as_ref()?.scale_target_ref;
    let group = points_at.api_version.as_deref().unwrap_or_default();
    let group = group.split_once('/').map_or("", |(group, _)| group);
    let target = &canary.spec.target_ref;
    let is_target = target.kind == TargetKind::Deployment
        && (group, points_at.kind.as_str()) == ("apps", "Deployment")
        && points_at.name == target.name;
    let is_canary = group == Canary::group(&())
        && points_at.kind == Canary::kind(&())
        && points_at.name == canary.name_any();
    is_target
        .then_some(Scaled::Target)
        .or(is_canary.then_some(Scaled::Canary))
}

/// Whoever keeps the autoscaler, as KEDA's `ScaledObject` does: an edit of the autoscaler itself would be
/// undone.
fn named(autoscaler: &HorizontalPodAutoscaler) -> String {
    let owners = autoscaler.owner_references();
    match owners.iter().find(|owner| owner.controller == Some(true)) {
        Some(owner) => format!("{} {}", owner.kind, owner.name),
        None => format!("HorizontalPodAutoscaler {}", autoscaler.name_any()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use serde_json::json;

    use super::*;

    fn canary() -> Canary {
        serde_json::from_value(json!({
            "apiVersion": "sluice.dev/v1alpha1", "kind": "Canary",
            "metadata": {"name": "shop-canary"},
            "spec": {"targetRef": {"kind": "Deployment", "name": "shop"}},
        }))
        .unwrap()
    }

    fn pointed_at(api_version: &str, kind: &str, name: &str) -> HorizontalPodAutoscaler {
        serde_json::from_value(json!({
            "metadata": {"name": "cpu"},
            "spec": {
                "maxReplicas": 5,
                "scaleTargetRef": {"apiVersion": api_version, "kind": kind, "name": name},
            },
        }))
        .unwrap()
    }

    #[test]
    fn only_this_target_and_this_canary_count() {
        let scales = |version, kind, name| what(&pointed_at(version, kind, name), &canary());
        assert_eq!(
            scales("apps/v1", "Deployment", "shop"),
            Some(Scaled::Target)
        );
        assert_eq!(scales("apps/v1", "Deployment", "cart"), None);
        assert_eq!(scales("apps/v1", "StatefulSet", "shop"), None);
        let ours = "sluice.dev/v1alpha1";
        assert_eq!(scales(ours, "Canary", "shop-canary"), Some(Scaled::Canary));
        assert_eq!(scales(ours, "Canary", "shop"), None);
        assert_eq!(
            scales("flagger.app/v1beta1", "Canary", "shop-canary"),
            None,
            "another's Canary"
        );
    }

    #[test]
    fn who_keeps_it_is_named() {
        let mut autoscaler = pointed_at("apps/v1", "Deployment", "shop");
        assert_eq!(named(&autoscaler), "HorizontalPodAutoscaler cpu");
        autoscaler.metadata = serde_json::from_value(json!({
            "name": "keda-hpa-cpu",
            "ownerReferences": [{
                "apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "name": "cpu", "uid": "1",
                "controller": true,
            }],
        }))
        .unwrap();
        assert_eq!(named(&autoscaler), "ScaledObject cpu");
    }
}
