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
    ///
    /// # Errors
    /// When the address has a secret in it. It is not told: the parser of arguments would, to the log.
    pub fn to_repository(&self) -> anyhow::Result<Repository> {
        anyhow::ensure!(
            !has_secret(&self.repository),
            "--repository has a user, password or token in it: whoever sees the pod would see them. Put them into the \
             Secret that --credentials names, as username and password"
        );
        Ok(Repository {
            git: Git {
                directory: self.directory.clone(),
                author: self.author.clone(),
                credentials: self.credentials.clone(),
            },
            url: self.repository.clone(),
            branch: self.branch.clone(),
            depth: self.depth,
            paths: self.paths.clone(),
        })
    }
}

/// Git would take what begins with a dash for an option.
fn address(text: &str) -> Result<String, String> {
    if text.is_empty() || text.starts_with('-') || text.contains(char::is_whitespace) {
        return Err("it must not be empty, begin with a dash or have spaces".to_owned());
    }
    Ok(text.to_owned())
}

/// Whether an address has what belongs into the Secret: a user of http, which may be a token alone, or a password. The
/// chart refuses the same.
fn has_secret(address: &str) -> bool {
    let Some((scheme, rest)) = address.split_once("://") else {
        return false;
    };
    let authority = rest.split('/').next().unwrap_or_default();
    let is_http = ["http", "https"]
        .iter()
        .any(|http| scheme.eq_ignore_ascii_case(http));
    authority
        .rsplit_once('@')
        .is_some_and(|(user, _)| is_http || user.contains(':'))
}

fn author(text: &str) -> Result<(String, String), String> {
    let parts = text
        .trim()
        .strip_suffix('>')
        .and_then(|text| text.split_once('<'));
    let parts = parts.map(|(name, email)| (name.trim().to_owned(), email.trim().to_owned()));
    let parts = parts.filter(|(name, email)| !name.is_empty() && !email.is_empty());
    parts.ok_or_else(|| "it must be as in \"Sluice <sluice@sluice.invalid>\"".to_owned())
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
    #![allow(
        clippy::unwrap_used,
        clippy::indexing_slicing,
        reason = "a failed unwrap is a failed test"
    )]

    use clap::{CommandFactory as _, Parser as _};

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

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    /// The page, the chart and the program say one default each, the same.
    #[test]
    fn the_page_tells_every_flag_and_the_author() {
        let page = include_str!("../../docs/git-sync.md");
        let line = Line::command();
        for arg in line.get_arguments() {
            let flag = arg.get_long().map(|long| format!("`--{long}`"));
            let told = flag.filter(|flag| flag != "`--help`" && !page.contains(flag.as_str()));
            assert_eq!(told, None, "docs/git-sync.md does not tell it");
        }
        let author = line.get_arguments().find(|arg| arg.get_id() == "author");
        let author = author.unwrap().get_default_values()[0].to_str().unwrap();
        assert!(page.contains(&format!("`SLUICE_GIT_AUTHOR` | `{author}` |")));
        let values = include_str!("../../charts/sluice/values.yaml");
        assert!(values.contains(&format!(
            "`{author}`, which it is if empty.\n  author: \"\"\n"
        )));
    }

    fn parsed(repository: &str) -> Args {
        Line::parse_from(["git-sync", "--repository", repository]).args
    }

    #[test]
    fn no_secret_is_taken_in_the_address_or_told() {
        for wrong in [
            "https://sluice:s3cret@git.example.com/a.git",
            "https://s3cret@git.example.com/a.git",
            "HTTP://s3cret@git.example.com",
            "ssh://git:s3cret@git.example.com/a.git",
        ] {
            let error = parsed(wrong).to_repository().unwrap_err().to_string();
            assert!(error.contains("--credentials"), "{error}");
            assert!(!error.contains("s3cret"), "{error}");
        }
        for right in [
            "https://git.example.com/a.git",
            "https://git.example.com/a@b:c.git",
            "ssh://git@git.example.com/a.git",
            "git@git.example.com:team/a.git",
            "file:///srv/git/a.git",
        ] {
            assert_eq!(parsed(right).to_repository().unwrap().url, right);
        }
    }
}
