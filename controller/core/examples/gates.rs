//! How fast and how reliable the gates are, beside those of other tools: prints the tables of
//! `docs/evidence.md`.
//!
//! `cargo run --release -p sluice-core --example gates [ROLLOUTS]`

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    dead_code,
    reason = "a simulation, which shares its parts with a test"
)]

#[path = "../tests/gates/sim/mod.rs"]
mod sim;

use sim::figures::{Duel, Figures, duel, tune, within};
use sim::traffic::{Errors, SCRAPE, Scene};

const RATES: [u32; 3] = [1, 10, 100];
const FACTORS: [f64; 4] = [2.0, 5.0, 20.0, 500.0];

fn main() {
    let given = std::env::args().nth(1);
    let rollouts = given.map_or(100_000, |text| text.parse().unwrap());
    println!("{rollouts} rollouts per row, times from the first weight on.\n");
    let mut thresholds = Vec::new();
    println!(
        "| requests/s | errors | Sluice fails (95 % interval) | promotes | half, 90 % after | 99 % gate fails | ... counting checks without data | tuned to |"
    );
    println!("|--:|---|--:|--:|--:|--:|--:|--:|");
    for errors in [Errors::Independent, Errors::Bursty, Errors::Incident] {
        for rate in RATES {
            let scene = Scene {
                rate,
                errors,
                factor: 1.0,
            };
            progress(scene);
            let mut threshold = 0.0;
            let duel = duel(scene, rollouts, |ours| {
                threshold = tune(scene, rollouts, ours);
                threshold
            });
            healthy(scene, &duel, threshold);
            thresholds.push((rate, errors, threshold, duel.peer.share_failed()));
        }
    }
    println!();
    println!(
        "| requests/s | errors | times | Sluice finds | half, 90 % after | promotes | 99 % gate finds | half, 90 % after | tuned gate finds | half, 90 % after |"
    );
    println!("|--:|---|--:|--:|--:|--:|--:|--:|--:|--:|");
    let mut lost = Vec::new();
    for errors in [Errors::Independent, Errors::Bursty] {
        for rate in RATES {
            let same = |(r, e, ..): &&(u32, Errors, f64, f64)| *r == rate && *e == errors;
            let (.., threshold, alarms) = *thresholds.iter().find(same).unwrap();
            for factor in FACTORS {
                let scene = Scene {
                    rate,
                    errors,
                    factor,
                };
                progress(scene);
                let duel = duel(scene, rollouts, |_| threshold);
                worse(scene, &duel);
                lost.extend(losses(scene, &duel, alarms));
            }
        }
    }
    println!("\nWhere another gate finds more, or finds half of them a scrape sooner:\n");
    for line in lost {
        println!("- {line}");
    }
}

/// What is being done, for who waits: a row of 100,000 takes a minute or so.
fn progress(scene: Scene) {
    eprintln!("{scene:?} ...");
}

fn healthy(scene: Scene, duel: &Duel, threshold: f64) {
    let (low, high) = duel.ours.interval();
    println!(
        "| {} | {} | {} ({} to {}) | {} | {} | {} | {} | {} |",
        scene.rate,
        name(scene.errors),
        percent(duel.ours.share_failed()),
        percent(low),
        percent(high),
        percent(duel.ours.share_promoted()),
        times(&duel.ours.promoted, duel.ours.rollouts),
        percent(duel.peer.share_failed()),
        percent(duel.strictly),
        percent(1.0 - threshold),
    );
}

fn worse(scene: Scene, duel: &Duel) {
    let found = |figures: &Figures| {
        let times = times(&figures.failed, figures.rollouts);
        format!("{} | {times}", percent(figures.share_failed()))
    };
    println!(
        "| {} | {} | {}x | {} | {} | {} | {} |",
        scene.rate,
        name(scene.errors),
        scene.factor,
        found(&duel.ours),
        percent(duel.ours.share_promoted()),
        found(&duel.peer),
        found(&duel.tuned),
    );
}

/// Where another gate is better, and at the price of how many false alarms.
fn losses(scene: Scene, duel: &Duel, alarms: f64) -> Vec<String> {
    let as_few = "with as few false alarms".to_owned();
    let price = format!("and fails {} of the healthy", percent(alarms));
    let gates = [
        ("99 % gate", &duel.peer, price),
        ("tuned gate", &duel.tuned, as_few),
    ];
    let lost = gates.iter().filter_map(|(gate, theirs, price)| {
        let ours = &duel.ours;
        let more = theirs.share_failed() - ours.share_failed();
        let half = |figures: &Figures| within(&figures.failed, figures.rollouts, 0.5);
        let what = match (half(ours), half(theirs)) {
            _ if more > 0.005 => format!("finds {} more", percent(more)),
            (Some(ours), Some(theirs)) if ours - theirs >= SCRAPE => {
                format!("finds half of them {:.0} s sooner", ours - theirs)
            }
            (None, Some(_)) => "finds half of them sooner".to_owned(),
            _ => return None,
        };
        let (rate, errors) = (scene.rate, name(scene.errors));
        Some(format!(
            "{rate}/s, {errors}, {}x: the {gate} {what}, {price}",
            scene.factor
        ))
    });
    lost.collect()
}

fn name(errors: Errors) -> &'static str {
    match errors {
        Errors::Independent => "independent",
        Errors::Bursty => "bursty",
        Errors::Incident => "incident in both",
    }
}

fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if percent > 0.0 && percent < 1.0 || percent > 99.0 && percent < 100.0 {
        format!("{percent:.3} %")
    } else {
        format!("{percent:.1} %")
    }
}

fn times(sorted: &[f64], rollouts: usize) -> String {
    let after = |part| {
        let at = within(sorted, rollouts, part);
        at.map_or_else(|| "never".to_owned(), |at| format!("{at:.0} s"))
    };
    format!("{}, {}", after(0.5), after(0.9))
}
