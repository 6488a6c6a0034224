//! Many rollouts of one kind, and what came of them.

use sluice_core::simulate::figures;

use super::End;
use super::traffic::Scene;
use super::{ours, peer};

/// What came of all rollouts of one kind.
#[derive(Clone)]
pub(crate) struct Figures {
    pub(crate) rollouts: usize,
    /// Seconds until each that failed did so, in order.
    pub(crate) failed: Vec<f64>,
    /// Seconds until each that was promoted was, in order.
    pub(crate) promoted: Vec<f64>,
}

impl Figures {
    fn of(ends: &[End]) -> Self {
        let mut figures = Self {
            rollouts: ends.len(),
            failed: Vec::new(),
            promoted: Vec::new(),
        };
        for end in ends {
            match end {
                End::Failed(at) => figures.failed.push(*at),
                End::Promoted(at) => figures.promoted.push(*at),
                End::Held => (),
            }
        }
        figures.failed.sort_by(f64::total_cmp);
        figures.promoted.sort_by(f64::total_cmp);
        figures
    }

    pub(crate) fn share_failed(&self) -> f64 {
        self.failed.len() as f64 / self.rollouts as f64
    }

    pub(crate) fn share_promoted(&self) -> f64 {
        self.promoted.len() as f64 / self.rollouts as f64
    }

    /// The confidence interval of the share that failed, at 95 %.
    pub(crate) fn interval(&self) -> (f64, f64) {
        figures::interval(self.share_failed(), self.rollouts)
    }
}

pub(crate) use figures::within;

/// Both gates on rollouts of one kind. The gate of other tools has its usual threshold, and one more.
pub(crate) struct Duel {
    pub(crate) ours: Figures,
    pub(crate) peer: Figures,
    pub(crate) tuned: Figures,
    /// The share of rollouts that fail if checks without data are failures.
    pub(crate) strictly: f64,
}

/// The share of bad requests above which the gate of other tools fails by default: 99 %.
pub(crate) const USUAL: f64 = 0.01;

/// The threshold with which the gate of other tools has as few false alarms as ours on this kind of rollouts.
pub(crate) fn tune(scene: Scene, rollouts: usize, ours: &Figures) -> f64 {
    let mut limits = parallel(rollouts, |seed| peer::run(scene, seed).limit());
    limits.sort_by(|a, b| b.total_cmp(a));
    // A rollout fails if its limit is above the threshold.
    limits[ours.failed.len().min(rollouts - 1)]
}

pub(crate) fn duel(scene: Scene, rollouts: usize, tuned: impl FnOnce(&Figures) -> f64) -> Duel {
    let ours = Figures::of(&parallel(rollouts, |seed| ours::run(scene, seed)));
    let tuned = tuned(&ours);
    let end = super::STEP_SECONDS * super::STEPS.len() as f64;
    let peers = parallel(rollouts, |seed| {
        let checks = peer::run(scene, seed);
        let ends = [USUAL, tuned].map(|allowed| {
            let failed = checks.failed_at(allowed);
            failed.map_or(End::Promoted(end), End::Failed)
        });
        (ends, checks.fails_strictly(USUAL))
    });
    let of = |which: usize| {
        Figures::of(
            &peers
                .iter()
                .map(|(ends, _)| ends[which])
                .collect::<Vec<_>>(),
        )
    };
    let strictly = peers.iter().filter(|(_, fails)| *fails).count();
    Duel {
        ours,
        peer: of(0),
        tuned: of(1),
        strictly: strictly as f64 / rollouts as f64,
    }
}

/// Runs every seed.
fn parallel<T: Send>(seeds: usize, run: impl Fn(u64) -> T + Sync) -> Vec<T> {
    figures::parallel(seeds, |seed| run(seed as u64))
}
