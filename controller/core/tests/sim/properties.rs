//! The invariants over random histories.

use std::fmt::Write;

use chrono::TimeDelta;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use sluice_core::{Action, ErrorBudget, decide};

use crate::event::Event;
use crate::history::{Approvals, History, Holdback, Setting};
use crate::journal::Journal;

/// Histories of each of the two halves, unless `SLUICE_HISTORIES` says how many; both run at the same time
/// on two cores.
const HISTORIES: u32 = 50_000;

/// Any plan's holdback: none in half of them. With the last one the candidate is smaller than the stable
/// revision by its weight alone.
pub(crate) fn holdback() -> impl Strategy<Value = Option<Holdback>> {
    let of = |percent, seconds| Some(Holdback { percent, seconds });
    let drawn = [None, None, None, of(1, 60), of(10, 300), of(25, 60)];
    (0..drawn.len()).prop_map(move |index| drawn[index])
}

/// Where any plan asks for approvals: nowhere in half of them.
fn approvals() -> impl Strategy<Value = Approvals> {
    let drawn: [&[u32]; 6] = [&[], &[], &[], &[0], &[25], &[0, 5, 50]];
    (0..drawn.len()).prop_map(move |index| Approvals(drawn[index]))
}

/// Any history of 50 to 60 events. Any bytes are one, so that it shrinks fast.
pub(crate) fn events(decode: fn((u8, u8)) -> Event) -> impl Strategy<Value = Vec<Event>> {
    let bytes = proptest::collection::vec(any::<(u8, u8)>(), 50..60);
    bytes.prop_map(move |bytes| bytes.into_iter().map(decode).collect())
}

/// The same; in a quarter of them Git keeps the target's size from the first moment on.
fn kept_or_not() -> impl Strategy<Value = Vec<Event>> {
    let any = (prop::bool::weighted(0.25), events(Event::decode));
    any.prop_map(|(kept, events)| {
        let first = kept.then_some(Event::KeepReplicas(4));
        first.into_iter().chain(events).collect()
    })
}

/// Five percent of 30 days' may be spent by one release, of a service that has as many requests as ever.
fn limit(history: &mut History) {
    let budget = ErrorBudget {
        period: TimeDelta::days(30),
        per_release_ppm: 50_000,
    };
    history.limit(budget, 100.0);
}

fn hold(setting: Setting, prepare: fn(&mut History)) {
    let given = std::env::var("SLUICE_HISTORIES").ok();
    let histories = given.map_or(HISTORIES, |text| text.parse().unwrap());
    let config = Config {
        cases: histories,
        // A failure is reported with its events; a file of seeds would be one more thing to keep.
        failure_persistence: None,
        ..Config::default()
    };
    let seed = seed();
    let rng = proptest::test_runner::TestRng::from_seed(
        proptest::test_runner::RngAlgorithm::ChaCha,
        &seed,
    );
    let mut runner = TestRunner::new_with_rng(config, rng);
    let any = (holdback(), approvals(), kept_or_not());
    let with = |holdback, approvals| Setting {
        holdback,
        approvals,
        ..setting
    };
    let outcome = runner.run(&any, |(holdback, approvals, events)| {
        let mut history = History::new(with(holdback, approvals), decide, None);
        prepare(&mut history);
        let breach = history.run(&events).err();
        breach.map_or(Ok(()), |breach| {
            Err(TestCaseError::fail(breach.to_string()))
        })
    });
    if let Err(proptest::test_runner::TestError::Fail(reason, (holdback, approvals, events))) =
        &outcome
    {
        let mut history = History::new(with(*holdback, *approvals), decide, None);
        prepare(&mut history);
        history.audit.journal = Some(Journal::default());
        _ = history.run(events);
        let text = history
            .audit
            .journal
            .map(|journal| journal.text)
            .unwrap_or_default();
        let seed = hex(&seed);
        panic!("{reason}\n{holdback:?} {approvals:?}\n{events:?}\n\n{text}\nSLUICE_SEED={seed}");
    }
    outcome.unwrap();
}

/// The same one each time, so that a change is to blame for what fails; or the one of `SLUICE_SEED`, 64
/// hexadecimal digits. `SLUICE_SEED=new` draws one.
fn seed() -> [u8; 32] {
    let given = std::env::var("SLUICE_SEED").ok();
    let byte = |text: &str, at: usize| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap();
    match given.as_deref() {
        None => [1; 32],
        Some("new") => std::array::from_fn(|_| rand_byte()),
        Some(text) => std::array::from_fn(|at| byte(text, at)),
    }
}

fn hex(seed: &[u8; 32]) -> String {
    seed.iter().fold(String::new(), |mut text, byte| {
        _ = write!(text, "{byte:02x}");
        text
    })
}

fn rand_byte() -> u8 {
    use std::hash::{BuildHasher, Hasher};
    let hasher = std::collections::hash_map::RandomState::new().build_hasher();
    hasher.finish().to_le_bytes()[0]
}

#[test]
fn the_invariants_hold_when_an_open_verdict_holds() {
    let setting = Setting {
        replicas: Some(4),
        inconclusive: Action::Hold,
        holdback: None,
        approvals: Approvals::default(),
    };
    hold(setting, |_| {});
}

#[test]
fn the_invariants_hold_when_an_open_verdict_rolls_back() {
    let setting = Setting {
        replicas: None,
        inconclusive: Action::Rollback,
        holdback: None,
        approvals: Approvals::default(),
    };
    hold(setting, limit);
}

#[test]
fn a_healthy_history_ends_promoted() {
    let setting = Setting {
        replicas: Some(3),
        inconclusive: Action::Hold,
        holdback: None,
        approvals: Approvals::default(),
    };
    let mut runner = TestRunner::new(Config {
        cases: 500,
        failure_persistence: None,
        ..Config::default()
    });
    let any = (holdback(), events(Event::decode_healthy));
    let outcome = runner.run(&any, |(holdback, events)| {
        let setting = Setting {
            holdback,
            ..setting
        };
        let mut history = History::new(setting, decide, None);
        limit(&mut history);
        if let Err(breach) = history.run(&events) {
            return Err(TestCaseError::fail(breach.to_string()));
        }
        let target = history.cluster.world.target.map(|target| target.revision);
        prop_assert_eq!(history.controller.memory.stable, target);
        Ok(())
    });
    outcome.unwrap();
}
