//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use crate::git::Git;
use crate::pass::OnRejection;
use crate::repository::Repository;

/// Where Git is, and what may be written there.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The repository, as `git clone` takes it: https, ssh or file.
    #[arg(long, env = "SLUICE_GIT_REPOSITORY", value_parser = address)]
    pub repository: String,

    /// The branch that the cluster is made from. It is read, and written.
    #[arg(long, env = "SLUICE_GIT_BRANCH", default_value = "main", value_parser = address)]
    pub branch: String,

    /// A folder or file in which marks are looked for; may be repeated. The whole repository unless given.
    #[arg(long = "path", env = "SLUICE_GIT_PATHS", value_delimiter = ',')]
    pub paths: Vec<String>,

    /// What becomes of a rejection: a branch with the revert, a commit on the branch itself, or nothing.
    #[arg(long, env = "SLUICE_GIT_ON_REJECTION", value_enum, default_value_t = OnRejection::Branch)]
    pub on_rejection: OnRejection,

    /// Author and committer.
    #[arg(long, env = "SLUICE_GIT_AUTHOR", default_value = "Sluice <sluice@sluice.invalid>", value_parser = author)]
    pub author: (String, String),

    /// A folder with the files of a Secret as Flux has it: `username` and `password`, or `identity` and
    /// `known_hosts`; and `ca.crt`, the authority of an https server, if the system does not know it.
    #[arg(long, env = "SLUICE_GIT_CREDENTIALS_DIR", value_name = "DIR")]
    pub credentials: Option<PathBuf>,

    /// Where the copy of the repository is kept; nobody else may use it.
    #[arg(
        long,
        env = "SLUICE_GIT_DIRECTORY",
        value_name = "DIR",
        default_value = "/var/lib/sluice/git"
    )]
    pub directory: PathBuf,

    /// How many commits back a new copy goes. Who undid a commit of ours is found as far back as that.
    #[arg(long, env = "SLUICE_GIT_DEPTH", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..))]
    pub depth: u32,

    /// How often the repository is looked at when nothing happens in the cluster, as in 90s, 5m or 1h.
    #[arg(long, env = "SLUICE_GIT_INTERVAL", default_value = "5m", value_parser = interval)]
    pub interval: Duration,

    /// Tell of the Canaries of this namespace alone. All namespaces unless given.
    #[arg(long, env = "SLUICE_NAMESPACE")]
    pub namespace: Option<String>,
}

impl Args {
    /// The repository that is meant.
    #[must_use]
    pub fn to_repository(&self) -> Repository {
        Repository {
            git: Git {
                directory: self.directory.clone(),
                author: self.author.clone(),
                credentials: self.credentials.clone(),
            },
            url: self.repository.clone(),
            branch: self.branch.clone(),
            depth: self.depth,
            paths: self.paths.clone(),
        }
    }
}

/// Git would take what begins with a dash for an option.
fn address(text: &str) -> Result<String, String> {
    if text.is_empty() || text.starts_with('-') || text.contains(char::is_whitespace) {
        return Err("it must not be empty, begin with a dash or have spaces".to_owned());
    }
    Ok(text.to_owned())
}

fn author(text: &str) -> Result<(String, String), String> {
    let parts = text
        .trim()
        .strip_suffix('>')
        .and_then(|text| text.split_once('<'));
    let parts = parts.map(|(name, email)| (name.trim().to_owned(), email.trim().to_owned()));
    let parts = parts.filter(|(name, email)| !name.is_empty() && !email.is_empty());
    parts.ok_or_else(|| "it must be as in \"Sluice <sluice@example.com>\"".to_owned())
}

fn interval(text: &str) -> Result<Duration, String> {
    let delta = sluice_crds::Duration::new(text).delta();
    let delta = delta.map_err(|error| error.to_string())?;
    let duration = delta.to_std().unwrap_or_default();
    if duration < Duration::from_secs(1) {
        return Err("it must be at least 1s".to_owned());
    }
    Ok(duration)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_arguments_are_told() {
        assert_eq!(
            author("A B <a@b>"),
            Ok(("A B".to_owned(), "a@b".to_owned()))
        );
        for wrong in ["a@b", "<a@b>", "A <>", "A <a@b"] {
            assert!(author(wrong).is_err(), "{wrong}");
        }
        assert_eq!(interval("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(interval("1h30m"), Ok(Duration::from_mins(90)));
        // The chart refuses the same.
        for wrong in ["0s", "500ms", "1d", "often"] {
            assert!(interval(wrong).is_err(), "{wrong}");
        }
        assert!(address("--upload-pack=x").is_err());
        assert!(address("ssh://git@example.com/a.git").is_ok());
    }
}
