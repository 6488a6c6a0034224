//! Where things lie: the checkout, the build cache, and the folder of one run.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result};

/// Runs kept on disk; older ones are removed when a new one starts.
const RUNS_KEPT: usize = 5;

/// The checkout's root.
#[must_use]
pub fn workspace() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest).to_path_buf()
}

/// Cargo's target directory.
#[must_use]
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| workspace().join("target"), |dir| workspace().join(dir))
}

/// What outlives a run: built tools, and the folders of the last runs.
#[must_use]
pub fn cache() -> PathBuf {
    target().join("e2e")
}

/// A path that nobody else has, of a file or folder for a moment: the caller makes it and removes it.
///
/// # Errors
/// If the cache, which holds it, cannot be made.
pub fn scratch(name: &str) -> Result<PathBuf> {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    let cache = cache();
    fs::create_dir_all(&cache).with_context(|| format!("making {}", cache.display()))?;
    let call = CALLS.fetch_add(1, Ordering::Relaxed);
    Ok(cache.join(format!("{}-{call}-{name}", std::process::id())))
}

/// Makes the folder of a new run, `target/e2e/run-TIME`: logs, certificates and data of each part.
///
/// # Errors
/// If it cannot be written.
pub fn new_run() -> Result<PathBuf> {
    let cache = cache();
    let name = chrono::Local::now()
        .format("run-%Y%m%d-%H%M%S%.3f")
        .to_string();
    let run = cache.join(name);
    fs::create_dir_all(&run).with_context(|| format!("making {}", run.display()))?;
    let mut runs: Vec<PathBuf> = fs::read_dir(&cache)?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| {
            path.file_name()
                .is_some_and(|n| n.to_string_lossy().starts_with("run-"))
        })
        .collect();
    runs.sort();
    for old in runs.iter().rev().skip(RUNS_KEPT) {
        // Another run may be removing it too.
        let _ = fs::remove_dir_all(old);
    }
    Ok(run)
}
