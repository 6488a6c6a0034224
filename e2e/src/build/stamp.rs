//! Remembers what a built thing was made from.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

/// A digest of some files and words. A missing file counts as empty.
pub(super) fn digest(files: &[PathBuf], words: &[&str]) -> String {
    let mut hasher = Sha256::new();
    for file in files {
        hasher.update(fs::read(file).unwrap_or_default());
    }
    for word in words {
        hasher.update(word.as_bytes());
        hasher.update([0]);
    }
    hasher
        .finalize()
        .iter()
        .fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"))
}

/// Whether `built` is there and was made from `digest`.
pub(super) fn matches(built: &Path, digest: &str) -> bool {
    built.exists() && fs::read_to_string(beside(built)).is_ok_and(|stamp| stamp == digest)
}

/// Records that `built` was made from `digest`.
pub(super) fn record(built: &Path, digest: &str) -> Result<()> {
    let path = beside(built);
    fs::write(&path, digest).with_context(|| format!("writing {}", path.display()))
}

fn beside(built: &Path) -> PathBuf {
    built.with_extension("stamp")
}
