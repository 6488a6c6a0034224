//! A Git repository with a work tree, made by `git` itself.

use std::fmt;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use tokio::process::Command;

/// The branch that is delivered.
pub const BRANCH: &str = "main";

/// A repository with a work tree.
pub struct Repository {
    folder: PathBuf,
}

/// A commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// Its full hash.
    pub id: String,
    /// The first line of its message.
    pub subject: String,
}

/// The hash as people quote it, and the subject.
impl fmt::Display for Commit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let short = self.id.get(..7).unwrap_or(&self.id);
        write!(f, "{short} {}", self.subject)
    }
}

/// Fails where there is no `git`.
///
/// # Errors
/// With what to install.
pub fn check() -> Result<()> {
    match std::process::Command::new("git").arg("--version").output() {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => bail!(
            "`git` is not installed, and what is delivered comes from a Git repository that is made \
             here: install the package git"
        ),
        Err(error) => Err(error).context("starting `git`"),
    }
}

impl Repository {
    /// Makes an empty one.
    ///
    /// # Errors
    /// When `git` fails.
    pub async fn create(folder: PathBuf) -> Result<Self> {
        std::fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
        let repository = Self { folder };
        repository
            .git(&["init", "--quiet", "--template=", "--initial-branch", BRANCH])
            .await?;
        // In the repository, so that whoever commits to it by hand needs no set-up either.
        for (key, value) in [
            ("user.name", "Shop team"),
            ("user.email", "team@shop.example.com"),
            ("commit.gpgSign", "false"),
        ] {
            repository.git(&["config", key, value]).await?;
        }
        Ok(repository)
    }

    /// Where it lies.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Writes files, by their paths, and commits them.
    ///
    /// # Errors
    /// When one cannot be written, or nothing changes.
    pub async fn commit(&self, files: &[(&str, &str)], message: &str) -> Result<Commit> {
        for (path, content) in files {
            let path = self.folder.join(path);
            let folder = path.parent().unwrap_or(&self.folder);
            std::fs::create_dir_all(folder)?;
            std::fs::write(&path, content)
                .with_context(|| format!("writing {}", path.display()))?;
        }
        self.commit_all(message).await
    }

    /// Removes files and commits that.
    ///
    /// # Errors
    /// When there is no such file.
    pub async fn remove(&self, paths: &[&str], message: &str) -> Result<Commit> {
        for path in paths {
            let path = self.folder.join(path);
            std::fs::remove_file(&path).with_context(|| format!("removing {}", path.display()))?;
        }
        self.commit_all(message).await
    }

    async fn commit_all(&self, message: &str) -> Result<Commit> {
        self.git(&["add", "--all"]).await?;
        self.git(&["commit", "--quiet", "--message", message])
            .await?;
        self.head().await
    }

    /// Commits the opposite of a commit.
    ///
    /// # Errors
    /// When later commits changed the same lines.
    pub async fn revert(&self, commit: &Commit) -> Result<Commit> {
        self.git(&["revert", "--no-edit", &commit.id]).await?;
        self.head().await
    }

    /// Pushes the branch to where it was cloned from, see [`super::Server::repository`].
    ///
    /// # Errors
    /// When it has no remote, or that one refuses.
    pub async fn push(&self) -> Result<()> {
        self.git(&["push", "--quiet", "origin", BRANCH]).await?;
        Ok(())
    }

    /// Takes over what others pushed to the branch; returns its newest commit.
    ///
    /// # Errors
    /// When there are commits here that were not pushed.
    pub async fn pull(&self) -> Result<Commit> {
        self.git(&["pull", "--quiet", "--ff-only", "origin", BRANCH])
            .await?;
        self.head().await
    }

    /// Every branch that it was pushed to has, as lines of a hash and a name.
    ///
    /// # Errors
    /// When that one does not answer.
    pub async fn branches(&self) -> Result<Vec<String>> {
        let listed = self.git(&["ls-remote", "--heads", "origin"]).await?;
        Ok(listed.lines().map(str::to_owned).collect())
    }

    pub(super) async fn set_remote(&self, url: &str) -> Result<()> {
        self.git(&["remote", "add", "origin", url]).await?;
        Ok(())
    }

    /// The newest commit.
    ///
    /// # Errors
    /// When there is none.
    pub async fn head(&self) -> Result<Commit> {
        let said = self.git(&["log", "-1", "--format=%H %s"]).await?;
        let (id, subject) = said.trim().split_once(' ').context("a commit in words")?;
        Ok(Commit {
            id: id.to_owned(),
            subject: subject.to_owned(),
        })
    }

    /// The content of every file of a commit, in the order of their paths.
    ///
    /// # Errors
    /// When there is no such commit.
    pub async fn files(&self, commit: &Commit) -> Result<Vec<String>> {
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

    /// Runs `git` in it, and returns what it prints.
    ///
    /// # Errors
    /// When it fails; the error quotes what it says.
    pub async fn git(&self, args: &[&str]) -> Result<String> {
        let output = git()
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

/// `git`, untouched by the set-up of whoever runs it: hooks, signing, aliases and proxies are none of
/// its business here, and neither is a repository around it.
pub(super) fn git() -> Command {
    let mut command = Command::new("git");
    for variable in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"] {
        command.env_remove(variable);
    }
    command.envs([
        ("GIT_CONFIG_GLOBAL", "/dev/null"),
        ("GIT_CONFIG_NOSYSTEM", "1"),
        ("no_proxy", "*"),
    ]);
    command
}
