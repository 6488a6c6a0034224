//! Types and reasons of a Canary's conditions.
//!
//! `Ready`, `Reconciling` and `Stalled` mean what kstatus says they do, so Flux and Argo CD can
//! wait on a Canary. Reasons are API: people write alerts on them.

use std::fmt;

/// Declares an enum whose variants are written as they are named.
macro_rules! names {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $($(#[$doc])* $variant,)+ }

        impl $name {
            /// Every one there is, in the order of their declaration.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The name as the API holds it.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => stringify!($variant),)+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

names! {
    /// The type of a condition.
    ConditionType {
        /// True when the newest template serves and nothing is under way; and when Sluice was suspended between two
        /// rollouts.
        Ready,
        /// True while something is under way. Absent otherwise, as kstatus wants it.
        Reconciling,
        /// True when nothing can go on without a person. Absent otherwise.
        Stalled,
        /// True when the newest template was promoted, False when it was rejected, Unknown while
        /// it is being judged.
        Promoted,
        /// True when the requests of the past are enough for the gates to pass a good candidate and fail a
        /// broken one before a person is called, False when they are not, Unknown when they are not known.
        GatesEffective,
    }
}

names! {
    /// The reason of a condition.
    Reason {
        // What is under way, or done.

        /// The first revision is being made.
        Initializing,
        /// A candidate goes through its steps.
        Progressing,
        /// The step's bake time is not over.
        Baking,
        /// The step passed, and a person must approve the candidate: see the Canary's `spec.approved`.
        AwaitingApproval,
        /// Every step passed; a small share stays with the stable revision for a while.
        HoldingBack,
        /// The candidate is brought to full size and gets all requests.
        Promoting,
        /// The newest template serves.
        Promoted,
        /// The evidence failed, and the stable revision has all requests again.
        RolledBack,
        /// A person ordered the candidate away.
        Aborted,
        /// The newest template was rejected before; change it, or order a retry.
        Rejected,
        /// A newer template came while one was judged.
        Superseded,
        /// A revision that left the route keeps its pods for open connections, or since it is still asked.
        Draining,
        /// The Canary is being deleted and hands traffic back.
        Finalising,
        /// `spec.suspend` is set: nothing more is written.
        Suspended,

        // What is waited for.

        /// A rollout of the target is not complete.
        TargetNotReady,
        /// Pods of a revision are not ready.
        RevisionNotReady,
        /// The revision that serves has no ready pod: the weights stay.
        StableNotReady,
        /// `spec.replicas` is 0: nothing new is brought to users.
        ScaledToZero,
        /// The mesh has not taken the route, or not the present one.
        RouteNotAccepted,
        /// The mesh, in ambient mode a waypoint, does not serve the Service or a revision of it.
        WaypointNotBound,
        /// The measured share of requests contradicts the weight.
        WeightNotProven,
        /// The policy's limit of rollouts at once is reached.
        TooManyRollouts,
        /// The candidate got no request since its weight is in force.
        NoTraffic,
        /// The candidate got fewer requests than `minRequests` asks, or is going to.
        TooFewRequests,
        /// Without an objective, and with too little traffic on the stable revision to compare.
        NothingToCompare,
        /// Worse than it should be, but chance may explain it.
        EvidenceUnclear,
        /// The stable revision misses the objective as well.
        IncidentElsewhere,
        /// The metrics server does not answer, or not with what was asked.
        MetricsUnavailable,
        /// No policy says where measurements are read.
        MetricsNotConfigured,

        // Whether the gates can decide.

        /// There are requests enough for the gates.
        GatesDecide,
        /// No requests of the past are known.
        TrafficUnknown,

        // What a person must mend.

        /// The target does not exist.
        TargetNotFound,
        /// The Service does not exist.
        ServiceNotFound,
        /// The Service is headless, an `ExternalName`, or has no selector.
        ServiceNotSupported,
        /// A port of the Service can be neither routed nor left alone.
        UnroutedPort,
        /// Another route, or another controller, is on the Service.
        ForeignRoute,
        /// Another Service selects the same pods.
        SharedPods,
        /// Clients reach pods around the waypoint, where no weight holds.
        AroundWaypoint,
        /// Somebody keeps writing our route.
        RouteContested,
        /// An object has a name that Sluice needs, and is not Sluice's.
        NameTaken,
        /// The policy named does not exist.
        PolicyNotFound,
        /// An SLO names a `MetricTemplate` that does not exist.
        TemplateNotFound,
        /// The spec or the policy says something that cannot be done.
        InvalidSpec,
        /// The rollout made no progress for too long.
        ProgressDeadlineExceeded,
        /// Something else keeps writing the target's replicas.
        ReplicasContested,
        /// The target was adopted, and its replicas are to be moved from there to the Canary in Git. Its own pods
        /// may run until then.
        ReplicasInGit,
        /// The target was adopted, and its autoscaler is to be pointed at the Canary.
        AutoscalerOnTarget,
        /// The API server refused a write.
        WriteRefused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_fit_the_api() {
        // metav1.Condition: ^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$, at most 1024 characters.
        for reason in Reason::ALL {
            assert!(
                reason
                    .as_str()
                    .bytes()
                    .all(|byte| byte.is_ascii_alphabetic())
            );
        }
    }

    #[test]
    fn each_reason_is_in_the_page_for_those_who_meet_it() {
        let page = include_str!("../../docs/troubleshooting.md");
        let table = page.split("## Reasons").nth(1).unwrap_or_default();
        let first: Vec<_> = table
            .lines()
            .filter_map(|line| line.strip_prefix("| ")?.split(" |").next())
            .collect();
        for reason in Reason::ALL {
            let cells = first
                .iter()
                .filter(|cell| cell.contains(&format!("`{reason}`")));
            assert_eq!(cells.count(), 1, "{reason} in docs/troubleshooting.md");
        }
        let known: Vec<_> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
        let told = first
            .iter()
            .flat_map(|cell| cell.split('`').skip(1).step_by(2));
        for reason in told {
            assert!(known.contains(&reason), "there is no reason {reason}");
        }
    }
}
