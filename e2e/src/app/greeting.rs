//! The greeting: the one piece of configuration that the app shows in its answers.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use parking_lot::Mutex;

/// Kubelets renew mounted configuration about once a minute; a second keeps stories short.
const REREAD: Duration = Duration::from_secs(1);
const DEFAULT_FILE: &str = "/etc/config/greeting";

/// Where the greeting comes from.
#[derive(Debug)]
pub(super) enum Greeting {
    /// Environment: fixed while the process lives.
    Fixed(String),
    /// A mounted file: follows what is mounted.
    File { path: PathBuf, cache: Mutex<Cached> },
}

#[derive(Debug, Default)]
pub(super) struct Cached {
    text: Option<String>,
    read_at: Option<Instant>,
}

impl Greeting {
    pub(super) fn from_env(var: impl Fn(&str) -> Option<String>) -> Self {
        if let Some(greeting) = var("GREETING") {
            return Self::Fixed(greeting);
        }
        let file = var("GREETING_FILE").unwrap_or_else(|| DEFAULT_FILE.to_owned());
        let root = var("POD_ROOT").unwrap_or_else(|| "/".to_owned());
        let path = Path::new(&root).join(file.trim_start_matches('/'));
        Self::File {
            path,
            cache: Mutex::default(),
        }
    }

    pub(super) fn text(&self) -> Option<String> {
        match self {
            Self::Fixed(text) => Some(text.clone()),
            Self::File { path, cache } => {
                let mut cache = cache.lock();
                if cache.read_at.is_none_or(|at| at.elapsed() >= REREAD) {
                    // A missing file is no greeting: not every pod mounts one.
                    cache.text = std::fs::read_to_string(path)
                        .ok()
                        .map(|t| t.trim_end().to_owned());
                    cache.read_at = Some(Instant::now());
                }
                cache.text.clone()
            }
        }
    }
}
