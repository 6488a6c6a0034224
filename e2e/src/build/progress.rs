//! Tells a person how long it will still take: a live line on a terminal, plain lines elsewhere.

use std::io::IsTerminal;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// Period of the live line.
const TICK: Duration = Duration::from_millis(200);
/// Period of the plain lines: often enough that nobody thinks it hangs.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// A stage that ends sooner says nothing, where there is no terminal.
const QUIET: Duration = Duration::from_secs(1);
/// Before this share of the work is done, its pace says little.
const PACE_KNOWN: f64 = 0.1;

pub(super) struct Progress {
    terminal: bool,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self {
            terminal: std::io::stderr().is_terminal(),
        }
    }

    /// Starts a stage. Without an estimate only the time gone is told.
    pub(super) fn start(&self, name: &str, estimate: Option<Duration>) -> Stage {
        let state = Arc::new(State {
            name: name.to_owned(),
            begun: Instant::now(),
            estimate,
            done: AtomicU32::new(0),
            total: AtomicU32::new(0),
            note: Mutex::default(),
        });
        let (stop, stopped) = channel();
        let shared = Arc::clone(&state);
        let terminal = self.terminal;
        let ticker = std::thread::spawn(move || {
            if terminal {
                live(&shared, &stopped);
            } else {
                plain(&shared, &stopped);
            }
        });
        Stage {
            state,
            stop,
            ticker: Some(ticker),
        }
    }
}

/// A stage under way. Dropped without [`Stage::done`], it ends in silence: an error follows.
pub(super) struct Stage {
    state: Arc<State>,
    stop: Sender<End>,
    ticker: Option<JoinHandle<()>>,
}

#[derive(Clone, Copy)]
enum End {
    Done,
    Failed,
}

struct State {
    name: String,
    begun: Instant,
    estimate: Option<Duration>,
    done: AtomicU32,
    total: AtomicU32,
    note: Mutex<String>,
}

impl Stage {
    /// What it is doing now.
    pub(super) fn note(&self, text: &str) {
        text.clone_into(
            &mut self
                .state
                .note
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        );
    }

    /// `done` of `total` parts are under way or done.
    pub(super) fn reached(&self, done: u32, total: u32) {
        self.state.done.store(done, Ordering::Relaxed);
        self.state.total.store(total, Ordering::Relaxed);
    }

    /// Ends it well.
    pub(super) fn done(mut self) {
        self.end(End::Done);
    }

    fn end(&mut self, end: End) {
        if let Some(ticker) = self.ticker.take() {
            // Both fail only if the ticker is gone already.
            let _ = self.stop.send(end);
            let _ = ticker.join();
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.end(End::Failed);
    }
}

impl State {
    fn left(&self, gone: Duration) -> Option<Duration> {
        let total = self.total.load(Ordering::Relaxed);
        let share =
            f64::from(self.done.load(Ordering::Relaxed).min(total)) / f64::from(total.max(1));
        if share >= PACE_KNOWN {
            return Some(gone.mul_f64((1.0 - share) / share));
        }
        self.estimate.map(|estimate| estimate.saturating_sub(gone))
    }

    fn line(&self) -> String {
        let gone = self.begun.elapsed();
        let left = self
            .left(gone)
            .map_or_else(String::new, |left| format!(", about {} left", spoken(left)));
        let note = self.note.lock().unwrap_or_else(PoisonError::into_inner);
        format!("{}: {} gone{left} ({note})", self.name, spoken(gone))
    }

    fn end_line(&self) -> String {
        format!("{}: done in {}", self.name, spoken(self.begun.elapsed()))
    }
}

fn live(state: &State, stopped: &Receiver<End>) {
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg}") {
        bar.set_style(style);
    }
    loop {
        match stopped.recv_timeout(TICK) {
            Err(RecvTimeoutError::Timeout) => {
                bar.set_message(state.line());
                bar.tick();
            }
            Ok(End::Done) if state.begun.elapsed() > QUIET => {
                return bar.finish_with_message(state.end_line());
            }
            _ => return bar.finish_and_clear(),
        }
    }
}

fn plain(state: &State, stopped: &Receiver<End>) {
    let mut period = QUIET;
    loop {
        match stopped.recv_timeout(period) {
            Err(RecvTimeoutError::Timeout) => {
                eprintln!("{}", state.line());
                period = HEARTBEAT;
            }
            Ok(End::Done) if state.begun.elapsed() > QUIET => {
                return eprintln!("{}", state.end_line());
            }
            _ => return,
        }
    }
}

/// A duration as people say it.
pub(super) fn spoken(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match (seconds / 60, seconds % 60) {
        (0, _) => format!("{seconds} s"),
        (minutes, 0) => format!("{minutes} min"),
        (minutes, rest) => format!("{minutes} min {rest} s"),
    }
}
