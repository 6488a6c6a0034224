//! Whose an object is, as a whole: told by what the object says of itself.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use sluice_crds::labels;

use super::owner::Owner;

/// Whose an object is, as a whole.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Whose {
    /// Of the people who write to Git, or of a person.
    Yours,
    /// Made by Sluice.
    Sluices,
    /// Made by istiod.
    Istiods,
    /// Made by Kubernetes' own controllers.
    Kubernetes,
}

/// On what istiod makes of a Gateway (Gateway API's own label, GEP-1762).
const OF_A_GATEWAY: &str = "gateway.networking.k8s.io/gateway-name";

impl Whose {
    /// As people say it, before a kind.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Yours => "your",
            Self::Sluices => "Sluice's",
            Self::Istiods => "istiod's",
            Self::Kubernetes => "Kubernetes'",
        }
    }

    /// Whose an object of this kind is.
    #[must_use]
    pub fn is(kind: &str, object: &ObjectMeta) -> Self {
        let label = |key: &str| Some(object.labels.as_ref()?.get(key)?.as_str());
        let name = object.name.as_deref().unwrap_or_default();
        let ours = label(labels::MANAGED_BY) == Some(labels::MANAGER);
        match (kind, name) {
            // Labels of what they are made from are copied to them.
            ("ReplicaSet" | "EndpointSlice", _)
            | ("ServiceAccount", "default")
            | ("ConfigMap", "kube-root-ca.crt") => Self::Kubernetes,
            ("Pod", _) if has_controller(object) => Self::Kubernetes,
            ("GatewayClass", _) | ("ConfigMap", "istio-ca-root-cert") => Self::Istiods,
            ("Lease", _) => Self::Sluices,
            _ if label(OF_A_GATEWAY).is_some() => Self::Istiods,
            _ if ours && label(labels::CANARY).is_some() => Self::Sluices,
            _ if is_written_by_sluice_alone(object) => Self::Sluices,
            _ => Self::Yours,
        }
    }
}

/// Somebody may have taken the labels away. What Sluice writes a field of, and Git and people none, it made.
fn is_written_by_sluice_alone(object: &ObjectMeta) -> bool {
    let entries = object.managed_fields.iter().flatten();
    let owners: Vec<_> = entries
        .filter_map(|entry| Owner::of(entry.manager.as_deref()?))
        .collect();
    let theirs = |owner: &Owner| matches!(owner, Owner::Git | Owner::Person);
    owners.contains(&Owner::Sluice) && !owners.iter().any(theirs)
}

fn has_controller(object: &ObjectMeta) -> bool {
    let mut owners = object.owner_references.iter().flatten();
    owners.any(|owner| owner.controller == Some(true))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use serde_json::{Value, json};

    use super::*;

    fn whose(kind: &str, metadata: Value) -> Whose {
        Whose::is(kind, &serde_json::from_value(metadata).unwrap())
    }

    #[test]
    fn an_object_says_whose_it_is() {
        let revision = json!({"name": "shop-1", "labels": {
            "sluice.dev/canary": "shop", "app.kubernetes.io/managed-by": "sluice",
        }});
        assert_eq!(whose("Deployment", revision.clone()), Whose::Sluices);
        assert_eq!(whose("EndpointSlice", revision), Whose::Kubernetes);
        // One label of ours does not make it ours.
        let labelled = json!({"name": "shop", "labels": {"sluice.dev/canary": "shop"}});
        assert_eq!(whose("Service", labelled), Whose::Yours);
        // Nor does a field that Sluice wrote; and taking the labels off does not make it anybody else's.
        let managed = |managers: &[&str]| {
            let entries: Vec<_> = managers.iter().map(|m| json!({"manager": m})).collect();
            json!({"name": "shop-1", "managedFields": entries})
        };
        let both = managed(&["e2e", "sluice"]);
        assert_eq!(whose("Deployment", both), Whose::Yours);
        let stripped = managed(&["sluice", "kube-controller-manager"]);
        assert_eq!(whose("Deployment", stripped), Whose::Sluices);
        let waypoint = json!({"name": "waypoint", "labels": {
            "gateway.networking.k8s.io/gateway-name": "waypoint",
        }});
        assert_eq!(whose("Service", waypoint), Whose::Istiods);
        let pod = json!({"name": "shop-1-x", "ownerReferences": [
            {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "x", "uid": "1", "controller": true},
        ]});
        assert_eq!(whose("Pod", pod), Whose::Kubernetes);
        assert_eq!(whose("Pod", json!({"name": "client"})), Whose::Yours);
    }
}
