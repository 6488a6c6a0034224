//! Where the demo is watched: a terminal, or anything that takes lines.

mod line;
mod live;
mod panel;
mod plain;

use std::convert::Infallible;
use std::time::{Duration, Instant};

use anyhow::Result;
use console::{Term, style};
use parking_lot::Mutex;
use tokio::time::interval;

use super::moment::Moment;
use super::text;
use live::Live;
use plain::Plain;

/// How often a waiting line is drawn anew.
const TICK: Duration = Duration::from_millis(250);
/// Width of a line's label.
const LABEL: usize = 8;
/// What stands before the text of a line: time and label.
const INDENT: usize = 7 + LABEL;
/// What stands before a line of a file.
const QUOTED: usize = 9;
/// Longer lines are hard to read.
const WIDEST: usize = 110;

/// Takes what the demo says.
pub(super) struct Screen {
    begun: Instant,
    output: Output,
}

enum Output {
    Live(Mutex<Live>),
    Plain(Mutex<Plain>),
}

impl Screen {
    /// Standard output, as it is.
    pub(super) fn new() -> Self {
        let term = Term::buffered_stdout();
        let output = if term.is_term() && !console::is_dumb() {
            Output::Live(Mutex::new(Live::new(term)))
        } else {
            Output::Plain(Mutex::default())
        };
        Self {
            begun: Instant::now(),
            output,
        }
    }

    /// Says something that stays, with the time and a label.
    pub(super) fn say(&self, label: &str, sentence: &str) {
        let time = text::clock(self.begun.elapsed());
        let mut head = format!("{time:>5}  {:<LABEL$}", style(label).dim());
        for line in text::wrap(sentence, width()) {
            self.put(&format!("{head}{line}"));
            head = " ".repeat(INDENT);
        }
    }

    /// Adds a sentence to what was said last.
    pub(super) fn more(&self, sentence: &str) {
        for line in text::wrap(sentence, width()) {
            self.put(&format!("{:INDENT$}{}", "", style(line).dim()));
        }
    }

    /// Adds a line of a file to what was said last.
    pub(super) fn quote(&self, line: &str) {
        self.put(&format!("{:QUOTED$}{}", "", style(line).dim()));
    }

    /// Puts a line, as it is.
    pub(super) fn put(&self, line: &str) {
        match &self.output {
            Output::Live(terminal) => terminal.lock().put(line),
            Output::Plain(_) => plain::put(line),
        }
    }

    /// Shows how things are.
    pub(super) fn show(&self, moment: &Moment) {
        match &self.output {
            Output::Live(live) => live
                .lock()
                .show(|columns, rows| panel::lines(moment, columns, rows)),
            Output::Plain(plain) => plain.lock().show(self.begun.elapsed(), moment),
        }
    }

    /// Shows no more than was said.
    pub(super) fn clear(&self) {
        if let Output::Live(terminal) = &self.output {
            terminal.lock().show(|_, _| Vec::new());
        }
    }

    /// Does something that takes a while, and says what; on a terminal, for as long as it takes.
    pub(super) async fn during<T>(
        &self,
        label: &str,
        what: &str,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let begun = Instant::now();
        if matches!(self.output, Output::Plain(_)) {
            self.say(label, what);
        }
        let value = tokio::select! {
            value = work => value,
            never = self.wait(what, begun) => match never {},
        };
        self.clear();
        value
    }

    /// Draws a line with the time gone, on a terminal.
    async fn wait(&self, what: &str, begun: Instant) -> Infallible {
        let mut ticks = interval(TICK);
        loop {
            ticks.tick().await;
            if let Output::Live(terminal) = &self.output {
                let gone = format!("{} s", begun.elapsed().as_secs());
                let lines = text::wrap(&format!("{what} … {gone}"), width());
                let lines = lines.iter().map(|line| format!(" {line}")).collect();
                terminal.lock().show(|_, _| lines);
            }
        }
    }
}

/// Columns for a sentence.
fn width() -> usize {
    let size = Term::stdout().size_checked();
    let columns = size.map_or(WIDEST, |(_, columns)| columns.into());
    columns.min(WIDEST).saturating_sub(INDENT + 1)
}
