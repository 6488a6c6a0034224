//! A Git repository, made by `git` itself.

use std::fmt;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use tokio::process::Command;

use super::manifests::File;

/// A repository with a work tree.
pub(super) struct Repository {
    folder: PathBuf,
}

/// A commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Commit {
    /// Its full hash.
    id: String,
    /// The first line of its message.
    subject: String,
}

/// The hash as people quote it, and the subject.
impl fmt::Display for Commit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let short = self.id.get(..7).unwrap_or(&self.id);
        write!(f, "{short} {}", self.subject)
    }
}

/// Fails where there is no `git`.
pub(super) fn check() -> Result<()> {
    match std::process::Command::new("git").arg("--version").output() {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => bail!(
            "`git` is not installed, and the demo delivers from a Git repository that it makes: \
             install the package git"
        ),
        Err(error) => Err(error).context("starting `git`"),
    }
}

impl Repository {
    /// Makes an empty one.
    pub(super) async fn create(folder: PathBuf) -> Result<Self> {
        std::fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
        let repository = Self { folder };
        repository.git(&["init", "--quiet", "--template="]).await?;
        // In the repository, so that whoever commits to it by hand needs no set-up either.
        for (key, value) in [
            ("user.name", "Demo"),
            ("user.email", "demo@example.com"),
            ("commit.gpgSign", "false"),
        ] {
            repository.git(&["config", key, value]).await?;
        }
        Ok(repository)
    }

    /// Where it lies.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Writes files and commits them.
    pub(super) async fn commit(&self, files: &[File], message: &str) -> Result<Commit> {
        for File { path, content, .. } in files {
            let path = self.folder.join(path);
            let folder = path.parent().unwrap_or(&self.folder);
            std::fs::create_dir_all(folder)?;
            std::fs::write(&path, content)
                .with_context(|| format!("writing {}", path.display()))?;
        }
        self.git(&["add", "--all"]).await?;
        self.git(&["commit", "--quiet", "--message", message])
            .await?;
        self.head().await
    }

    /// Commits the opposite of a commit.
    pub(super) async fn revert(&self, commit: &Commit) -> Result<Commit> {
        self.git(&["revert", "--no-edit", &commit.id]).await?;
        self.head().await
    }

    /// The newest commit.
    pub(super) async fn head(&self) -> Result<Commit> {
        let said = self.git(&["log", "-1", "--format=%H %s"]).await?;
        let (id, subject) = said.trim().split_once(' ').context("a commit in words")?;
        Ok(Commit {
            id: id.to_owned(),
            subject: subject.to_owned(),
        })
    }

    /// The content of every file of a commit, in the order of their paths.
    pub(super) async fn files(&self, commit: &Commit) -> Result<Vec<String>> {
        let listed = self
            .git(&["ls-tree", "-r", "-z", "--name-only", &commit.id])
            .await?;
        let mut files = Vec::new();
        for path in listed.split_terminator('\0') {
            files.push(
                self.git(&["show", &format!("{}:{path}", commit.id)])
                    .await?,
            );
        }
        Ok(files)
    }

    async fn git(&self, args: &[&str]) -> Result<String> {
        let mut command = Command::new("git");
        // Hooks, signing and aliases of whoever runs the demo are none of its business, and neither
        // is a repository around it.
        for variable in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"] {
            command.env_remove(variable);
        }
        let output = command
            .envs([
                ("GIT_CONFIG_GLOBAL", "/dev/null"),
                ("GIT_CONFIG_NOSYSTEM", "1"),
            ])
            .arg("-C")
            .arg(&self.folder)
            .args(args)
            .stdin(std::process::Stdio::null())
            .output()
            .await
            .context("starting `git`")?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!("git {}: {}", args.join(" "), said.trim());
        }
        String::from_utf8(output.stdout).context("git said something that is no text")
    }
}
