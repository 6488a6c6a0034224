//! Answers about the traffic of the past.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use serde_json::{Value, json};
use sluice_core::evidence::traffic::LONGEST;

use super::tests::{at, key, one, past};
use super::*;
use crate::evidence::answer::matrix;
use crate::fuzz::{Dice, cases, fuzz_each, mutate_bytes, seed};

/// A Service that was counted by its own name, and then by those of its revisions.
fn example(dialect: &Dialect, names: OtlpNames) -> Value {
    let namespace = spell(dialect.namespace, names);
    let series = ["shop", "shop-"].map(|counted_as| {
        json!({
            "metric": {&namespace: "shop", query::COUNTED_AS: counted_as},
            "values": [[0, "1.5"], [3_540, "2"], [7_080, "0"]],
        })
    });
    json!({"status": "success", "data": {"resultType": "matrix", "result": series}})
}

/// Whatever is answered, a figure is one of a week at most, and what follows from it can be told.
fn take(asked: &Past, status: u16, body: &[u8]) -> Known {
    let mut register = Register::default();
    register.note(key("a"), Some(asked.clone()), at(TimeDelta::zero()));
    let survey = one(&mut register, at(GATHER));
    let series = matrix(status, body);
    let answer = series.as_deref().map_err(ToString::to_string);
    register.answered(&survey, answer, at(GATHER));
    let known = register.known(&key("a"));
    if let Known::Traffic(traffic) = known {
        assert!(traffic.over >= TimeDelta::zero() && traffic.over <= LONGEST);
        assert!(traffic.per_second() >= 0.0);
        let hour = traffic.expected(HOUR);
        assert!(hour <= traffic.expected(LONGEST));
        let usual = PastTraffic::measured(3.0, HOUR);
        _ = usual.followed_by(traffic).followed_by(usual);
    }
    known
}

fn all() -> Vec<(Past, Value)> {
    let names = [OtlpNames::Dots, OtlpNames::Underscores];
    let sources = Source::ALL.into_iter();
    let sources = sources.flat_map(move |source| names.map(|names| (source, names)));
    let all = sources.map(|(source, names)| {
        let asked = Past {
            source,
            names,
            ..past("shop", "shop")
        };
        (asked, example(Dialect::of(source), names))
    });
    all.collect()
}

#[test]
fn any_answer_about_the_past() {
    for (asked, example) in all() {
        let known = take(&asked, 200, example.to_string().as_bytes());
        assert!(matches!(known, Known::Traffic(_)), "{known:?}");
    }
    fuzz_each(&all(), |asked, answer| {
        take(asked, 200, answer.to_string().as_bytes());
    });
}

#[test]
fn any_text_about_the_past() {
    let mut dice = Dice::new(seed());
    let all = all();
    for _ in 0..cases() {
        let (asked, example) = &all[dice.below(all.len())];
        let mut body = example.to_string().into_bytes();
        for _ in 0..=dice.below(3) {
            mutate_bytes(&mut body, &mut dice);
        }
        let status = if dice.below(4) == 0 { 503 } else { 200 };
        take(asked, status, &body);
    }
}
