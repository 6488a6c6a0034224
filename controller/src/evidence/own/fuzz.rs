//! Answers to queries that a user wrote.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use chrono::DateTime;
use serde_json::{Value, json};

use super::tests::{pair, ranged};
use super::*;
use crate::fuzz::{Dice, cases, fuzz_each, mutate_bytes, seed};

/// Whole, with so much of everything; of all twice as much.
fn example(own: &Own, count: u64) -> Value {
    let series = own.parts().into_iter().map(|(name, _)| {
        let number = if name.ends_with("total") {
            2 * count
        } else {
            count
        };
        json!({"metric": {PART: name}, "value": [1_700_000_000.5, number.to_string()]})
    });
    let result: Vec<_> = series.collect();
    json!({"status": "success", "data": {"resultType": "vector", "result": result}})
}

/// Whatever is answered: of the events no more are good than there are, and they never become fewer.
fn take(own: &Own, status: u16, body: &[u8]) -> Account {
    let mut account = Account::default();
    let first = example(own, 100).to_string();
    let last = example(own, 300).to_string();
    let answers = [
        (200, first.as_bytes()),
        (status, body),
        (200, last.as_bytes()),
    ];
    for ((status, body), minute) in answers.into_iter().zip((0..).step_by(5)) {
        let before = account.tallies();
        let read = numbers(status, body);
        let at = DateTime::UNIX_EPOCH + TimeDelta::minutes(minute);
        account.take(own, read.as_ref(), at);
        let after = account.tallies();
        for (before, after) in [(before.0, after.0), (before.1, after.1)] {
            assert!(after.good <= after.total, "{after:?}");
            assert!(before.good <= after.good && before.total <= after.total);
        }
    }
    account
}

fn all() -> [(Own, Value); 3] {
    [pair(true), pair(false), ranged()].map(|own| {
        let example = example(&own, 200);
        (own, example)
    })
}

#[test]
fn any_answer_to_ones_own_query() {
    for (own, example) in all() {
        let counted = take(&own, 200, example.to_string().as_bytes());
        let (stable, candidate) = counted.tallies();
        assert!(stable.total > 0 && candidate.total > 0, "{own:?}");
    }
    fuzz_each(&all(), |own, answer| {
        take(own, 200, answer.to_string().as_bytes());
    });
}

#[test]
fn any_text_as_an_answer_to_ones_own_query() {
    let mut dice = Dice::new(seed());
    let all = all();
    for _ in 0..cases() {
        let (own, example) = &all[dice.below(all.len())];
        let mut body = example.to_string().into_bytes();
        for _ in 0..=dice.below(3) {
            mutate_bytes(&mut body, &mut dice);
        }
        let status = if dice.below(4) == 0 { 503 } else { 200 };
        take(own, status, &body);
    }
}
