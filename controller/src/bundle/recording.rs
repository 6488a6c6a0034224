//! Bundles are written beside the controller, by a thread that nobody waits for.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use anyhow::Context as _;
use parking_lot::Mutex;
use sluice_core::{RevisionName, Time};

use super::Look;
use super::encode::Encoder;
use super::folder::Folder;
use super::line::{FORMAT, Header};
use crate::evidence::Key;

/// Looks that may wait to be written; more are lost, and counted.
const QUEUE: usize = 256;
/// The most bytes of one bundle.
const MOST_BYTES: usize = 16 * 1024 * 1024;
/// How long the program's end waits for what is still to be written.
const PATIENCE: Duration = Duration::from_secs(1);

/// Where every decision of a rollout is kept; without a directory, nowhere. Clones share everything.
#[derive(Clone, Debug, Default)]
pub struct Recording {
    thread: Option<Arc<Thread>>,
}

#[derive(Debug)]
struct Thread {
    queue: SyncSender<Message>,
    missed: AtomicU64,
    /// Canaries that were not at rest when they were looked at last.
    busy: Mutex<HashSet<Key>>,
}

enum Message {
    /// A decision on a Canary, and how many were lost before it, of any.
    Look(Key, Box<Look>, u64),
    /// A Canary is gone, and with it what its bundle waits for.
    Forget(Key),
    /// To be answered when all before it is written.
    End(SyncSender<()>),
}

impl Recording {
    /// Starts to keep decisions in a directory.
    ///
    /// # Errors
    /// When the directory cannot be made.
    pub fn start(directory: Option<&Path>) -> anyhow::Result<Self> {
        let Some(directory) = directory else {
            return Ok(Self::default());
        };
        let folder = Folder::open(directory)
            .with_context(|| format!("--record: {} cannot be made", directory.display()))?;
        let (queue, messages) = sync_channel(QUEUE);
        std::thread::Builder::new()
            .name("recording".to_owned())
            .spawn(move || Desk::new(folder).write(&messages))
            .context("--record: no thread")?;
        let thread = Thread {
            queue,
            missed: AtomicU64::default(),
            busy: Mutex::default(),
        };
        Ok(Self {
            thread: Some(Arc::new(thread)),
        })
    }

    /// Keeps a decision if it is about a rollout. It is made only where decisions are kept at all.
    pub fn look(&self, key: &Key, look: impl FnOnce() -> Look) {
        let Some(thread) = &self.thread else {
            return;
        };
        let look = look();
        // Of what is at rest the first look is kept alone: it ends a bundle.
        let goes_on = look.state.rollout.is_some() || !look.is_at_rest();
        let mut busy = thread.busy.lock();
        let is_news = if goes_on {
            busy.insert(key.clone());
            true
        } else {
            busy.remove(key)
        };
        drop(busy);
        if !is_news {
            return;
        }
        let missed = thread.missed.swap(0, Ordering::Relaxed);
        let message = Message::Look(key.clone(), Box::new(look), missed);
        if thread.queue.try_send(message).is_err() {
            thread.missed.fetch_add(missed + 1, Ordering::Relaxed);
        }
    }

    /// Ends the bundle of a Canary that is gone.
    pub fn forget(&self, key: &Key) {
        if let Some(thread) = &self.thread {
            thread.busy.lock().remove(key);
            // With a full queue the bundle stays open until a namesake's begins.
            let _ = thread.queue.try_send(Message::Forget(key.clone()));
        }
    }

    /// Waits a moment until everything is written.
    pub fn end(&self) {
        let Some(thread) = &self.thread else {
            return;
        };
        let (done, is_done) = sync_channel(1);
        if thread.queue.try_send(Message::End(done)).is_err()
            || is_done.recv_timeout(PATIENCE).is_err()
        {
            tracing::warn!("the last decisions are not recorded");
        }
    }
}

/// The bundles that are being written.
struct Desk {
    folder: Folder,
    open: HashMap<Key, Open>,
}

struct Open {
    /// Which rollout.
    of: Rollout,
    /// Nothing once no more can be written.
    file: Option<File>,
    encoder: Encoder,
    bytes: usize,
}

/// A candidate, and when its rollout started.
type Rollout = (RevisionName, Time);

impl Desk {
    fn new(folder: Folder) -> Self {
        Self {
            folder,
            open: HashMap::new(),
        }
    }

    fn write(mut self, messages: &Receiver<Message>) {
        for message in messages {
            match message {
                Message::Look(key, look, missed) => {
                    for open in self.open.values_mut() {
                        open.encoder.missed(missed);
                    }
                    // A bundle that cannot be written ends; the controller goes on.
                    if let Err(error) = self.take(&key, *look) {
                        tracing::warn!(%error, canary = %key, "a rollout is not recorded any more");
                        if let Some(open) = self.open.get_mut(&key) {
                            open.file = None;
                        }
                    }
                }
                Message::Forget(key) => {
                    self.open.remove(&key);
                }
                Message::End(done) => {
                    // Whoever waits may have given up.
                    let _ = done.try_send(());
                }
            }
        }
    }

    fn take(&mut self, key: &Key, look: Look) -> io::Result<()> {
        let at_rest = look.is_at_rest();
        let begun = look.decision.state.rollout.as_ref();
        let begun = begun.or(look
            .state
            .rollout
            .as_ref()
            .filter(|_| !self.open.contains_key(key)));
        let of = begun.map(|rollout| (rollout.candidate.clone(), rollout.started_at));
        let is_other = |open: &Open| of.as_ref().is_some_and(|of| *of != open.of);
        if let Some(ended) = self.open.get_mut(key).filter(|open| is_other(open)) {
            // What ended one rollout is a part of it, too.
            ended.put(look.clone())?;
            self.open.remove(key);
        }
        if let (Some(of), false) = (of, self.open.contains_key(key)) {
            let open = self.open.entry(key.clone()).or_insert(Open::new(of));
            open.begin(&self.folder, key, look.now)?;
        }
        let Some(open) = self.open.get_mut(key) else {
            return Ok(());
        };
        open.put(look)?;
        if at_rest {
            self.open.remove(key);
        }
        Ok(())
    }
}

impl Open {
    fn new(of: Rollout) -> Self {
        Self {
            of,
            file: None,
            encoder: Encoder::default(),
            bytes: 0,
        }
    }

    fn begin(&mut self, folder: &Folder, key: &Key, now: Time) -> io::Result<()> {
        let (candidate, started_at) = self.of.clone();
        let header = Header {
            bundle: FORMAT,
            sluice: env!("CARGO_PKG_VERSION").to_owned(),
            namespace: key.namespace.clone().unwrap_or_default(),
            canary: key.name.clone(),
            candidate,
            started_at,
        };
        self.file = Some(folder.begin(&header, now)?);
        self.write(&(serde_json::to_string(&header)? + "\n"))
    }

    fn put(&mut self, look: Look) -> io::Result<()> {
        if self.file.is_none() {
            return Ok(());
        }
        match self.encoder.line(look)? {
            Some(line) => self.write(&line),
            None => Ok(()),
        }
    }

    /// In one write: whoever reads meanwhile sees whole lines, or a torn last one.
    fn write(&mut self, line: &str) -> io::Result<()> {
        self.bytes += line.len();
        if self.bytes > MOST_BYTES {
            self.file = None;
            let candidate = &self.of.0;
            tracing::warn!(%candidate, "a bundle is full: the rest of the rollout is not recorded");
        }
        match &mut self.file {
            Some(file) => file.write_all(line.as_bytes()),
            None => Ok(()),
        }
    }
}
