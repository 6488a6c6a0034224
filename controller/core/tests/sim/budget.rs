//! What a rollout may cost is worked out once.

use chrono::TimeDelta;
use sluice_core::{Action, ErrorBudget, PastTraffic, decide};

use crate::event::Event;
use crate::history::{Approvals, History, Setting};

const BUDGET: ErrorBudget = ErrorBudget {
    period: TimeDelta::days(30),
    per_release_ppm: 50_000,
};

/// A rollout at its first step, of a service that had so many requests a second.
fn under_way(past: Option<f64>) -> History {
    let setting = Setting {
        replicas: Some(4),
        inconclusive: Action::Hold,
        holdback: None,
        approvals: Approvals::default(),
    };
    let mut history = History::new(setting, decide, None);
    history.limit(BUDGET, past.unwrap_or_default());
    if past.is_none() {
        history.cluster.world.traffic = None;
    }
    let events = [Event::Wait(120), Event::Push(1), Event::Wait(20)];
    for event in events {
        history.happen(event).unwrap();
    }
    history
}

fn expected(history: &History) -> Option<u64> {
    let rollout = history.controller.memory.rollout.as_ref();
    rollout?.expected_requests
}

fn learn(history: &mut History, per_second: f64) {
    let hour = TimeDelta::hours(1);
    history.cluster.world.traffic = Some(PastTraffic::measured(per_second, hour));
    history.happen(Event::Wait(1)).unwrap();
}

#[test]
fn it_stays_the_same_whatever_is_learned_and_after_a_restart() {
    let mut history = under_way(Some(100.0));
    let pinned = Some(30 * 8_600_000);
    assert_eq!(expected(&history), pinned);
    learn(&mut history, 1.0);
    history.happen(Event::Crash).unwrap();
    assert_eq!(expected(&history), pinned);
    // Nothing tells of it any more.
    history.happen(Event::LoseStatus).unwrap();
    assert_eq!(expected(&history), Some(30 * 86_000));
}

#[test]
fn it_is_worked_out_as_soon_as_it_can_be() {
    let mut history = under_way(None);
    assert_eq!(expected(&history), None);
    learn(&mut history, 0.0);
    assert_eq!(expected(&history), None, "nothing can be expected of it");
    learn(&mut history, 1.0);
    assert_eq!(expected(&history), Some(30 * 86_000));
}
