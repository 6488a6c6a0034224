//! Go modules as folders of files, for what others publish in them beside programs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

/// What `go mod download -json` says of a module.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Module {
    path: String,
    dir: PathBuf,
}

/// The folders of modules, by their paths, in the versions that the module at `pins` asks for. They are Go's own
/// cache: read-only.
pub(super) fn folders(pins: &Path, paths: &[&str]) -> Result<BTreeMap<String, PathBuf>> {
    let output = Command::new("go")
        .current_dir(pins)
        .args(["mod", "download", "-json"])
        .args(paths)
        .env("GOWORK", "off")
        .stdin(Stdio::null())
        .output()
        .context("starting `go`")?;
    if !output.status.success() {
        bail!(
            "`go mod download` failed:\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    serde_json::Deserializer::from_slice(&output.stdout)
        .into_iter::<Module>()
        .map(|found| {
            let found = found.context("reading what `go mod download` says")?;
            Ok((found.path, found.dir))
        })
        .collect()
}
