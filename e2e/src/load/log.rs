//! What became of every request.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use super::{
    outcome::{Answer, Ended, Outcome, Totals, Window},
    stats,
};

/// One request; names are kept once, in [`Names`].
#[derive(Debug, Clone, Copy)]
struct Sample {
    sent_micros: u64,
    latency_micros: u32,
    outcome: Outcome,
    version: u16,
    pod: u16,
    greeting: u16,
}

/// The record of a load, written by its clients while stories read it.
#[derive(Debug)]
pub(super) struct Log {
    start: Instant,
    limit: usize,
    written: Mutex<Written>,
}

#[derive(Debug, Default)]
struct Written {
    begun: usize,
    samples: Vec<Sample>,
    versions: Names,
    pods: Names,
    greetings: Names,
    totals: Totals,
}

impl Log {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            start: Instant::now(),
            limit,
            written: Mutex::default(),
        }
    }

    pub(super) fn now(&self) -> Duration {
        self.start.elapsed()
    }

    /// Whether one more request may be sent.
    pub(super) fn admit(&self) -> bool {
        let mut written = self.written.lock();
        let admitted = written.begun < self.limit;
        written.begun += usize::from(admitted);
        admitted
    }

    /// Notes the end of a request that was due at `due`.
    pub(super) fn record(&self, due: Instant, answer: Answer) {
        let at = self.now();
        let sent = due.saturating_duration_since(self.start);
        let written = &mut *self.written.lock();
        written.totals.add(at, &answer);
        let sample = Sample {
            sent_micros: u64::try_from(sent.as_micros()).unwrap_or(u64::MAX),
            latency_micros: u32::try_from(at.saturating_sub(sent).as_micros()).unwrap_or(u32::MAX),
            outcome: answer.outcome,
            version: written.versions.number(answer.version),
            pod: written.pods.number(answer.pod),
            greeting: written.greetings.number(answer.greeting),
        };
        written.samples.push(sample);
    }

    pub(super) fn skipped(&self, requests: u64) {
        self.written.lock().totals.skipped = requests;
    }

    pub(super) fn totals(&self) -> Totals {
        self.written.lock().totals.clone()
    }

    /// Every request, in the order in which they ended.
    pub(super) fn ended(&self) -> Vec<Ended> {
        let written = self.written.lock();
        let ended = |sample: &Sample| {
            let sent = Duration::from_micros(sample.sent_micros);
            Ended {
                sent,
                at: sent + Duration::from_micros(sample.latency_micros.into()),
                outcome: sample.outcome,
                version: written.versions.shared(sample.version),
            }
        };
        written.samples.iter().map(ended).collect()
    }

    /// What was sent from `from` on and before `to`.
    pub(super) fn window(&self, from: Duration, to: Duration) -> Window {
        let span = from.as_micros()..to.as_micros();
        let written = self.written.lock();
        // Samples are in the order in which requests ended, and none ends before it is sent.
        let first = written
            .samples
            .partition_point(|sample| sample.ended_micros() < span.start);
        let mut window = Window {
            span: to.saturating_sub(from),
            ..Window::default()
        };
        let mut latencies = Vec::new();
        let in_span = |sample: &&Sample| span.contains(&u128::from(sample.sent_micros));
        for sample in written.samples.iter().skip(first).filter(in_span) {
            window.all.add(sample.outcome);
            for (tallies, name) in [
                (&mut window.versions, written.versions.name(sample.version)),
                (&mut window.pods, written.pods.name(sample.pod)),
                (
                    &mut window.greetings,
                    written.greetings.name(sample.greeting),
                ),
            ] {
                if let Some(name) = name {
                    tallies
                        .entry(name.to_owned())
                        .or_default()
                        .add(sample.outcome);
                }
            }
            latencies.push(sample.latency_micros);
        }
        drop(written);
        latencies.sort_unstable();
        window.p50 = stats::percentile(&latencies, 50).map(|us| Duration::from_micros(us.into()));
        window.p99 = stats::percentile(&latencies, 99).map(|us| Duration::from_micros(us.into()));
        window
    }
}

impl Sample {
    fn ended_micros(&self) -> u128 {
        u128::from(self.sent_micros) + u128::from(self.latency_micros)
    }
}

/// Names as small numbers; 0 is no name.
#[derive(Debug, Default)]
struct Names {
    numbers: HashMap<Arc<str>, u16>,
    names: Vec<Arc<str>>,
}

impl Names {
    fn number(&mut self, name: Option<String>) -> u16 {
        let Some(name) = name else { return 0 };
        if let Some(number) = self.numbers.get(name.as_str()) {
            return *number;
        }
        let name: Arc<str> = name.into();
        // A load does not meet 65,535 pods; past that, names are lost and counts are not.
        let Ok(number) = u16::try_from(self.names.len() + 1) else {
            return 0;
        };
        self.names.push(Arc::clone(&name));
        self.numbers.insert(name, number);
        number
    }

    fn name(&self, number: u16) -> Option<&str> {
        self.get(number).map(AsRef::as_ref)
    }

    fn shared(&self, number: u16) -> Option<Arc<str>> {
        self.get(number).cloned()
    }

    fn get(&self, number: u16) -> Option<&Arc<str>> {
        self.names.get(usize::from(number).checked_sub(1)?)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use super::*;
    use crate::load::Tally;

    fn answer(status: u16, version: &str) -> Answer {
        Answer {
            outcome: Outcome::Status(status),
            version: Some(version.to_owned()),
            pod: Some(format!("{version}-pod")),
            greeting: Some("hello".to_owned()),
            why: None,
            retried: false,
        }
    }

    #[test]
    fn a_window_holds_what_was_sent_in_it() {
        let log = Log::new(10);
        let second = Duration::from_secs(1);
        // Backdated, so that sending and answering lie apart.
        let log = Log {
            start: log.start.checked_sub(10 * second).unwrap(),
            ..log
        };
        log.record(log.start + second, answer(200, "v1"));
        log.record(log.start + 6 * second, answer(500, "v2"));
        log.record(
            log.start + 7 * second,
            Answer::failed(Outcome::Reset, "gone".to_owned()),
        );

        let window = log.window(5 * second, 10 * second);
        assert_eq!(
            window.all,
            Tally {
                requests: 2,
                failed: 2
            }
        );
        assert_eq!(
            window.versions.get("v2"),
            Some(&Tally {
                requests: 1,
                failed: 1
            })
        );
        assert_eq!(window.versions.get("v1"), None);
        assert_eq!(window.pods.len(), 1);

        let totals = log.totals();
        assert_eq!(
            totals.all,
            Tally {
                requests: 3,
                failed: 2
            }
        );
        assert_eq!(totals.failures.last().unwrap().words, "gone");
    }

    #[test]
    fn the_limit_is_exact() {
        let log = Log::new(3);
        assert_eq!((0..10).filter(|_| log.admit()).count(), 3);
    }
}
