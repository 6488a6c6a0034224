//! When the API server was away, and how long the mesh may be behind afterwards.
//!
//! Every watch of the mesh and of Kubernetes' controllers comes back by itself, after a back-off that
//! grows with the outage. A restarted API server does not remember what happened before its start, so
//! it refuses to go on from there, and the watch waits once more before it lists everything anew.
//! Measured with istiod and one API server: 61 s after an outage of 19 s, routes and Services were
//! followed again, and endpoints still were not. A candidate that got traffic then had none.
//!
//! Our own watches notice an absence while this process runs. One that began or ended without us shows in the
//! Lease that nobody renewed meanwhile; and the Lease carries what is known on to the next process, with
//! renewals that are written anyway.

use std::sync::Arc;

use chrono::{TimeDelta, Utc};
use kube::runtime::watcher;
use parking_lot::Mutex;
use sluice_core::Time;

/// A failure so long after the one before begins another absence.
const PAUSE: TimeDelta = TimeDelta::seconds(60);
/// Watches come back within so many times the absence: the back-off doubles with each try, is stretched
/// by chance up to twice, and is met twice.
const TIMES: i32 = 5;
const LEAST: TimeDelta = TimeDelta::seconds(5);
/// The back-off of client-go ends at 30 s, stretched 60 s; met twice, the first time in part.
const MOST: TimeDelta = TimeDelta::seconds(90);

/// The last absence of the API server. Clones are one.
#[derive(Clone, Debug, Default)]
pub struct Absence(Arc<Mutex<Known>>);

#[derive(Clone, Copy, Debug, Default)]
struct Known {
    /// As this process noticed it.
    span: Option<Span>,
    /// Until when the mesh may be behind, by that and by what others noticed.
    until: Option<Time>,
}

#[derive(Clone, Copy, Debug)]
struct Span {
    from: Time,
    to: Time,
}

impl Absence {
    /// Notes that a watch failed; only if nobody answered.
    pub fn failed(&self, error: &watcher::Error) {
        if nobody_answered(error) {
            let mut known = self.0.lock();
            let span = extended(known.span, Utc::now());
            known.span = Some(span);
            known.until = known.until.max(Some(until(span)));
        }
    }

    /// Notes that nobody could write from then on until now.
    pub fn lasted_since(&self, from: Time) {
        let to = Utc::now();
        let mut known = self.0.lock();
        known.until = known.until.max(Some(until(Span { from, to })));
    }

    /// Notes until when the mesh may be behind, as another process said.
    pub fn heard(&self, until: Time) {
        // Its clock may be wrong, and anybody who may write the Lease could say anything.
        let until = until.min(Utc::now() + MOST);
        let mut known = self.0.lock();
        known.until = known.until.max(Some(until));
    }

    /// Until when the mesh may be behind; in the past, if it was.
    #[must_use]
    pub fn mesh_behind_until(&self) -> Option<Time> {
        self.0.lock().until
    }
}

/// An answer that refuses, such as for a kind that is not installed, is no absence; nor is a watch that
/// ends, as all do now and then.
fn nobody_answered(error: &watcher::Error) -> bool {
    match error {
        watcher::Error::InitialListFailed(error) | watcher::Error::WatchStartFailed(error) => {
            match error {
                kube::Error::Api(status) => status.code >= 500,
                _ => true,
            }
        }
        _ => false,
    }
}

fn extended(span: Option<Span>, now: Time) -> Span {
    match span {
        Some(span) if now - span.to < PAUSE => Span { to: now, ..span },
        _ => Span { from: now, to: now },
    }
}

fn until(span: Span) -> Time {
    let behind = (span.to - span.from) * TIMES + LEAST;
    span.to + behind.min(MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longer_it_was_away_the_longer_the_mesh_is_behind() {
        let at =
            |seconds: i64| Time::from_timestamp(1_700_000_000 + seconds, 0).unwrap_or_default();
        let failing = |times: &[i64]| {
            let fails = |span, seconds: &i64| Some(extended(span, at(*seconds)));
            times.iter().fold(None, fails).map(until)
        };
        assert_eq!(failing(&[]), None);
        assert_eq!(failing(&[0]), Some(at(5)));
        assert_eq!(failing(&[0, 2, 6]), Some(at(6 + 35)));
        assert_eq!(failing(&[0, 20, 40]), Some(at(40 + 90)));
        // Two absences are not one.
        assert_eq!(failing(&[0, 2, 200]), Some(at(205)));
    }

    #[test]
    fn what_others_noticed_counts_within_reason() {
        let absence = Absence::default();
        let left = || {
            let until = absence.mesh_behind_until().unwrap_or_default();
            (until - Utc::now()).num_seconds()
        };
        assert_eq!(absence.mesh_behind_until(), None);
        absence.heard(Utc::now() + TimeDelta::seconds(21));
        assert!((20..=21).contains(&left()), "{}", left());
        absence.lasted_since(Utc::now() - TimeDelta::seconds(10));
        assert!((54..=55).contains(&left()), "{}", left());
        absence.heard(Utc::now() + TimeDelta::seconds(10));
        assert!((54..=55).contains(&left()), "the longer one counts");
        absence.heard(Utc::now() + TimeDelta::days(1));
        assert!((89..=90).contains(&left()), "{}", left());
    }
}
