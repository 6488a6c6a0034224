//! A program of the cluster, run as a child with its output in a log.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use rustix::process::{Pid, Signal};
use tokio::process::{Child, Command};
use tokio::sync::Mutex;

/// Lines of a log quoted when its program fails.
const TAIL_LINES: usize = 15;
const PROBE_PERIOD: Duration = Duration::from_millis(50);

/// How to start a program.
#[derive(Clone, Debug)]
pub struct Launch {
    name: String,
    program: PathBuf,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    log: PathBuf,
}

impl Launch {
    /// A program, with its log at `run/NAME.log`.
    #[must_use]
    pub fn new(name: &str, program: &Path, run: &Path) -> Self {
        Self {
            name: name.to_owned(),
            program: program.to_path_buf(),
            args: Vec::new(),
            env: Vec::new(),
            log: run.join(format!("{name}.log")),
        }
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<A: Into<OsString>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, key: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.push((key.into(), value.into()));
        self
    }

    /// Starts it.
    ///
    /// # Errors
    /// If the program cannot be started.
    pub fn start(self) -> Result<Process> {
        let child = self.spawn()?;
        Ok(Process {
            launch: self,
            child: Mutex::new(Some(child)),
        })
    }

    fn spawn(&self) -> Result<Child> {
        let log = File::options()
            .create(true)
            .append(true)
            .open(&self.log)
            .with_context(|| format!("opening {}", self.log.display()))?;
        Command::new(&self.program)
            .args(&self.args)
            .envs(self.env.iter().map(|(key, value)| (key, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            // Ctrl-C reaches only the harness, which ends its children in order.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("starting {} ({})", self.name, self.program.display()))
    }
}

/// A started program. Dropping it kills it.
#[derive(Debug)]
pub struct Process {
    launch: Launch,
    child: Mutex<Option<Child>>,
}

impl Process {
    /// Where its output goes.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.launch.log
    }

    /// Kills it with SIGKILL and waits for its end. Killing what does not run is fine.
    ///
    /// # Errors
    /// If the system refuses.
    pub async fn kill(&self) -> Result<()> {
        if let Some(mut child) = self.child.lock().await.take() {
            child
                .kill()
                .await
                .with_context(|| format!("killing {}", self.launch.name))?;
        }
        Ok(())
    }

    /// Its process id, while it runs.
    pub async fn id(&self) -> Option<u32> {
        self.child.lock().await.as_ref().and_then(Child::id)
    }

    /// Sends it a signal; without effect if it does not run.
    ///
    /// # Errors
    /// If the system refuses.
    pub async fn signal(&self, signal: Signal) -> Result<()> {
        let child = self.child.lock().await;
        let id = child.as_ref().and_then(Child::id);
        let id = id.and_then(|id| Pid::from_raw(id.try_into().ok()?));
        if let Some(id) = id {
            rustix::process::kill_process(id, signal)
                .with_context(|| format!("signalling {}", self.launch.name))?;
        }
        Ok(())
    }

    /// Asks it to end in order (SIGTERM), and waits until it did.
    ///
    /// # Errors
    /// If it takes longer, or ends with a failure.
    pub async fn end(&self, within: Duration) -> Result<()> {
        self.signal(Signal::TERM).await?;
        let Some(mut child) = self.child.lock().await.take() else {
            return Ok(());
        };
        let name = &self.launch.name;
        let Ok(status) = tokio::time::timeout(within, child.wait()).await else {
            bail!("{name} did not end within {within:?}\n{}", self.tail());
        };
        let status = status?;
        if !status.success() {
            bail!("{name} ended badly: {status}\n{}", self.tail());
        }
        Ok(())
    }

    /// Starts it again, as it was started before; its log goes on. Starting what runs is fine.
    ///
    /// # Errors
    /// If the program cannot be started.
    pub async fn restart(&self) -> Result<()> {
        let mut child = self.child.lock().await;
        if child.is_none() {
            *child = Some(self.launch.spawn()?);
        }
        Ok(())
    }

    /// Fails if the program ended by itself, quoting the end of its log.
    ///
    /// # Errors
    /// As said.
    pub async fn alive(&self) -> Result<()> {
        if let Some(child) = self.child.lock().await.as_mut()
            && let Some(status) = child.try_wait()?
        {
            bail!(
                "{} ended by itself: {status}\n{}",
                self.launch.name,
                self.tail()
            );
        }
        Ok(())
    }

    /// Waits until `probe` succeeds.
    ///
    /// # Errors
    /// If the program ends first or the time is up: with the probe's last error and the log's end.
    pub async fn ready(
        &self,
        within: Duration,
        mut probe: impl AsyncFnMut() -> Result<()>,
    ) -> Result<()> {
        let name = &self.launch.name;
        let deadline = Instant::now() + within;
        loop {
            self.alive().await?;
            let Err(error) = probe().await else {
                return Ok(());
            };
            if Instant::now() > deadline {
                let tail = self.tail();
                return Err(anyhow!(
                    "{name} was not ready in {within:?}: {error:#}\n{tail}"
                ));
            }
            tokio::time::sleep(PROBE_PERIOD).await;
        }
    }

    /// The end of its log, for an error message.
    #[must_use]
    pub fn tail(&self) -> String {
        let path = self.launch.log.display();
        let Ok(bytes) = fs::read(&self.launch.log) else {
            return format!("(no log at {path})");
        };
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> = text.lines().collect();
        let last = lines.iter().skip(lines.len().saturating_sub(TAIL_LINES));
        let quoted: Vec<String> = last.map(|line| format!("  | {line}")).collect();
        format!("the end of {path}:\n{}", quoted.join("\n"))
    }
}

/// Resident memory, in bytes, of a process of this sandbox. `/proc` is that of the machine outside, which
/// counts processes otherwise: one is found by its namespace and its number there.
#[must_use]
pub fn resident(id: u32) -> Option<u64> {
    let mine = fs::read_link("/proc/self/ns/pid").ok()?;
    let processes = fs::read_dir("/proc").ok()?.flatten();
    processes.map(|process| process.path()).find_map(|process| {
        let status = fs::read_to_string(process.join("status")).ok()?;
        let value = |key: &str| status.lines().find_map(|line| line.strip_prefix(key));
        let inner: u32 = value("NSpid:")?
            .split_whitespace()
            .next_back()?
            .parse()
            .ok()?;
        let found = inner == id && fs::read_link(process.join("ns/pid")).ok()? == mine;
        let kibibytes = value("VmRSS:")
            .filter(|_| found)?
            .trim()
            .strip_suffix("kB")?;
        Some(kibibytes.trim().parse::<u64>().ok()? * 1024)
    })
}

/// Waits until `probe` gives a value.
///
/// # Errors
/// With the probe's last error when the time is up.
pub async fn until<T>(
    what: &str,
    within: Duration,
    mut probe: impl AsyncFnMut() -> Result<T>,
) -> Result<T> {
    let deadline = Instant::now() + within;
    loop {
        match probe().await {
            Ok(value) => return Ok(value),
            Err(error) if Instant::now() > deadline => {
                return Err(error.context(format!("{what}: not within {within:?}")));
            }
            Err(_) => tokio::time::sleep(PROBE_PERIOD).await,
        }
    }
}
