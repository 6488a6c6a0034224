//! Rollouts in random traffic, judged by Sluice and by the gate of other tools.

pub(crate) mod figures;
pub(crate) mod ours;
pub(crate) mod peer;
pub(crate) mod traffic;

/// The candidate's share of the traffic in every step.
pub(crate) const STEPS: [f64; 3] = [0.05, 0.25, 0.5];
/// How long a step lasts at least.
pub(crate) const STEP_SECONDS: f64 = 60.0;

/// How a rollout ended, and after how many seconds.
#[derive(Clone, Copy, Debug)]
pub(crate) enum End {
    Failed(f64),
    Promoted(f64),
    Held,
}
