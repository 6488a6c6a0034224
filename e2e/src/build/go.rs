//! Builds one Go program, counting its packages to tell how long it will take.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::progress::{Progress, Stage};
use super::stamp;
use super::tool::Tool;

/// Lines of a failed build that are quoted.
const TAIL_LINES: usize = 20;

pub(super) fn build(tool: &Tool, progress: &Progress) -> Result<()> {
    let built = tool.built();
    let fresh = built.with_extension("new");
    if let Some(folder) = built.parent() {
        fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    }
    let stage = progress.start(tool.name, Some(tool.estimate()));
    stage.note("fetching modules");
    let total = packages(tool, &fresh)?;
    stage.note(if total == 0 { "linking" } else { "compiling" });
    let mut done = 0;
    let mut go = command(tool, &fresh);
    run(go.arg("-v").arg(tool.package), &stage, || {
        done += 1;
        stage.reached(done, total);
        if done == total {
            stage.note("linking");
        }
    })?;
    fs::rename(&fresh, &built).with_context(|| format!("placing {}", built.display()))?;
    stamp::record(&built, &tool.digest())?;
    stage.done();
    Ok(())
}

fn command(tool: &Tool, output: &Path) -> Command {
    let mut command = Command::new("go");
    command
        .current_dir(tool.module())
        .args(["build", "-trimpath", "-buildvcs=false"]);
    command.args(tool.flags).arg("-o").arg(output);
    // A workspace file above the checkout is not ours.
    command.env("GOWORK", "off");
    command
}

/// How many packages are not in Go's cache yet: those that a dry run would compile.
fn packages(tool: &Tool, output: &Path) -> Result<u32> {
    let said = command(tool, output)
        .args(["-n", tool.package])
        .stdin(Stdio::null())
        .output()
        .context("starting `go`: the test cluster needs Go 1.26 or newer")?;
    let text = String::from_utf8_lossy(&said.stderr);
    if !said.status.success() {
        let lines: Vec<&str> = text
            .lines()
            .filter(|l| !l.starts_with("go: downloading"))
            .collect();
        bail!("`go build -n {}` failed:\n{}", tool.package, last(&lines));
    }
    // A package's commands start with "#", "# its/path", "#".
    let lines: Vec<&str> = text.lines().collect();
    let heads = lines
        .windows(3)
        .filter(|w| matches!(w, ["#", head, "#"] if head.starts_with("# ")));
    Ok(u32::try_from(heads.count()).unwrap_or(u32::MAX))
}

/// Runs `go`, calling `compiled` for each package it names.
fn run(command: &mut Command, stage: &Stage, mut compiled: impl FnMut()) -> Result<()> {
    let mut child = command
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("starting `go`: the test cluster needs Go 1.26 or newer")?;
    let mut said = Vec::new();
    if let Some(stderr) = child.stderr.take() {
        for line in BufReader::new(stderr).lines() {
            let line = line?;
            if let Some(module) = line.strip_prefix("go: downloading ") {
                stage.note(&format!("fetching {module}"));
            } else if line.contains([' ', ':']) {
                said.push(line);
            } else {
                stage.note(&line);
                compiled();
            }
        }
    }
    let status = child.wait()?;
    if !status.success() {
        let lines: Vec<&str> = said.iter().map(String::as_str).collect();
        bail!("{command:?}: {status}\n{}", last(&lines));
    }
    Ok(())
}

fn last(lines: &[&str]) -> String {
    let skipped = lines.len().saturating_sub(TAIL_LINES);
    lines
        .iter()
        .skip(skipped)
        .copied()
        .collect::<Vec<&str>>()
        .join("\n")
}
