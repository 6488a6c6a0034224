//! The command `git`, asked for one thing at a time.
//!
//! The command and no library: it speaks every transport and credential helper that people have set up, and gitoxide
//! cannot push. Objects are read and written by plumbing, without a work tree, so that no filter, attribute or line
//! ending of a checkout comes between.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

/// How long one command may take: a large repository is cloned in that.
const PATIENCE: Duration = Duration::from_mins(5);

/// Asks for user name and password where they are mounted, each time anew: they may be rotated.
const HELPER: &str = "!f() { test \"$1\" = get || exit 0; d=\"$SLUICE_GIT_CREDENTIALS\"; \
     printf 'username=%s\\npassword=%s\\n' \"$(cat \"$d/username\")\" \"$(cat \"$d/password\")\"; }; f";

/// A command of Git that failed.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// It cannot be started.
    #[error("the command git cannot be run: {0}")]
    Start(#[from] std::io::Error),
    /// It took too long.
    #[error("git {command} took longer than {}s", PATIENCE.as_secs())]
    Time {
        /// Which one.
        command: String,
    },
    /// It said no.
    #[error("git {command}: {said}")]
    Failed {
        /// Which one.
        command: String,
        /// What it said.
        said: String,
    },
}

/// Where Git works, and as whom.
#[derive(Clone, Debug)]
pub struct Git {
    /// A bare repository of our own.
    pub directory: PathBuf,
    /// Name and e-mail address of commits.
    pub author: (String, String),
    /// Files of a Secret: `username` and `password`, or `identity` and `known_hosts`; and `ca.crt`, whom https trusts.
    pub credentials: Option<PathBuf>,
}

impl Git {
    /// Runs a command and returns what it printed.
    ///
    /// # Errors
    /// When it fails.
    pub async fn run(&self, args: &[&str]) -> Result<String, GitError> {
        let output = self.output(args, &[], None).await?;
        checked(args, &output)
    }

    /// Runs a command with an environment of its own, and something on its standard input.
    ///
    /// # Errors
    /// When it fails.
    pub async fn run_with(
        &self,
        args: &[&str],
        env: &[(&str, &str)],
        input: &[u8],
    ) -> Result<String, GitError> {
        let output = self.output(args, env, Some(input)).await?;
        checked(args, &output)
    }

    /// Runs a command that answers with its exit code: `None` for 1.
    ///
    /// # Errors
    /// When it fails in any other way.
    pub async fn ask(&self, args: &[&str]) -> Result<Option<Vec<u8>>, GitError> {
        let output = self.output(args, &[], None).await?;
        match output.status.code() {
            Some(0) => Ok(Some(output.stdout)),
            Some(1) => Ok(None),
            _ => Err(failed(args, &output)),
        }
    }

    /// What a command printed, byte for byte.
    ///
    /// # Errors
    /// When it fails.
    pub async fn bytes(&self, args: &[&str]) -> Result<Vec<u8>, GitError> {
        let output = self.output(args, &[], None).await?;
        if output.status.success() {
            Ok(output.stdout)
        } else {
            Err(failed(args, &output))
        }
    }

    async fn output(
        &self,
        args: &[&str],
        env: &[(&str, &str)],
        input: Option<&[u8]>,
    ) -> Result<Output, GitError> {
        let mut command = self.command();
        command.args(args).envs(env.iter().copied());
        command.stdin(if input.is_some() {
            Stdio::piped()
        } else {
            Stdio::null()
        });
        let run = async {
            let mut child = command.spawn()?;
            if let (Some(input), Some(mut stdin)) = (input, child.stdin.take()) {
                // Who reads none of it says why in words.
                _ = stdin.write_all(input).await;
            }
            child.wait_with_output().await
        };
        match tokio::time::timeout(PATIENCE, run).await {
            Ok(output) => Ok(output?),
            Err(_) => Err(GitError::Time {
                command: name(args),
            }),
        }
    }

    fn command(&self) -> Command {
        let mut command = Command::new("git");
        let (name, email) = &self.author;
        command
            .arg("--git-dir")
            .arg(&self.directory)
            // Nobody is there to be asked.
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("LC_ALL", "C")
            .env("GIT_AUTHOR_NAME", name)
            .env("GIT_AUTHOR_EMAIL", email)
            .env("GIT_COMMITTER_NAME", name)
            .env("GIT_COMMITTER_EMAIL", email)
            .env_remove("GIT_INDEX_FILE")
            .env_remove("GIT_WORK_TREE")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        if let Some(folder) = &self.credentials {
            if folder.join("identity").exists() {
                command.env("GIT_SSH_COMMAND", ssh(folder));
            }
            if folder.join("password").exists() {
                command.env("SLUICE_GIT_CREDENTIALS", folder);
                command.args(["-c", "credential.helper=", "-c"]);
                command.arg(format!("credential.helper={HELPER}"));
            }
            let authority = folder.join("ca.crt");
            if authority.exists() {
                command.env("GIT_SSL_CAINFO", authority);
            }
        }
        command
    }
}

/// How ssh is called with a key and the known hosts of a Secret.
fn ssh(folder: &Path) -> String {
    let quoted = |file: &str| {
        let path = folder.join(file).display().to_string();
        format!("'{}'", path.replace('\'', r"'\''"))
    };
    format!(
        "ssh -o BatchMode=yes -o IdentitiesOnly=yes -o StrictHostKeyChecking=yes -o UserKnownHostsFile={} -i {}",
        quoted("known_hosts"),
        quoted("identity")
    )
}

fn checked(args: &[&str], output: &Output) -> Result<String, GitError> {
    if output.status.success() {
        let text = String::from_utf8_lossy(&output.stdout);
        Ok(text.trim_end_matches('\n').to_owned())
    } else {
        Err(failed(args, output))
    }
}

fn failed(args: &[&str], output: &Output) -> GitError {
    let said = [&output.stderr, &output.stdout].map(|text| String::from_utf8_lossy(text));
    let said = said
        .iter()
        .map(|text| text.trim())
        .find(|text| !text.is_empty());
    GitError::Failed {
        command: name(args),
        said: said
            .unwrap_or("failed without a word")
            .chars()
            .take(600)
            .collect(),
    }
}

/// The command alone: an address may hold a password.
fn name(args: &[&str]) -> String {
    let mut words = args.iter().filter(|arg| !arg.starts_with('-'));
    words
        .next()
        .map_or_else(String::new, |word| (*word).to_owned())
}
