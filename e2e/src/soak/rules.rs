//! The policy of the soak's Canaries, and what may be expected of it.

use std::time::Duration;

use crate::stage::app::{merged, quick_policy};

/// Weights of the steps, in percent.
pub(super) const STEPS: [u32; 2] = [20, 50];
/// How long each step bakes.
pub(super) const BAKE: Duration = Duration::from_secs(3);
/// `minRequests`.
pub(super) const MIN_REQUESTS: u64 = 20;
/// `drainDelay`: a waypoint that follows a route late, for want of CPU, is noticed within it.
const DRAIN: Duration = Duration::from_secs(6);
/// `rollbackWindow`.
pub(super) const WINDOW: usize = 2;
/// Requests per second to each app. One core carries 20 apps and the cluster below them with it.
pub(super) const RATE: f64 = 12.0;
/// How slow a slow answer is at least. Good versions stay below even while an API server starts.
pub(super) const SLOW: Duration = Duration::from_secs(1);

/// A bad version may answer for so long, while everything that judges it works: at 20 % of [`RATE`]
/// its third bad answer comes after 5 s, proof after twice that, and the mesh follows.
pub(super) const EXPOSURE: Duration = Duration::from_secs(25);
/// What counts as working again is what worked for so long: a Sluice that starts waits 15 s for the lease
/// of the one before, then caches, counters and scrapes begin anew.
pub(super) const GRACE: Duration = Duration::from_secs(30);
/// The same for the API server: istiod, Kubernetes' controllers and Sluice come back to it by and by, each
/// of their watches after a back-off of its own (see `controller/src/observe/absence.rs`).
pub(super) const GRACE_API: Duration = Duration::from_secs(100);
/// A change by hand is put back within this time while Sluice works; stories hold it to a second on a
/// quiet machine.
pub(super) const PUT_BACK: Duration = Duration::from_secs(10);
/// All is at rest so long after the chaos: the mesh gets a minute and a half after an outage just before its end,
/// then a version that crashes gets its deadline, which is as long, and something comes after it.
pub(super) const REST: Duration = Duration::from_mins(4);

/// A Canary's spec.
pub(super) fn spec(prometheus: &str) -> String {
    let steps: Vec<_> = STEPS
        .iter()
        .map(|weight| format!("{{weight: {weight}%, bake: {}s}}", BAKE.as_secs()))
        .collect();
    let more = format!(
        "steps: [{}]
slos:
- {{name: availability, objective: 99%, availability: {{}}}}
- {{name: latency, objective: 90%, latency: {{threshold: {}ms}}}}
minRequests: {MIN_REQUESTS}
settle: 1s
drainDelay: {}s
progressDeadline: 90s
rollbackWindow: {WINDOW}
replicas: 2
",
        steps.join(", "),
        SLOW.as_millis(),
        DRAIN.as_secs(),
    );
    merged(&quick_policy(prometheus), &more)
}
