//! The gates in simulated rollouts: a small part of what `examples/gates.rs` prints, held to its promises.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    dead_code,
    reason = "a test, which shares its parts with the example"
)]

mod sim;

use sim::figures::{Duel, duel, within};
use sim::ours::{self, Rollout};
use sim::traffic::{BASELINE, Errors, Scene, Traffic};
use sluice_core::Tally;
use sluice_core::random::Random;

const ROLLOUTS: usize = 2_000;
/// What is promised of innocent candidates, for the one SLO of two trials.
const FALSE_ALARMS: f64 = 0.01;

fn run(rate: u32, errors: Errors, factor: f64) -> Duel {
    let scene = Scene {
        rate,
        errors,
        factor,
    };
    duel(scene, ROLLOUTS, |_| 1.0)
}

#[test]
fn innocent_candidates_are_seldom_failed_and_mostly_promoted() {
    for errors in [Errors::Independent, Errors::Bursty, Errors::Incident] {
        for rate in [1, 10, 100] {
            let ours = run(rate, errors, 1.0).ours;
            let (_, most) = ours.interval();
            assert!(most < FALSE_ALARMS, "{most} of {errors:?} at {rate}/s");
            let promoted = ours.share_promoted();
            assert!(promoted > 0.9, "{promoted} of {errors:?} at {rate}/s");
        }
    }
}

#[test]
fn half_of_the_requests_bad_is_found_in_two_scrapes() {
    for errors in [Errors::Independent, Errors::Bursty] {
        let ours = run(100, errors, 500.0).ours;
        assert!(
            (ours.share_failed() - 1.0).abs() < f64::EPSILON,
            "{errors:?}"
        );
        let most = within(&ours.failed, ROLLOUTS, 0.95).unwrap();
        assert!(most <= 45.0, "{most} s, {errors:?}");
    }
}

/// At 100 requests/s, after so many healthy scrapes at a weight: at the third bad one at the latest.
#[test]
fn half_of_the_requests_bad_is_found_whenever_it_begins() {
    for (weight, healthy) in [(0.05, 4), (0.25, 4), (0.25, 20), (0.5, 4), (0.5, 20)] {
        for seed in 0..200 {
            let mut random = Random::new(seed);
            let mut trial = ours::trial();
            let mut scrape = |share| {
                let mut tally = |weight, share| {
                    let total = random.poisson(1_500.0 * weight);
                    let good = total - random.binomial(total, share);
                    Tally { good, total }
                };
                trial.scrape(tally(weight, share), tally(1.0 - weight, BASELINE / 2.0));
                trial.is_proven()
            };
            // Some innocent ones are failed before, as promised.
            if (0..healthy).any(|_| scrape(BASELINE / 2.0)) {
                continue;
            }
            let found = (1..=3).any(|_| scrape(0.5));
            assert!(found, "at {weight}, after {healthy}, seed {seed}");
        }
    }
}

#[test]
fn a_regression_that_the_usual_gate_mostly_overlooks_is_found() {
    let duel = run(100, Errors::Independent, 5.0);
    let (ours, theirs) = (duel.ours.share_failed(), duel.peer.share_failed());
    assert!(ours > 0.95, "{ours}");
    assert!(theirs < 0.5, "{theirs}");
}

/// The simulation adds up evidence scrape by scrape, the controller from all samples at every look.
#[test]
fn the_controller_finds_what_the_simulation_finds() {
    for (seed, factor) in [(1, 1.0), (2, 3.0), (3, 8.0), (4, 500.0)] {
        let scene = Scene {
            rate: 50,
            errors: Errors::Bursty,
            factor,
        };
        let mut traffic = Traffic::new(scene, seed);
        let mut rollout = Rollout::new();
        for scrape in 1..600 {
            let (candidate, stable) = traffic.scrape(15.0 * f64::from(scrape), 15.0, 0.2);
            rollout.scrape(15.0 * f64::from(scrape), candidate, stable);
            // Once proven it stays so, until the proof itself is thinned out.
            let (verdict, agrees) = rollout.verdict();
            assert!(agrees, "{verdict:?} at scrape {scrape} of seed {seed}");
        }
    }
}
