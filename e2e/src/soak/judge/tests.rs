//! Each check finds what it is for, and nothing in a rollout as it should be.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::load::{Ended, Outcome};
use crate::soak::journal::Span;
use crate::soak::schedule::{Outage, name};
use crate::soak::version::Fault;
use crate::soak::watchers::{Routed, Split};

/// A rollout of one app, as its watches and its users saw it.
struct Story {
    seen: Seen,
    written: Written,
    versions: Versions,
    ended: Vec<Ended>,
}

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

impl Story {
    /// v1 serves, and has pods; so has the candidate v2, which may have a fault.
    fn new(fault: Option<Fault>) -> Self {
        let v1 = first(0);
        let v2 = Version {
            number: 2,
            fault,
            ..v1
        };
        let mut seen = Seen::default();
        for (revision, version) in [("app-01-a", v1), ("app-01-b", v2)] {
            seen.tags.insert(revision.to_owned(), version.tag());
            seen.ready.insert(revision.to_owned(), vec![(s(1), 2)]);
        }
        let push = Event {
            at: s(5),
            what: What::Deed(0, Deed::Push(v2)),
        };
        let mut story = Self {
            seen,
            written: Written::default(),
            versions: Versions::of(&[push], 1),
            ended: Vec::new(),
        };
        story.routes(2, &[("app-01-a", 100)]);
        story.answers(2, 8, "v1", 200);
        story
    }

    fn routes(&mut self, at: u64, weights: &[(&str, u64)]) {
        let weights = weights
            .iter()
            .map(|(name, weight)| ((*name).to_owned(), *weight));
        self.routed(at, Split::Weights(weights.collect()), false);
    }

    fn routed(&mut self, at: u64, split: Split, by_hand: bool) {
        let of_canary = self.seen.routes.entry(name(0)).or_default();
        of_canary.push(Routed {
            at: s(at),
            canary: name(0),
            split,
            by_hand,
        });
    }

    /// Ten answers a second.
    fn answers(&mut self, from: u64, to: u64, version: &str, status: u16) {
        let version: Option<Arc<str>> = (!version.is_empty()).then(|| version.into());
        let answer = |tenth: u64| Ended {
            sent: Duration::from_millis(tenth * 100),
            at: Duration::from_millis(tenth * 100 + 5),
            outcome: Outcome::Status(status),
            version: version.clone(),
        };
        self.ended.extend((from * 10..to * 10).map(answer));
    }

    fn found(&self) -> Vec<String> {
        let mut ended = self.ended.clone();
        ended.sort_by_key(|ended| ended.at);
        let answers = [Answers::new(ended, s(100), s(100))];
        let case = Case {
            seen: &self.seen,
            written: &self.written,
            versions: &self.versions,
            answers: &answers,
        };
        judge(&case, 1)
            .into_iter()
            .map(|violation| violation.what)
            .collect()
    }

    fn finds(&self, what: &str) {
        let found = self.found();
        assert!(
            found.iter().any(|text| text.contains(what)),
            "{what:?} is not in {found:?}"
        );
    }
}

fn promoted() -> Story {
    let mut story = Story::new(None);
    story.routes(8, &[("app-01-a", 80), ("app-01-b", 20)]);
    story.answers(8, 12, "v1", 200);
    story.answers(8, 12, "v2", 200);
    story.routes(12, &[("app-01-a", 50), ("app-01-b", 50)]);
    story.answers(12, 16, "v1", 200);
    story.answers(12, 16, "v2", 200);
    story.routes(16, &[("app-01-b", 100)]);
    story.answers(16, 30, "v2", 200);
    story
}

#[test]
fn a_rollout_as_it_should_be_is_fine() {
    assert_eq!(promoted().found(), [""; 0]);
}

#[test]
fn going_back_to_what_was_promoted_needs_no_steps_while_it_is_remembered() {
    let mut story = promoted();
    story.routes(40, &[("app-01-a", 100)]);
    assert_eq!(story.found(), [""; 0]);
    story.seen.forgotten.push(("app-01-a".to_owned(), s(35)));
    story.finds("from 0 % to 100 %, past 20 %");
}

#[test]
fn a_step_is_not_left_out_and_not_cut_short() {
    let mut story = Story::new(None);
    story.routes(8, &[("app-01-a", 50), ("app-01-b", 50)]);
    story.finds("from 0 % to 50 %, past 20 %");

    let mut story = Story::new(None);
    story.routes(8, &[("app-01-a", 80), ("app-01-b", 20)]);
    story.routes(9, &[("app-01-a", 50), ("app-01-b", 50)]);
    story.finds("3s are due");
    story.finds("after 0 requests");
}

#[test]
fn who_deletes_the_route_takes_away_nothing_that_was_counted() {
    let mut story = Story::new(None);
    story.routes(8, &[("app-01-a", 80), ("app-01-b", 20)]);
    story.answers(8, 12, "v1", 200);
    story.answers(8, 12, "v2", 200);
    story.routed(12, Split::Gone, true);
    story.routes(12, &[("app-01-a", 100)]);
    story.routes(13, &[("app-01-a", 80), ("app-01-b", 20)]);
    story.routes(17, &[("app-01-a", 50), ("app-01-b", 50)]);
    assert_eq!(story.found(), [""; 0]);
}

#[test]
fn growth_while_the_mesh_catches_up_is_found() {
    let mut story = Story::new(None);
    let outage = |what, from: u64, to: u64| Span {
        what,
        from: s(from),
        to: Some(s(to)),
    };
    story.written.outages = vec![outage(Outage::Api, 10, 30), outage(Outage::Kill, 32, 33)];
    story.routes(45, &[("app-01-a", 80), ("app-01-b", 20)]);
    story.finds("app-01-b gets 20 %, 15.0s after the API server is back");
    // Nobody was there who could have noticed it.
    story.written.outages.push(outage(Outage::Freeze, 9, 29));
    assert_eq!(story.found(), [""; 0]);
}

#[test]
fn a_backend_without_pods_and_weights_that_are_not_whole_are_found() {
    let mut story = Story::new(None);
    story.seen.ready = BTreeMap::from([("app-01-a".to_owned(), vec![(s(1), 1)])]);
    story.routes(8, &[("app-01-a", 80), ("app-01-b", 20)]);
    story.finds("app-01-b has no ready pod");
    story.routes(9, &[("app-01-a", 80), ("app-01-b", 10)]);
    story.finds("sum to 90");
}

#[test]
fn a_bad_version_never_has_everything() {
    let mut story = Story::new(Some(Fault::Fails(40)));
    story.routes(8, &[("app-01-b", 100)]);
    story.finds("gets everything");
}

#[test]
fn a_failure_is_blamed_on_who_answered() {
    let mut story = Story::new(Some(Fault::Fails(40)));
    story.routes(8, &[("app-01-a", 80), ("app-01-b", 20)]);
    story.answers(8, 10, "v2", 500);
    story.answers(8, 18, "v1", 200);
    assert_eq!(story.found(), [""; 0]);
    let mut foreign = promoted();
    foreign.answers(9, 10, "", 503);
    foreign.finds("a user got 503 from nobody");
    let mut good = promoted();
    good.answers(9, 10, "v1", 500);
    good.finds("a user got 500 from v1");
}

#[test]
fn more_answers_than_its_weight_and_a_long_exposure_are_found() {
    let mut story = Story::new(Some(Fault::Fails(40)));
    story.routes(8, &[("app-01-a", 80), ("app-01-b", 20)]);
    story.answers(40, 80, "v2", 500);
    story.finds("v2 gave 50 of 50 answers");
    story.finds("v2 is bad and answered for 39.9s");
}
