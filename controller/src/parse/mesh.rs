//! Whose mesh splits the requests, and whether it does.

use k8s_openapi::api::core::v1::Service;
use sluice_crds::{Canary, CanaryStatus, Mesh};

use crate::observe::Observed;
use crate::observe::observed::Policy;
use crate::render::{acceptance, mesh};

/// Istio's controller of routes.
const ISTIO: &str = "istio.io/gateway-controller";

/// Whose mesh splits the requests, as a person said. While a candidate has requests it is the mesh of before, since what
/// is proven and passed counts in that one alone. A policy that is gone took nothing back.
#[must_use]
pub fn said(observed: &Observed) -> Mesh {
    said_of(&observed.canary, &observed.policy)
}

/// The same of a Canary and the policy that it follows.
#[must_use]
pub fn said_of(canary: &Canary, policy: &Policy) -> Mesh {
    let status = canary.status.as_ref();
    let pinned = status.and_then(|status| status.plan.as_ref()?.mesh);
    if let Some(pinned) = pinned.filter(|_| is_held(status)) {
        return pinned;
    }
    let before = || {
        let own = status.is_some_and(|status| status.own_mesh);
        pinned.filter(|_| !own)
    };
    let theirs = || match policy {
        Policy::Found { spec, .. } => spec.mesh,
        Policy::BuiltIn | Policy::Missing(_) => before(),
    };
    canary.spec.policy.mesh.or_else(theirs).unwrap_or_default()
}

/// Whether another word has to wait until the rollout has ended. The first revision ends only once the mesh serves
/// it, and waits for no word of before.
#[must_use]
pub fn is_held(status: Option<&CanaryStatus>) -> bool {
    let rolling = status.filter(|status| status.stable.is_some());
    let rollout = rolling.and_then(|status| status.rollout.as_ref());
    rollout.is_some_and(|rollout| rollout.first_weight_at.is_some())
}

/// Whether the mesh serves the Service that clients call, and what to do if not.
#[must_use]
pub fn serves_parent(observed: &Observed, parent: &Service) -> (bool, Option<String>) {
    let namespace = observed.namespace_labels.as_ref();
    let asked = |mesh: Mesh| {
        let (bound, said) = mesh::bound(mesh, parent);
        (!bound).then(|| mesh::advice(mesh, parent, namespace, said.as_deref()))
    };
    let ciliums = || {
        // What Cilium said of a Service stays when its last route goes, and it looks at none without a route.
        let routed = said(observed) == Mesh::Gamma && !observed.routes.is_empty();
        asked(Mesh::Gamma).filter(|_| routed)
    };
    let istios = || asked(Mesh::IstioAmbient).filter(|_| is_istios(observed));
    let advice = ciliums().or_else(istios);
    (advice.is_none(), advice)
}

/// Whether the mesh knows the Service of a revision, and what it says if not. Of those Cilium says nothing: none has a
/// route.
#[must_use]
pub fn serves_revision(observed: &Observed, service: &Service) -> (bool, Option<String>) {
    if is_istios(observed) {
        mesh::bound(Mesh::IstioAmbient, service)
    } else {
        (true, None)
    }
}

/// Whether it is Istio's word that counts: in ambient mode, and, whatever a person calls the mesh, where Istio alone
/// accepts our routes. It accepts one that nobody enforces, too.
fn is_istios(observed: &Observed) -> bool {
    let routes = observed.routes.iter();
    let mut accepted = routes
        .flat_map(|route| acceptance::accepted_by(route))
        .peekable();
    let alone = accepted.peek().is_some() && accepted.all(|controller| controller == ISTIO);
    alone || said(observed) == Mesh::IstioAmbient
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use std::sync::Arc;

    use kube::api::DynamicObject;
    use serde_json::{Value, json};
    use sluice_crds::{PolicyKind, PolicyRef, PolicySpec};

    use super::*;
    use crate::observe::Caches;

    fn canary(own: Option<Mesh>, status: &Value) -> Canary {
        let mut canary: Canary = serde_json::from_value(json!({
            "apiVersion": "sluice.dev/v1alpha1", "kind": "Canary",
            "metadata": {"name": "shop", "namespace": "shop"},
            "spec": {"targetRef": {"kind": "Deployment", "name": "shop"}},
            "status": status,
        }))
        .unwrap();
        canary.spec.policy.mesh = own;
        canary
    }

    fn reference() -> PolicyRef {
        PolicyRef {
            kind: PolicyKind::ClusterCanaryPolicy,
            name: "default".to_owned(),
        }
    }

    fn policy(mesh: Option<Mesh>) -> Policy {
        Policy::Found {
            reference: reference(),
            spec: Box::new(PolicySpec {
                mesh,
                ..PolicySpec::default()
            }),
            max_concurrent: None,
        }
    }

    fn rolling(mesh: &str, first_weight_at: Option<&str>) -> Value {
        json!({"plan": {"mesh": mesh}, "stable": "shop-z", "rollout": {
            "candidate": "shop-a", "startedAt": "2026-01-01T00:00:00.000000Z",
            "progressedAt": "2026-01-01T00:00:00.000000Z", "firstWeightAt": first_weight_at,
        }})
    }

    #[test]
    fn a_policy_that_is_gone_took_nothing_back() {
        let at_rest = json!({"plan": {"mesh": "gamma"}});
        let of = |own, status: &Value, policy: &Policy| said_of(&canary(own, status), policy);
        for gone in [Policy::BuiltIn, Policy::Missing(reference())] {
            assert_eq!(of(None, &at_rest, &gone), Mesh::Gamma);
            assert_eq!(of(None, &json!({}), &gone), Mesh::IstioAmbient);
            let other = of(Some(Mesh::IstioAmbient), &at_rest, &gone);
            assert_eq!(other, Mesh::IstioAmbient, "another word");
            let taken_back = json!({"plan": {"mesh": "gamma"}, "ownMesh": true});
            let of_own = of(None, &taken_back, &gone);
            assert_eq!(of_own, Mesh::IstioAmbient, "the Canary's own, taken back");
        }
        let silent = of(None, &at_rest, &policy(None));
        assert_eq!(silent, Mesh::IstioAmbient, "taken out of the policy");
        assert_eq!(
            of(None, &json!({}), &policy(Some(Mesh::Gamma))),
            Mesh::Gamma
        );
    }

    #[test]
    fn another_word_waits_while_a_candidate_has_requests() {
        let ambient = policy(Some(Mesh::IstioAmbient));
        let of = |status: &Value| said_of(&canary(None, status), &ambient);
        let since = Some("2026-01-01T00:01:00.000000Z");
        assert_eq!(of(&rolling("gamma", since)), Mesh::Gamma);
        assert_eq!(of(&rolling("gamma", None)), Mesh::IstioAmbient);
        let mut first = rolling("gamma", since);
        first.as_object_mut().unwrap().remove("stable");
        assert_eq!(of(&first), Mesh::IstioAmbient, "nothing was judged yet");
        let own = canary(Some(Mesh::IstioAmbient), &rolling("gamma", since));
        assert_eq!(said_of(&own, &policy(None)), Mesh::Gamma);
    }

    fn observed(accepted_by: &[&str], said: &[&str]) -> Observed {
        let condition = |kind: &&str| {
            json!({"type": kind, "status": "True", "reason": "Because", "message": "",
                "lastTransitionTime": "2026-01-01T00:00:00Z"})
        };
        let accepted = [json!({"type": "Accepted", "status": "True"})];
        let parents = accepted_by.iter().map(|name| {
            json!({"controllerName": name, "conditions": accepted,
                "parentRef": {"group": "", "kind": "Service", "name": "shop", "port": 80}})
        });
        let route = json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
            "metadata": {"name": "shop-80", "namespace": "shop", "labels": {"sluice.dev/canary": "shop"}},
            "spec": {"parentRefs": [{"group": "", "kind": "Service", "name": "shop", "port": 80}]},
            "status": {"parents": parents.collect::<Vec<_>>()},
        });
        let service = json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": "shop", "namespace": "shop"},
            "spec": {"ports": [{"port": 80}]},
            "status": {"conditions": said.iter().map(condition).collect::<Vec<_>>()},
        });
        let mut objects = vec![service];
        objects.extend((!accepted_by.is_empty()).then_some(route));
        let objects = objects.into_iter();
        let objects: Vec<DynamicObject> = objects
            .map(|one| serde_json::from_value(one).unwrap())
            .collect();
        let canary = Arc::new(canary(Some(Mesh::Gamma), &json!({})));
        Observed::collect(&Caches::holding(&objects), canary, "sluice-system")
    }

    fn serves(accepted_by: &[&str], said: &[&str]) -> (bool, String) {
        let observed = observed(accepted_by, said);
        let parent = observed.parent.clone().unwrap();
        let (serves, advice) = serves_parent(&observed, &parent);
        (serves, advice.unwrap_or_default())
    }

    #[test]
    fn istio_that_alone_accepts_must_say_that_a_waypoint_serves() {
        let (serves_without, advice) = serves(&[ISTIO], &[]);
        assert!(
            !serves_without && advice.contains("istio.io/use-waypoint"),
            "{advice}"
        );
        assert!(serves(&[ISTIO], &["istio.io/WaypointBound"]).0);
        let route = observed(&[ISTIO], &[]);
        assert!(!serves_revision(&route, &Service::default()).0);
        for other in [
            "linkerd.io/policy-controller",
            "io.cilium/gateway-controller",
        ] {
            assert!(serves(&[other], &[]).0, "{other}");
            assert!(serves(&[ISTIO, other], &[]).0, "a person accepted both");
        }
    }

    #[test]
    fn what_cilium_attached_counts_only_with_a_route() {
        let cilium = ["io.cilium/gateway-controller"];
        let attached = ["gamma.cilium.io/GammaRoutesAttached"];
        let (serves_route, advice) = serves(&cilium, &attached);
        assert!(
            !serves_route && advice.contains("log of cilium-operator"),
            "{advice}"
        );
        assert!(serves(&[], &attached).0, "left of a route that is gone");
        let waypoint = [attached[0], "istio.io/WaypointBound"];
        assert!(!serves(&[ISTIO], &waypoint).0, "whoever accepted it");
        let both = [attached[0], "gamma.cilium.io/GammaRoutesProgrammed"];
        assert!(serves(&cilium, &both).0);
    }
}
