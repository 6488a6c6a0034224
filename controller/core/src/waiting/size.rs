//! The target's size is in Git, and with it the target's own pods.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Git keeps the size of a target that serves nobody any more. `Display` is a sentence for a person.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct SizeKept {
    /// The target.
    pub deployment: String,
    /// Who applies it.
    pub manager: String,
    /// The target's own pods.
    pub pods: u32,
    /// The size that the Canary is to say, if it does not yet.
    pub replicas: Option<u32>,
    /// The autoscaler that is to be pointed at the Canary: kind and name.
    pub moves: Option<String>,
}

impl fmt::Display for SizeKept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // First of all: an autoscaler that still looks at the target would scale it up again as it becomes 1.
        if let Some(autoscaler) = &self.moves {
            return write!(
                f,
                "now {}, and leave spec.replicas of Deployment {} in Git until told",
                pointed_here(autoscaler),
                self.deployment
            );
        }
        let dropped = format!(
            "remove spec.replicas from Deployment {} in Git, from where {} applies it",
            self.deployment, self.manager
        );
        let size = self.replicas;
        let size = size.map(|size| format!("set spec.replicas: {size} on this Canary"));
        let steps: Vec<_> = [Some(dropped), size].into_iter().flatten().collect();
        write!(
            f,
            "now {}: until then its own {} pods run beside the revision's, and serve nobody but clients that \
             go around the waypoint",
            steps.join(", and "),
            self.pods
        )
    }
}

/// What is to become of one that still scales the target, and of a size that may be in Git, by `held_by`. That only then:
/// whoever drops the size may make it 1, and the autoscaler would go on from there.
pub(super) fn on_target(autoscaler: &str, held_by: Option<&str>) -> String {
    let pointed = pointed_here(autoscaler);
    let dropped = held_by.map(|manager| format!("; then {}", dropped(manager)));
    format!(
        "now {pointed}: it scales nothing while the Deployment is at 0{}",
        dropped.unwrap_or_default()
    )
}

/// What is to become of a size in Git.
pub(super) fn dropped(manager: &str) -> String {
    format!("remove spec.replicas from the Deployment in Git, from where {manager} applies it")
}

/// What is to become of an autoscaler.
pub(super) fn pointed_here(autoscaler: &str) -> String {
    format!(
        "point scaleTargetRef of {autoscaler} at this Canary (apiVersion: sluice.dev/v1alpha1, kind: Canary)"
    )
}

/// What is to become of it when the Canary goes.
pub(super) fn pointed_back(autoscaler: &str, deployment: &str) -> String {
    format!(
        "point scaleTargetRef of {autoscaler} at Deployment {deployment} (apiVersion: apps/v1, kind: Deployment)"
    )
}

#[cfg(test)]
mod tests {
    use crate::Waiting;

    #[test]
    fn who_would_make_fewer_of_what_takes_over_is_named() {
        let told = |held_by: Option<&str>| {
            let held_by = held_by.map(str::to_owned);
            let (ready, wanted) = (3, 20);
            let waiting = Waiting::HandOver {
                ready,
                wanted,
                held_by,
            };
            waiting.to_string()
        };
        let waits = "hands over to the target: 3 of 20 of its pods are ready";
        assert_eq!(told(None), waits);
        assert_eq!(
            told(Some("argocd-controller")),
            format!(
                "{waits}; remove spec.replicas from the Deployment in Git, from where argocd-controller applies it: \
                 it takes some away again"
            )
        );
    }
}
