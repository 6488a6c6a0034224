//! The chart, without a cluster: what it makes, what it refuses, its alerts and its board. On a cluster it is installed by
//! a story.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failed unwrap is a failed test"
)]

mod alerts;
mod board;
mod golden;
mod image;
mod refused;
mod values;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use e2e::build::{self, ChartTools};
use e2e::helm::Helm;
use e2e::paths;

/// Writes anew what is made from the chart.
const BLESS: &str = "SLUICE_BLESS=1 cargo test -p e2e --test chart";

fn tools() -> &'static ChartTools {
    static TOOLS: OnceLock<ChartTools> = OnceLock::new();
    TOOLS.get_or_init(|| build::chart().unwrap())
}

fn helm() -> Helm {
    Helm::new(&tools().helm)
}

/// A file or folder beside this one.
fn here(path: &str) -> PathBuf {
    paths::workspace().join("e2e/tests/chart").join(path)
}

/// The files of a folder beside this one, in order.
fn files(folder: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(here(folder)).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// Compares a committed file with what it is made to be, or writes it if that is asked for.
fn is_up_to_date(path: &Path, made: &str) {
    if std::env::var_os("SLUICE_BLESS").is_some() {
        return fs::write(path, made).unwrap();
    }
    let committed = fs::read_to_string(path).unwrap_or_default();
    let differs = |(was, is): &(&str, &str)| was != is;
    let first = committed
        .lines()
        .zip(made.lines())
        .position(|pair| differs(&pair));
    assert!(
        committed == made,
        "{} is not what the chart makes, from line {} on. Read the difference that this writes:\n  {BLESS}",
        path.display(),
        first.unwrap_or(committed.lines().count().min(made.lines().count())) + 1
    );
}
