//! What was asked of the API server, by whom, read from its audit log.

use std::fs::File;
use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde::Deserialize;

/// The audit log of a cluster: every request, reads and writes, once it was answered. A watch is
/// logged when it ends.
#[derive(Clone, Debug)]
pub struct Audit {
    path: PathBuf,
}

/// A place in the log.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mark(u64);

/// One answered request (audit.k8s.io/v1 `Event`, in part).
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// get, list, watch, create, update, patch, delete, deletecollection.
    pub verb: String,
    /// Path and query.
    #[serde(rename = "requestURI")]
    pub request_uri: String,
    /// Who asked.
    pub user: User,
    /// Name of the asking program.
    #[serde(default)]
    pub user_agent: String,
    /// What it was about; absent for paths like `/readyz`.
    pub object_ref: Option<ObjectRef>,
    /// The answer.
    pub response_status: Option<Answer>,
    /// RFC 3339, in microseconds.
    pub request_received_timestamp: String,
}

/// Who asked.
#[derive(Clone, Debug, Deserialize)]
pub struct User {
    /// The authenticated name.
    #[serde(default)]
    pub username: String,
}

/// What a request was about.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ObjectRef {
    /// Plural, lower case.
    pub resource: String,
    /// `status`, `scale` and the like, or empty.
    pub subresource: String,
    /// Empty for the core group.
    pub api_group: String,
    /// Empty outside a namespace.
    pub namespace: String,
    /// Empty for a list.
    pub name: String,
}

/// How a request was answered.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Answer {
    /// HTTP status.
    #[serde(default)]
    pub code: u16,
}

impl Audit {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// The log's present end.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub fn mark(&self) -> Result<Mark> {
        let size = std::fs::metadata(&self.path)
            .context("reading the audit log")?
            .len();
        Ok(Mark(size))
    }

    /// Requests answered since `mark`, in the order of their answers.
    ///
    /// # Errors
    /// If the log cannot be read or understood.
    pub fn since(&self, mut mark: Mark) -> Result<Vec<Event>> {
        self.read_on(&mut mark)
    }

    /// The same, and moves `mark` behind them.
    ///
    /// # Errors
    /// If the log cannot be read or understood.
    pub fn read_on(&self, mark: &mut Mark) -> Result<Vec<Event>> {
        let mut file = File::open(&self.path).context("opening the audit log")?;
        file.seek(SeekFrom::Start(mark.0))?;
        let mut events = Vec::new();
        let mut reader = BufReader::new(file);
        let mut line = String::new();
        loop {
            line.clear();
            // A line without its end is being written.
            if reader.read_line(&mut line)? == 0 || !line.ends_with('\n') {
                return Ok(events);
            }
            mark.0 += line.len() as u64;
            events.push(serde_json::from_str(&line).context("reading an audit line")?);
        }
    }
}

impl Event {
    /// Whether it may change something.
    #[must_use]
    pub fn writes(&self) -> bool {
        !matches!(self.verb.as_str(), "get" | "list" | "watch")
    }

    /// Whether the API server did what was asked.
    #[must_use]
    pub fn succeeded(&self) -> bool {
        self.response_status
            .is_some_and(|answer| (200..300).contains(&answer.code))
    }

    /// Whether it was asked by this user.
    #[must_use]
    pub fn by(&self, user: &str) -> bool {
        self.user.username == user
    }

    /// Whether it is about this resource (plural; `PLURAL/SUBRESOURCE` for a subresource).
    #[must_use]
    pub fn about(&self, resource: &str) -> bool {
        let (plural, sub) = resource.split_once('/').unwrap_or((resource, ""));
        let object = self.object_ref.as_ref();
        object.is_some_and(|object| object.resource == plural && object.subresource == sub)
    }

    /// Whether it is about something in this namespace.
    #[must_use]
    pub fn inside(&self, namespace: &str) -> bool {
        self.object_ref
            .as_ref()
            .is_some_and(|object| object.namespace == namespace)
    }
}
