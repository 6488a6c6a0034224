//! Broken decisions. Each is the real `decide` with one thing wrong; each must be caught, by the
//! invariant that it breaks. So it is shown that the checks can fail.

mod approval;
mod holdback;
mod judgement;
mod traffic;
mod writes;

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use sluice_core::Action;

use crate::controller::Decide;
use crate::event::Event;
use crate::history::{Approvals, History, Setting};
use crate::properties::events;

/// Histories within which a sabotage must be caught.
const HISTORIES: usize = 1_000;

fn caught(invariant: u8, sabotaged: Decide) {
    let setting = Setting {
        replicas: Some(4),
        inconclusive: Action::Hold,
        holdback: None,
        approvals: Approvals::default(),
    };
    caught_in(setting, invariant, sabotaged);
}

fn caught_in(setting: Setting, invariant: u8, sabotaged: Decide) {
    let mut runner = TestRunner::deterministic();
    let strategy = events(Event::decode);
    for _ in 0..HISTORIES {
        let events = strategy.new_tree(&mut runner).unwrap().current();
        let mut history = History::new(setting, sabotaged, Some(invariant));
        if history.run(&events).is_err() {
            return;
        }
    }
    panic!("not caught by invariant {invariant} within {HISTORIES} histories");
}
