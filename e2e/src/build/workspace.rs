//! Builds this workspace's own programs, as the running one was built.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::progress::Progress;
use crate::paths;

/// Builds all programs and returns the folder they are in.
pub(super) fn build(progress: &Progress) -> Result<PathBuf> {
    let stage = progress.start("sluice and demo-app", None);
    let exe = std::env::current_exe().context("finding this program")?;
    // target/PROFILE/NAME, or target/PROFILE/deps/NAME-HASH for a test.
    let folder = exe.parent().context("this program lies in no folder")?;
    let folder = if folder.ends_with("deps") {
        folder.parent().unwrap_or(folder)
    } else {
        folder
    };
    let folder = folder.to_path_buf();
    let profile = match folder.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(name) => name,
    };
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .current_dir(paths::workspace())
        .args(["build", "--workspace", "--bins", "--profile", profile])
        .stdin(Stdio::null())
        .stderr(Stdio::piped());
    for (name, _) in std::env::vars_os() {
        if is_of_a_package(&name) {
            command.env_remove(name);
        }
    }
    let mut child = command.spawn().context("starting cargo")?;
    let mut said = Vec::new();
    if let Some(stderr) = child.stderr.take() {
        for line in BufReader::new(stderr).lines() {
            let line = line?;
            stage.note(line.trim());
            said.push(line);
        }
    }
    let status = child.wait()?;
    if !status.success() {
        bail!("cargo build: {status}\n{}", said.join("\n"));
    }
    stage.done();
    Ok(folder)
}

/// Whether `cargo test` set a variable for the package under test. Passed on to another cargo, it
/// makes build scripts that watch it (ring's, and so all of TLS) run anew each time.
fn is_of_a_package(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")
}
