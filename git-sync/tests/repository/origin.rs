//! A repository as a team has it, its clones, and Canaries that something is to be told of.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;
use sluice_git_sync::git::Git;
use sluice_git_sync::mark::Key;
use sluice_git_sync::outcome::{Ended, Stance};
use sluice_git_sync::repository::Repository;
use tempfile::TempDir;

/// A bare repository with a file for each of some apps.
pub(crate) struct Origin {
    pub(crate) folder: TempDir,
}

/// What Git holds of an app: every odd one with carriage returns, none with a last newline.
pub(crate) fn manifest(app: usize, image: &str, promoted: &str) -> String {
    let text = format!(
        "# App {app}: only the marked values are Sluice's.\n\
         kind: Deployment\n\
         spec:\n    template: {{spec: {{terminationGracePeriodSeconds:   10}}}}\n    containers:\n    \
         - name: app\n      image:  \"{image}\"   # {{\"$sluice\": \"shop/app-{app}:image\"}}\n---\n\
         kind: Canary   # its promoted image\n\
         promoted: {promoted} # {{\"$sluice\": \"shop/app-{app}:promoted\"}}\n\
         last: 'line'"
    );
    if app % 2 == 1 {
        text.replace('\n', "\r\n")
    } else {
        text
    }
}

/// The file of an app.
pub(crate) fn path(app: usize) -> String {
    format!("apps/app {app}.yaml")
}

impl Origin {
    /// Every app runs `app:2`, and `app:1` is what was promoted.
    pub(crate) fn new(apps: usize) -> Self {
        let origin = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        std::fs::create_dir(origin.folder.path().join("origin")).unwrap();
        git(&origin.path(), &["init", "--quiet", "--bare", "-b", "main"]);
        let clone = origin.clone("seed");
        std::fs::create_dir(clone.join("apps")).unwrap();
        for app in 0..apps {
            std::fs::write(clone.join(path(app)), manifest(app, "app:2", "app:1")).unwrap();
        }
        std::fs::write(
            clone.join("README.md"),
            "`# {\"$sluice\": \"a/b:image\"}` is a mark\n",
        )
        .unwrap();
        commit(&clone, "Begin");
        push(&clone);
        origin
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("origin")
    }

    /// The program's view of it, with a copy of that name.
    pub(crate) fn repository(&self, copy: &str) -> Repository {
        let directory = self.folder.path().join(copy);
        std::fs::create_dir_all(&directory).unwrap();
        Repository {
            git: Git {
                directory,
                author: ("Sluice".to_owned(), "sluice@example.com".to_owned()),
                credentials: None,
            },
            url: format!("file://{}", self.path().display()),
            branch: "main".to_owned(),
            depth: 100,
            paths: Vec::new(),
        }
    }

    /// Somebody else's clone.
    pub(crate) fn clone(&self, name: &str) -> PathBuf {
        let folder = self.folder.path().join(name);
        let (from, to) = (
            self.path().display().to_string(),
            folder.display().to_string(),
        );
        git(self.folder.path(), &["clone", "--quiet", &from, &to]);
        git(&folder, &["symbolic-ref", "HEAD", "refs/heads/main"]);
        folder
    }

    /// The file of an app on a branch.
    pub(crate) fn text(&self, branch: &str, app: usize) -> String {
        let blob = format!("{branch}:{}", path(app));
        let output = run(&self.path(), &["cat-file", "blob", &blob]);
        String::from_utf8(output).unwrap()
    }

    pub(crate) fn head(&self, branch: &str) -> String {
        git(&self.path(), &["rev-parse", branch])
    }

    /// The commits of a branch by their authors, the oldest first.
    pub(crate) fn authors(&self, branch: &str) -> Vec<(String, String)> {
        let log = git(
            &self.path(),
            &["log", "--reverse", "--format=%H %an", branch],
        );
        let commits = log.lines().filter_map(|line| line.split_once(' '));
        commits
            .map(|(hash, author)| (hash.to_owned(), author.to_owned()))
            .collect()
    }
}

pub(crate) fn git(folder: &Path, args: &[&str]) -> String {
    String::from_utf8(run(folder, args))
        .unwrap()
        .trim_end()
        .to_owned()
}

fn run(folder: &Path, args: &[&str]) -> Vec<u8> {
    let output = command(folder, args).output().unwrap();
    assert!(
        output.status.success(),
        "git {args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

fn command(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new("git");
    command.current_dir(folder).args([
        "-c",
        "user.name=Somebody",
        "-c",
        "user.email=somebody@example.com",
    ]);
    command.args(args);
    command
}

pub(crate) fn commit(clone: &Path, message: &str) {
    git(clone, &["add", "--all"]);
    git(clone, &["commit", "--quiet", "-m", message]);
}

pub(crate) fn push(clone: &Path) {
    git(clone, &["push", "--quiet", "origin", "main"]);
}

/// Pushes unless somebody else was faster.
pub(crate) fn pushed(clone: &Path) -> bool {
    command(clone, &["push", "--quiet", "origin", "main"])
        .output()
        .unwrap()
        .status
        .success()
}

/// The newest state of the branch.
pub(crate) fn pull(clone: &Path) {
    git(clone, &["fetch", "--quiet", "origin", "main"]);
    git(clone, &["reset", "--quiet", "--hard", "FETCH_HEAD"]);
}

/// A revision of `app:TAG` that was promoted, or rejected, at a minute.
pub(crate) fn ended(app: usize, tag: u32, promoted: bool, minute: u32) -> Ended {
    let outcome = if promoted { "Promoted" } else { "Rejected" };
    let record = json!({"outcome": outcome, "at": format!("2026-01-01T00:{minute:02}:00Z"), "reason": "so it was"});
    Ended {
        revision: format!("app-{app}-{tag}"),
        record: serde_json::from_value(record).unwrap(),
        images: [("app".to_owned(), format!("app:{tag}"))].into(),
        containers: vec!["app".to_owned()],
    }
}

pub(crate) fn stance(app: usize, serving: Ended, rejected: Option<Ended>) -> Stance {
    Stance {
        canary: Key {
            namespace: "shop".to_owned(),
            name: format!("app-{app}"),
        },
        serving: Some(serving),
        rejected,
    }
}
