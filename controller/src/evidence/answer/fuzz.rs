//! Answers of broken and of foreign servers.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use chrono::TimeDelta;
use serde_json::{Value, json};
use sluice_core::Time;
use sluice_crds::{ConnectionSource, OtlpNames, Source};

use super::*;
use crate::evidence::ledger::Ledger;
use crate::fuzz::{Dice, cases, fuzz, fuzz_each, mutate_bytes, seed};

fn service(name: &str) -> Service {
    Service {
        namespace: "shop".to_owned(),
        name: name.to_owned(),
    }
}

fn asked(names: OtlpNames) -> Asked {
    Asked {
        services: BTreeSet::from([service("web-a"), service("web-b")]),
        thresholds: BTreeSet::from([250, 1_000]),
        names,
        ..Asked::default()
    }
}

/// Every source, by each way in which a server writes its names, and an answer.
fn all() -> Vec<((&'static Dialect, Asked), Value)> {
    let names = [OtlpNames::Dots, OtlpNames::Underscores];
    let sources = Source::ALL.into_iter().map(Dialect::of);
    let each = sources.flat_map(|dialect| names.map(|names| (dialect, asked(names))));
    each.map(|(dialect, asked)| {
        let example = example(dialect, &asked);
        ((dialect, asked), example)
    })
    .collect()
}

/// Every metric of a source, of two revisions, as good and as bad; of the second by `target_info` as well.
fn example(dialect: &Dialect, asked: &Asked) -> Value {
    let info = dialect.target_info();
    let series = |metric: &str, owner: Option<&str>, more: &[(&str, &str)], value: usize| {
        let mut labels: Labels = dialect
            .origin
            .iter()
            .map(|label| (*label, "one"))
            .chain(more.iter().copied())
            .map(|(label, text)| (spell(label, asked.names), text.to_owned()))
            .collect();
        if let Some(owner) = owner {
            labels.insert(spell(dialect.namespace, asked.names), "shop".to_owned());
            labels.insert(spell(dialect.service, asked.names), owner.to_owned());
        }
        labels.insert(NAME.to_owned(), metric.to_owned());
        json!({"value": [1_700_000_000.5, value.to_string()], "metric": labels})
    };
    let bad: Vec<_> = dialect
        .outcome_labels()
        .into_iter()
        .map(|label| (label, "503"))
        .collect();
    let bounds = bounds(dialect, &asked.thresholds);
    let mut all = Vec::new();
    for (metric, meaning) in metrics(dialect, asked) {
        let unit = dialect.families.get(meaning.family).unwrap().unit;
        let owners = ["web-a", "web-b"].map(|name| (Some(name), &[][..]));
        let pushed = (None, &[("instance", "two")][..]);
        for (owner, process) in owners.into_iter().chain(info.then_some(pushed)) {
            if meaning.part == Some(Part::Bucket) {
                for (_, bound) in bounds.keys().filter(|(of, _)| *of == unit) {
                    let le = [process, &[(LE, bound.as_str())]].concat();
                    all.push(series(&metric, owner, &le, 5));
                }
            } else {
                all.push(series(&metric, owner, process, 1_000));
                all.push(series(&metric, owner, &[process, &bad].concat(), 7));
            }
        }
    }
    if info {
        all.push(series(
            TARGET_INFO,
            Some("web-b"),
            &[("instance", "two")],
            1,
        ));
    }
    // What `scrapes` asks for has no name.
    all.push(json!({"value": [1_700_000_000.5, "1700000000.25"], "metric": {"instance": "one"}}));
    json!({"status": "success", "data": {"resultType": "vector", "result": all}})
}

/// Books what was read: only what was asked for counts, and the totals never fall.
fn book(ledger: &mut Ledger, asked: &Asked, entries: Entries) {
    let known = |row: &Row| asked.services.contains(&row.service);
    assert!(entries.rows.iter().all(known));
    let totals = |ledger: &Ledger| {
        let accounts = asked.services.iter().map(|service| ledger.account(service));
        let events = accounts.map(|account| account.map(|account| account.events().clone()));
        events
            .map(|events| events.map_or((0, 0), |events| (events.good, events.bad)))
            .collect::<Vec<_>>()
    };
    let before = totals(ledger);
    ledger.take(&asked.services, entries);
    for (before, after) in before.iter().zip(totals(ledger)) {
        assert!(before.0 <= after.0 && before.1 <= after.1);
    }
}

/// Whatever is in an answer.
fn take(dialect: &Dialect, asked: &Asked, ledger: &mut Ledger, status: u16, body: &[u8]) {
    if let Ok(elements) = elements(status, body) {
        _ = ages(&elements);
        book(ledger, asked, entries(dialect, asked, elements));
    }
}

/// Of an example in which nothing was read nothing would be tried out.
#[test]
fn the_examples_have_all_that_is_read() {
    for ((dialect, asked), example) in all() {
        let body = example.to_string();
        let elements = elements(200, body.as_bytes()).unwrap();
        assert_eq!(ages(&elements), [Duration::from_millis(250)]);
        let read = entries(dialect, &asked, elements);
        assert!(
            read.spoiled.is_empty(),
            "{}: {:?}",
            dialect.name,
            read.spoiled
        );
        let services = |which: fn(&Counters) -> bool| {
            let rows = read.rows.iter().filter(|row| which(&row.counters));
            rows.map(|row| row.service.clone()).collect::<BTreeSet<_>>()
        };
        let requests = services(|counters| matches!(counters, Counters::Requests(..)));
        let durations = services(|counters| matches!(counters, Counters::Durations(..)));
        assert_eq!(
            (&requests, &durations),
            (&asked.services, &asked.services),
            "{}",
            dialect.name
        );
        let pushed = read
            .rows
            .iter()
            .any(|row| row.origin.iter().any(|of| of == "two"));
        assert_eq!(pushed, dialect.target_info(), "{}", dialect.name);
    }
}

#[test]
fn any_answer() {
    fuzz_each(&all(), |(dialect, asked), answer| {
        let mut ledger = Ledger::default();
        let proper = example(dialect, asked).to_string();
        for body in [&proper, &answer.to_string(), &proper] {
            take(dialect, asked, &mut ledger, 200, body.as_bytes());
        }
    });
}

/// As `backtest` asks: all of a span at once.
#[test]
fn any_answer_over_time() {
    let (start, step) = (Time::UNIX_EPOCH, TimeDelta::seconds(15));
    let mut all = all();
    for (_, example) in &mut all {
        for series in example["data"]["result"].as_array_mut().unwrap() {
            let value = series["value"][1].clone();
            series["value"] = Value::Null;
            series["values"] = json!([[0, value], [15, value], [45, value]]);
        }
    }
    fuzz_each(&all, |(dialect, asked), answer| {
        let Ok(series) = matrix(200, answer.to_string().as_bytes()) else {
            return;
        };
        let mut ledger = Ledger::default();
        let mut count = 0;
        for elements in instants(series, start, step, 4) {
            book(&mut ledger, asked, entries(dialect, asked, elements));
            count += 1;
        }
        assert_eq!(count, 4);
    });
}

fn example_of_connections(source: ConnectionSource) -> Value {
    let metric = Connections::of(source);
    let series =
        metric.rules.iter().zip(1..).flat_map(|(rule, count)| {
            metric.parts.iter().map(move |part| {
            let flag = if rule.counted == Counted::Bad { "DENY" } else { "-" };
            json!({"value": [1_700_000_000.5, format!("{}", 10 - count)], "metric": {
                "__name__": rule.metric, "instance": "10.0.0.1:15020", "pod": "agent-1",
                part.namespace: "shop", part.name: "web-b", "response_flags": flag, "type": "Drop",
            }})
        })
        });
    let result: Vec<_> = series.collect();
    json!({"status": "success", "data": {"resultType": "vector", "result": result}})
}

/// Likewise: only what was asked for counts, totals never fall, and nothing is good that is not counted.
fn take_connections(source: ConnectionSource, ledger: &mut Ledger, status: u16, body: &[u8]) {
    let services = asked(OtlpNames::default()).services;
    let Ok(entries) = connections(Connections::of(source), &services, status, body) else {
        return;
    };
    let known =
        |row: &Row| services.contains(&row.service) && !entries.spoiled.contains_key(&row.service);
    assert!(entries.rows.iter().all(known));
    let tallies = |ledger: &Ledger| {
        let accounts = services.iter().map(|service| ledger.account(service));
        let tallies = accounts.map(|account| account.map(|a| a.events().connections));
        tallies.map(Option::unwrap_or_default).collect::<Vec<_>>()
    };
    let before = tallies(ledger);
    ledger.take(&services, entries);
    for (before, after) in before.iter().zip(tallies(ledger)) {
        assert!(before.good <= after.good && before.bad() <= after.bad());
        assert!(after.good <= after.total);
    }
}

#[test]
fn any_answer_about_connections() {
    for source in ConnectionSource::ALL {
        fuzz(&[example_of_connections(source)], |answer| {
            let mut ledger = Ledger::default();
            let proper = example_of_connections(source).to_string();
            for body in [&proper, &answer.to_string(), &proper] {
                take_connections(source, &mut ledger, 200, body.as_bytes());
            }
        });
    }
}

#[test]
fn any_text_about_connections() {
    let mut dice = Dice::new(seed());
    for _ in 0..cases() {
        for source in ConnectionSource::ALL {
            let mut body = example_of_connections(source).to_string().into_bytes();
            for _ in 0..=dice.below(3) {
                mutate_bytes(&mut body, &mut dice);
            }
            take_connections(source, &mut Ledger::default(), 200, &body);
        }
    }
}

#[test]
fn any_text() {
    let mut dice = Dice::new(seed());
    let all = all();
    for _ in 0..cases() {
        let ((dialect, asked), example) = &all[dice.below(all.len())];
        let mut body = example.to_string().into_bytes();
        for _ in 0..=dice.below(3) {
            mutate_bytes(&mut body, &mut dice);
        }
        let status = if dice.below(4) == 0 { 503 } else { 200 };
        take(dialect, asked, &mut Ledger::default(), status, &body);
    }
}
