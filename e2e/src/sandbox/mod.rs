//! Runs the harness inside user, network and process namespaces of its own.
//!
//! No root is needed. Ports and addresses never collide with the machine's or with another run's,
//! nothing reaches a real network, and no process is left when the run ends, however it ends.

mod door;
mod network;
mod refusal;

use std::ffi::OsString;
use std::future::Future;
use std::process::{ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};

pub use door::Door;
pub use network::{PODS, Range, WAYPOINTS};

/// Set inside the sandbox: what was prepared outside, as JSON.
const PREPARED: &str = "SLUICE_E2E_PREPARED";
/// Set inside when standard input is the socket of a [`Door`].
const DOOR: &str = "SLUICE_E2E_DOOR";
/// How long the inside may take to end after Ctrl-C.
const GRACE: Duration = Duration::from_secs(10);
/// What a shell reports after Ctrl-C.
const INTERRUPTED: u8 = 130;

/// Options of [`run`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Lets the machine outside reach one address inside, at 127.0.0.1 and this port (0: a free
    /// one). The program's standard input is taken for it.
    pub door: Option<u16>,
}

/// Runs `prepare` outside, then `inside`, with what was prepared, in a sandbox: the current program
/// is started again with the same arguments. Call it first in `main`, before any thread starts.
///
/// The exit code is 0 if both succeed, 1 if one fails, 130 after Ctrl-C or SIGTERM.
pub fn run<T, F>(
    options: Options,
    prepare: impl FnOnce() -> Result<T>,
    inside: impl FnOnce(T, Option<Door>) -> F,
) -> ExitCode
where
    T: Serialize + DeserializeOwned,
    F: Future<Output = Result<()>>,
{
    let result = match std::env::var(PREPARED) {
        Ok(prepared) => go_inside(&prepared, inside),
        Err(_) => stay_outside(options, prepare),
    };
    result.unwrap_or_else(|error| {
        eprintln!("error: {error}");
        error
            .chain()
            .skip(1)
            .for_each(|cause| eprintln!("  because: {cause}"));
        ExitCode::FAILURE
    })
}

fn go_inside<T, F>(prepared: &str, inside: impl FnOnce(T, Option<Door>) -> F) -> Result<ExitCode>
where
    T: DeserializeOwned,
    F: Future<Output = Result<()>>,
{
    let prepared = serde_json::from_str(prepared).context("reading what was prepared outside")?;
    let door = std::env::var_os(DOOR)
        .map(|_| Door::from_stdin())
        .transpose()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let code = runtime.block_on(async {
        network::up()
            .await
            .map_err(|error| error.context(refusal::explain()))?;
        tokio::select! {
            result = inside(prepared, door) => result.map(|()| ExitCode::SUCCESS),
            result = interrupted() => result.map(|()| ExitCode::from(INTERRUPTED)),
        }
    });
    // A blocking thread must not delay the end; leaving the namespace ends everything.
    runtime.shutdown_background();
    code
}

fn stay_outside<T: Serialize>(
    options: Options,
    prepare: impl FnOnce() -> Result<T>,
) -> Result<ExitCode> {
    // Before a build may replace it, after which the system calls it deleted.
    let program = std::env::current_exe().context("finding this program")?;
    refusal::check()?;
    let prepared = serde_json::to_string(&prepare()?)?;
    // One thread: the sandbox dies with the thread that started it, so that must be the main one.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut command = unshare(program);
        command
            .args(std::env::args_os().skip(1))
            .env(PREPARED, prepared);
        if let Some(port) = options.door {
            command.stdin(Stdio::from(door::open(port)?)).env(DOOR, "1");
        }
        let child = command.spawn().context("starting unshare")?;
        supervise(child).await
    })
}

/// `setpriv --pdeathsig` ends `unshare` when we die; `--kill-child` ends the inside when `unshare`
/// dies; and the inside is process 1 of its namespace, so the kernel ends all else with it.
fn unshare(program: impl Into<OsString>) -> Command {
    let mut command = Command::new("setpriv");
    command
        .args(["--pdeathsig", "KILL", "unshare"])
        .args(refusal::NAMESPACES)
        .arg(program.into());
    command
}

async fn supervise(mut child: Child) -> Result<ExitCode> {
    let status = tokio::select! {
        status = child.wait() => status?,
        result = terminated() => return result.and(kill(child).await),
        // On a terminal the inside got the same signal, and may have something to say.
        result = ctrl_c() => {
            result?;
            tokio::select! {
                status = child.wait() => status?,
                _ = interrupted() => return kill(child).await,
                () = tokio::time::sleep(GRACE) => return kill(child).await,
            }
        }
    };
    match status.code().map(u8::try_from) {
        Some(Ok(code)) => Ok(ExitCode::from(code)),
        _ => bail!("the sandbox ended: {status}"),
    }
}

async fn kill(mut child: Child) -> Result<ExitCode> {
    child.kill().await.context("ending the sandbox")?;
    Ok(ExitCode::from(INTERRUPTED))
}

async fn interrupted() -> Result<()> {
    tokio::select! {
        result = ctrl_c() => result,
        result = terminated() => result,
    }
}

async fn ctrl_c() -> Result<()> {
    signal(SignalKind::interrupt())?.recv().await;
    Ok(())
}

async fn terminated() -> Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = hangup.recv() => {}
    }
    Ok(())
}
