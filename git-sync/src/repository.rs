//! The repository: a shallow copy of one branch, kept on disk.

use std::collections::BTreeMap;
use std::path::Path;

use crate::git::{Git, GitError};
use crate::mark::Key;
use crate::message;

/// Where the branch is kept.
const HEAD: &str = "refs/remotes/origin/head";

/// A file as it is in a commit.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct File {
    /// `100644`, or `100755` for one that can be run.
    pub mode: String,
    /// Its text.
    pub text: String,
}

/// Files by their path.
pub type Files = BTreeMap<String, File>;

/// A commit, as far as it matters here.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Commit {
    /// Its hash.
    pub hash: String,
    /// Who wrote it.
    pub author: String,
    /// The lines of its trailers.
    pub trailers: Vec<String>,
}

/// A branch of a repository somewhere else.
#[derive(Clone, Debug)]
pub struct Repository {
    /// The command.
    pub git: Git,
    /// The address.
    pub url: String,
    /// The branch that is read, and written.
    pub branch: String,
    /// How many commits a new copy has: as far back others' answers to our commits are seen.
    pub depth: u32,
    /// Where marks are looked for: everywhere, unless some are given.
    pub paths: Vec<String>,
}

impl Repository {
    /// Brings the copy up to date, makes one if there is none, and returns the branch's head.
    ///
    /// # Errors
    /// When Git fails.
    pub async fn fetch(&self) -> Result<String, GitError> {
        if !self.git.directory.join("HEAD").exists() {
            self.git.run(&["init", "--quiet", "--bare"]).await?;
        }
        unlock(&self.git.directory);
        let depth = format!("--depth={}", self.depth);
        let refspec = format!("+refs/heads/{}:{HEAD}", self.branch);
        let known = self
            .git
            .ask(&["show-ref", "--verify", "--quiet", HEAD])
            .await?;
        let mut args = vec!["fetch", "--quiet", "--no-tags", "--no-write-fetch-head"];
        if known.is_none() {
            args.push(&depth);
        }
        args.extend([self.url.as_str(), refspec.as_str()]);
        self.git.run(&args).await?;
        self.git.run(&["rev-parse", "--verify", HEAD]).await
    }

    /// The YAML files of a commit that have marks. One that is no UTF-8 is none of ours.
    ///
    /// # Errors
    /// When Git fails.
    pub async fn marked(&self, commit: &str) -> Result<Files, GitError> {
        let mut args = vec![
            "grep",
            "-z",
            "-I",
            "--name-only",
            "--fixed-strings",
            "\"$sluice\"",
            commit,
            "--",
        ];
        let globs: Vec<String> = if self.paths.is_empty() {
            vec![":(glob)**".to_owned()]
        } else {
            let folders = self.paths.iter().map(|path| path.trim_matches('/'));
            folders.map(|path| format!(":(literal){path}")).collect()
        };
        args.extend(globs.iter().map(String::as_str));
        let Some(found) = self.git.ask(&args).await? else {
            return Ok(Files::new());
        };
        let prefix = format!("{commit}:");
        let mut files = Files::new();
        for name in found.split(|byte| *byte == 0) {
            let Ok(name) = std::str::from_utf8(name) else {
                continue;
            };
            let path = name.strip_prefix(&prefix).unwrap_or(name);
            let yaml = Path::new(path)
                .extension()
                .is_some_and(|ext| ext == "yaml" || ext == "yml");
            if !yaml {
                continue;
            }
            let entry = self.git.run(&["ls-tree", commit, "--", path]).await?;
            let mode = entry.split_whitespace().next().unwrap_or_default();
            let bytes = self
                .git
                .bytes(&["cat-file", "blob", &format!("{commit}:{path}")])
                .await?;
            if let (true, Ok(text)) = (mode.starts_with("100"), String::from_utf8(bytes)) {
                let mode = mode.to_owned();
                files.insert(path.to_owned(), File { mode, text });
            }
        }
        Ok(files)
    }

    /// The text of a file in a commit; `None` where it has none.
    ///
    /// # Errors
    /// When Git cannot be run.
    pub async fn text(&self, commit: &str, path: &str) -> Result<Option<String>, GitError> {
        let blob = format!("{commit}:{path}");
        match self.git.bytes(&["cat-file", "blob", &blob]).await {
            Ok(bytes) => Ok(String::from_utf8(bytes).ok()),
            Err(GitError::Failed { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Makes a commit on top of another, with these files changed. It is known nowhere until it is pushed.
    ///
    /// # Errors
    /// When Git fails.
    pub async fn commit(
        &self,
        parent: &str,
        files: &Files,
        message: &str,
    ) -> Result<String, GitError> {
        let index = self.git.directory.join("sluice-index");
        _ = std::fs::remove_file(&index);
        let index = index.display().to_string();
        let env = [("GIT_INDEX_FILE", index.as_str())];
        self.git.run_with(&["read-tree", parent], &env, b"").await?;
        for (path, file) in files {
            let blob = self
                .git
                .run_with(&["hash-object", "-w", "--stdin"], &[], file.text.as_bytes())
                .await?;
            let entry = format!("{},{blob},{path}", file.mode);
            self.git
                .run_with(&["update-index", "--add", "--cacheinfo", &entry], &env, b"")
                .await?;
        }
        let tree = self.git.run_with(&["write-tree"], &env, b"").await?;
        let args = ["commit-tree", &tree, "-p", parent, "-F", "-"];
        self.git.run_with(&args, &[], message.as_bytes()).await
    }

    /// Pushes a commit to a branch. Never by force: whoever was faster wins.
    ///
    /// # Errors
    /// When it is not taken.
    pub async fn push(&self, commit: &str, branch: &str) -> Result<(), GitError> {
        let refspec = format!("{commit}:refs/heads/{branch}");
        self.git
            .run(&["push", "--quiet", &self.url, &refspec])
            .await?;
        Ok(())
    }

    /// Whether the repository has a branch.
    ///
    /// # Errors
    /// When Git fails.
    pub async fn has_branch(&self, branch: &str) -> Result<bool, GitError> {
        let name = format!("refs/heads/{branch}");
        Ok(!self
            .git
            .run(&["ls-remote", &self.url, &name])
            .await?
            .is_empty())
    }

    /// Whether something was noted in the copy; a copy that is lost forgets it.
    ///
    /// # Errors
    /// When Git fails.
    pub async fn is_noted(&self, what: &str) -> Result<bool, GitError> {
        let name = format!("refs/sluice/{what}");
        let known = self
            .git
            .ask(&["show-ref", "--verify", "--quiet", &name])
            .await?;
        Ok(known.is_some())
    }

    /// Notes something in the copy.
    ///
    /// # Errors
    /// When Git fails.
    pub async fn note(&self, what: &str, commit: &str) -> Result<(), GitError> {
        self.git
            .run(&["update-ref", &format!("refs/sluice/{what}"), commit])
            .await?;
        Ok(())
    }

    /// The commits of ours about a Canary that changed a file, the newest first.
    ///
    /// # Errors
    /// When Git fails.
    pub async fn ours(
        &self,
        head: &str,
        canary: &Key,
        path: &str,
    ) -> Result<Vec<Commit>, GitError> {
        let grep = format!("--grep={}: {canary}", message::CANARY);
        self.log(&["--fixed-strings", &grep, head, "--", path])
            .await
    }

    /// The commits after one that changed a file, the newest first.
    ///
    /// # Errors
    /// When Git fails.
    pub async fn since(
        &self,
        commit: &str,
        head: &str,
        path: &str,
    ) -> Result<Vec<Commit>, GitError> {
        let range = format!("{commit}..{head}");
        self.log(&[range.as_str(), "--", path]).await
    }

    async fn log(&self, args: &[&str]) -> Result<Vec<Commit>, GitError> {
        let format = "--format=%x1e%H%x1f%an <%ae>%x1f%(trailers:only,unfold)";
        let args = [&["log", format][..], args].concat();
        let log = self.git.run(&args).await?;
        let commits = log.split('\u{1e}').filter_map(|commit| {
            let mut parts = commit.split('\u{1f}');
            let (hash, author, trailers) = (parts.next()?, parts.next()?, parts.next()?);
            Some(Commit {
                hash: hash.to_owned(),
                author: author.to_owned(),
                trailers: trailers.lines().map(str::to_owned).collect(),
            })
        });
        Ok(commits.collect())
    }
}

/// Removes the locks that a Git left which was killed. Nobody else works in the copy.
fn unlock(directory: &Path) {
    let Ok(entries) = directory.read_dir() else {
        return;
    };
    for entry in entries.flatten() {
        let path = entry.path();
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if is_folder && entry.file_name() != "objects" {
            unlock(&path);
        } else if path.extension().is_some_and(|ext| ext == "lock") {
            tracing::warn!(path = %path.display(), "removed what a killed git left");
            _ = std::fs::remove_file(path);
        }
    }
}
