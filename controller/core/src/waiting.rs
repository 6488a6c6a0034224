//! What a Canary waits for.

mod approval;
mod drain;
mod holdback;
mod size;

use std::fmt;

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use crate::evidence::Why;
use crate::{Blocked, RevisionName, Time, Weight};

pub use approval::Approval;
pub use drain::{Drain, Keeps};
pub use holdback::Holdback;
pub use size::SizeKept;

/// What a Canary waits for. `Display` is a sentence for a person.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub enum Waiting {
    /// `spec.suspend` is true: that is told once, and nothing more.
    Suspended,
    /// A person must mend something.
    Blocked {
        /// `CamelCase`.
        reason: String,
        /// What, and how.
        message: String,
    },
    /// The template source is gone.
    TargetMissing,
    /// The target's own rollout is not complete.
    TargetUnsettled,
    /// A revision's objects are being made.
    Creating {
        /// Which one's.
        revision: RevisionName,
        /// What is in the way, verbatim.
        problem: Option<String>,
    },
    /// The revision that serves has no ready pod: nobody moves traffic in such a moment.
    StableNotReady {
        /// Which one.
        revision: RevisionName,
        /// Why, verbatim.
        problem: Option<String>,
    },
    /// The Canary is scaled to 0: what is not asked to run is not brought to users.
    ScaledToZero(RevisionName),
    /// A revision's pods are not all ready.
    Pods {
        /// Which one.
        revision: RevisionName,
        /// Ready pods.
        ready: u32,
        /// Pods wanted.
        wanted: u32,
        /// Why, verbatim.
        problem: Option<String>,
    },
    /// The mesh does not serve a Service yet.
    Mesh {
        /// Which Service; `None` for the one that clients call.
        revision: Option<RevisionName>,
        /// What the mesh says.
        problem: Option<String>,
    },
    /// The mesh gets time to follow.
    Settle {
        /// Until then.
        until: Time,
    },
    /// The mesh has not accepted the route.
    RouteAcceptance {
        /// What the mesh says.
        problem: Option<String>,
    },
    /// The measured share contradicts the weight.
    Share {
        /// The weight asked for.
        wanted: Weight,
        /// The share measured.
        measured: Weight,
        /// A person accepted that requests go around the weights, which are measured as well.
        #[serde(default)]
        past: bool,
    },
    /// The split of the traffic is being measured.
    Measuring,
    /// A step bakes.
    Bake {
        /// Until then.
        until: Time,
    },
    /// The verdict is inconclusive.
    Evidence {
        /// Why.
        why: Why,
        /// Since when.
        since: Time,
        /// Longer than the plan allows: a person must decide.
        overdue: bool,
    },
    /// A person must approve that the candidate goes on.
    Approval(Approval),
    /// The candidate passed every step; a share stays on the stable revision for a while.
    Holdback(Holdback),
    /// A backend that left the route keeps its pods for a while.
    Drain(Drain),
    /// Somebody reaches the candidate past the waypoint, where no weight holds.
    Around {
        /// The candidate.
        revision: RevisionName,
        /// Who, by name.
        callers: Vec<String>,
        /// It goes on when no new connection was seen for so long.
        calm: TimeDelta,
    },
    /// In strict mode: the pods of the revision that serves are to be endpoints of the Service that
    /// clients call, before others cease to be.
    Admission(RevisionName),
    /// The template in Git was rejected.
    Rejected {
        /// Which revision.
        revision: RevisionName,
        /// Why.
        reason: String,
        /// What orders another try: an order that was carried out before counts for nothing.
        #[serde(default)]
        retry: String,
    },
    /// The Canary is being deleted: the target gets its pods back first.
    HandOver {
        /// The target's ready pods.
        ready: u32,
        /// Pods that must be ready.
        wanted: u32,
        /// Who applies a smaller size from Git.
        #[serde(default)]
        held_by: Option<String>,
    },
    /// Objects are being removed.
    Removal,
    /// The Canary is being deleted, and a revision stays.
    LeftServing {
        /// Which one.
        revision: RevisionName,
        /// Until then the rest of the app may turn out to be deleted as well.
        until: Time,
    },
    /// A person should end an adoption: Git keeps the target's size, and with it the target's own pods.
    SizeKept(SizeKept),
    /// A person should end an adoption: the size may still be in Git, on the target.
    ReplicasInGit {
        /// Who applies it.
        manager: String,
        /// The size.
        replicas: u32,
    },
    /// A person should end an adoption: an autoscaler still scales the target.
    Autoscaler {
        /// Kind and name. It is to be pointed at the Canary.
        name: String,
        /// Who applies the target's size from Git, and would go on putting it back.
        #[serde(default)]
        held_by: Option<String>,
    },
    /// The Canary is being deleted, and an autoscaler scales it: a person should point that elsewhere.
    AutoscalerLeaves {
        /// Kind and name.
        name: String,
        /// The Deployment that serves once the Canary is gone.
        deployment: String,
        /// What is waited for in any case.
        meanwhile: Box<Waiting>,
    },
    /// Somebody else scales the target up again and again.
    SizeContested {
        /// The field manager.
        writer: String,
        /// What it sets.
        replicas: u32,
        /// When it is put back again.
        until: Time,
    },
    /// Somebody else keeps writing the route.
    Contested {
        /// Which field manager, if it is known.
        writer: Option<String>,
    },
}

impl From<&Blocked> for Waiting {
    fn from(blocked: &Blocked) -> Self {
        Self::Blocked {
            reason: blocked.reason.clone(),
            message: blocked.message.clone(),
        }
    }
}

impl fmt::Display for Waiting {
    #[allow(clippy::too_many_lines, reason = "one sentence a variant")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Suspended => write!(f, "spec.suspend is true: from here on nothing is written"),
            Self::Blocked { message, .. } => f.write_str(message),
            Self::TargetMissing => write!(
                f,
                "the object that spec.targetRef names is gone: the stable revision goes on serving"
            ),
            Self::TargetUnsettled => {
                write!(
                    f,
                    "waits until the target's own rollout is complete, then adopts it"
                )
            }
            Self::Creating { revision, problem } => write!(
                f,
                "the objects of {revision} are being made{}",
                because(problem.as_ref())
            ),
            Self::StableNotReady { revision, problem } => write!(
                f,
                "no pod of {revision}, which serves, is ready{}; the weights stay until one is, or \
                 until the annotation sluice.dev/promote orders the candidate all requests",
                because(problem.as_ref())
            ),
            Self::ScaledToZero(revision) => write!(
                f,
                "spec.replicas is 0: {revision} is brought to users once it is more"
            ),
            Self::Pods {
                revision,
                ready,
                wanted,
                problem,
            } => write!(
                f,
                "{ready} of {wanted} pods of {revision} are ready{}",
                because(problem.as_ref())
            ),
            Self::Mesh {
                revision: Some(revision),
                problem,
            } => {
                write!(
                    f,
                    "the mesh does not serve Service {revision} yet{}",
                    because(problem.as_ref())
                )
            }
            Self::Mesh {
                revision: None,
                problem,
            } => write!(
                f,
                "the mesh does not serve the Service that clients call{}",
                because(problem.as_ref())
            ),
            Self::Settle { until } => {
                write!(f, "the mesh gets until {} to follow", clock(*until))
            }
            Self::RouteAcceptance { problem } => {
                write!(
                    f,
                    "the mesh has not accepted the route yet{}",
                    because(problem.as_ref())
                )
            }
            Self::Share {
                wanted,
                measured,
                past,
            } => {
                write!(
                    f,
                    "the route says {wanted}, but {measured} of the requests reach the candidate"
                )?;
                if *past {
                    write!(
                        f,
                        "; spec.waivers: [AroundWaypoint] lets some go around the weights: let fewer do so, or decide by \
                         the annotation sluice.dev/promote or sluice.dev/abort"
                    )?;
                }
                Ok(())
            }
            Self::Measuring => write!(f, "the split of the traffic is being measured"),
            Self::Bake { until } => write!(f, "bakes until {}", clock(*until)),
            Self::Evidence {
                why,
                since,
                overdue,
            } => {
                write!(f, "{why}, since {}", clock(*since))?;
                if *overdue {
                    write!(
                        f,
                        "; longer than inconclusive.after: decide by the annotation sluice.dev/promote or sluice.dev/abort"
                    )?;
                }
                Ok(())
            }
            Self::Approval(approval) => approval.fmt(f),
            Self::Holdback(holdback) => holdback.fmt(f),
            Self::Drain(drain) => drain.fmt(f),
            Self::Around {
                revision,
                callers,
                calm,
            } => write!(
                f,
                "{} connects to pods of {revision} around the waypoint, where no weight holds: let it call \
                 the Service through the waypoint, select by sluice.dev/role: serving, or accept it by \
                 spec.waivers: [AroundWaypoint]; goes on when no new connection is seen for {} s",
                callers.join(", "),
                calm.num_seconds()
            ),
            Self::Admission(revision) => write!(
                f,
                "waits for pods of {revision} among the endpoints of the Service that clients call"
            ),
            Self::Rejected {
                revision,
                reason,
                retry,
            } => write!(
                f,
                "{revision} was rejected: {reason}; change the template, or order another try by \
                 the annotation sluice.dev/retry: {retry}"
            ),
            Self::HandOver {
                ready,
                wanted,
                held_by,
            } => {
                write!(
                    f,
                    "hands over to the target: {ready} of {wanted} of its pods are ready"
                )?;
                if let Some(manager) = held_by {
                    write!(f, "; {}: it takes some away again", size::dropped(manager))?;
                }
                Ok(())
            }
            Self::Removal => write!(f, "objects are being removed"),
            Self::LeftServing { revision, until } => write!(
                f,
                "{revision} and the route stay and go on serving, since the target does not run this \
                 template; the Canary goes at {} or later, unless the target or the Service is deleted as \
                 well",
                clock(*until)
            ),
            Self::SizeKept(kept) => kept.fmt(f),
            Self::ReplicasInGit { manager, replicas } => write!(
                f,
                "now {}, and set spec.replicas: {replicas} on this Canary",
                size::dropped(manager)
            ),
            Self::Autoscaler { name, held_by } => {
                f.write_str(&size::on_target(name, held_by.as_deref()))
            }
            Self::AutoscalerLeaves {
                name,
                deployment,
                meanwhile,
            } => write!(
                f,
                "{meanwhile}; now {}: once this Canary is gone it scales nothing",
                size::pointed_back(name, deployment)
            ),
            Self::SizeContested {
                writer,
                replicas,
                until,
            } => write!(
                f,
                "{writer} set spec.replicas of the Deployment to {replicas} again after it was put back to 0: \
                 its pods serve nobody but clients that go around the waypoint; remove spec.replicas from \
                 the Deployment in Git, or it is put back at {}",
                clock(*until)
            ),
            Self::Contested { writer } => write!(
                f,
                "{} keeps changing the route, which is put back less often now: find and stop it, or \
                 set spec.suspend to leave the route to it",
                writer.as_deref().unwrap_or("somebody")
            ),
        }
    }
}

/// Hour, minute and second, in UTC: a condition carries its own date.
fn clock(time: Time) -> String {
    let rounded = time + TimeDelta::milliseconds(500);
    rounded.format("%H:%M:%SZ").to_string()
}

/// A problem behind a colon, or nothing.
fn because(problem: Option<&String>) -> String {
    problem.map(|text| format!(": {text}")).unwrap_or_default()
}
