//! A file, a pipe, a CI log: lines only.

use std::io::Write as _;
use std::time::Duration;

use super::line;
use crate::demo::moment::Moment;

/// How long nothing is said while something is under way: with the time until the next look, 2 s.
const SILENCE: Duration = Duration::from_millis(1800);

/// Standard output.
#[derive(Default)]
pub(super) struct Plain {
    /// What the last line was about.
    shown: Option<Shown>,
}

struct Shown {
    at: Duration,
    stage: String,
    weights: Vec<Option<f64>>,
    message: String,
}

impl Plain {
    /// A line for each change, and one now and then while something is under way.
    pub(super) fn show(&mut self, at: Duration, moment: &Moment) {
        let next = Shown {
            at,
            stage: moment.stage(),
            weights: moment.shares.iter().map(|share| share.wanted).collect(),
            message: moment.message().to_owned(),
        };
        let (same, news) = match &self.shown {
            None => (false, true),
            Some(last) => {
                let news = last.message != next.message;
                let same = !news && last.stage == next.stage && last.weights == next.weights;
                (
                    same && (at.saturating_sub(last.at) < SILENCE || !moment.is_moving()),
                    news,
                )
            }
        };
        if same {
            return;
        }
        put(&line::of(at, moment));
        if news && !next.message.is_empty() {
            put(&line::waiting(&next.message));
        }
        self.shown = Some(next);
    }
}

/// Puts a line.
pub(super) fn put(line: &str) {
    // A reader that went away is no reason to stop.
    let _ = writeln!(std::io::stdout(), "{line}");
}
