//! What others wrote, mutated: nothing that we parse may make us panic.
//!
//! A case is an example and a few mutations of it. `SLUICE_FUZZ_SEED` repeats a run; a case that fails is
//! told with no more mutations than it needs.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod examples;
mod mutate;
mod objects;
mod texts;
mod world;

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::panic::{AssertUnwindSafe, catch_unwind};

use serde_json::Value;

pub(crate) use mutate::{Dice, mutate_bytes};
pub(crate) use world::observed;

/// The most mutations of one case. One alone is the most likely: more hide each other.
const MUTATIONS: u64 = 4;

/// Cases of each check: enough to meet again what was mended once. A search has `SLUICE_FUZZ_CASES` of them.
const CASES: u32 = 800;

/// Lets `check` look at all cases.
pub(crate) fn fuzz(examples: &[Value], check: impl Fn(&Value)) {
    let examples: Vec<_> = examples
        .iter()
        .map(|example| ((), example.clone()))
        .collect();
    fuzz_each(&examples, |(), case| check(case));
}

/// The same, of examples each of which is of something: they share the cases.
pub(crate) fn fuzz_each<T>(examples: &[(T, Value)], check: impl Fn(&T, &Value)) {
    let seed = seed();
    let mut dice = Dice::new(seed);
    for (of, example) in examples {
        check(of, example);
    }
    for _ in 0..cases() {
        let (of, example) = &examples[dice.below(examples.len())];
        let check = |case: &Value| check(of, case);
        let mutations: Vec<u64> = (0..=dice.next() % MUTATIONS).map(|_| dice.next()).collect();
        if let Some(problem) = problem(&case(example, &mutations), &check) {
            let mutations = shrunk(example, mutations, &check);
            let case = case(example, &mutations);
            panic!("{problem}\n{case:#}\nSLUICE_FUZZ_SEED={seed}");
        }
    }
}

fn case(example: &Value, mutations: &[u64]) -> Value {
    let mut case = example.clone();
    for mutation in mutations {
        mutate::mutate(&mut case, &mut Dice::new(*mutation));
    }
    case
}

/// The mutations without which the case does not fail.
fn shrunk(example: &Value, mut mutations: Vec<u64>, check: &impl Fn(&Value)) -> Vec<u64> {
    let mut at = 0;
    while at < mutations.len() {
        let mut fewer = mutations.clone();
        fewer.remove(at);
        if problem(&case(example, &fewer), check).is_some() {
            mutations = fewer;
        } else {
            at += 1;
        }
    }
    mutations
}

fn problem(case: &Value, check: &impl Fn(&Value)) -> Option<String> {
    let panic = catch_unwind(AssertUnwindSafe(|| check(case))).err()?;
    let text = panic.downcast_ref::<String>().cloned();
    let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
    Some(text.unwrap_or_default())
}

/// How many cases there are.
pub(crate) fn cases() -> u32 {
    let given = std::env::var("SLUICE_FUZZ_CASES").ok();
    given.map_or(CASES, |text| text.parse().unwrap())
}

/// The same one each time, so that a change is to blame for what fails; or the one of `SLUICE_FUZZ_SEED`,
/// where `new` draws one.
pub(crate) fn seed() -> u64 {
    match std::env::var("SLUICE_FUZZ_SEED").ok().as_deref() {
        None => 1,
        Some("new") => RandomState::new().build_hasher().finish(),
        Some(text) => text.parse().unwrap(),
    }
}
