#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use chrono::DateTime;

use super::*;
use crate::evidence::Key;
use crate::evidence::book::{Book, Wanted};
use crate::evidence::counters::{Counters, Row};
use crate::evidence::source::Outcome;

const NOW: Time = DateTime::UNIX_EPOCH;

fn at(second: i64) -> Time {
    NOW + TimeDelta::seconds(second)
}

fn key() -> Key {
    Key::new("web").within("shop")
}

fn drains(revisions: &[&str]) -> Drains {
    Drains {
        server: Server::at("http://prometheus:9090"),
        interval: TimeDelta::seconds(15),
        source: Source::IstioWaypoint,
        names: OtlpNames::Underscores,
        namespace: "shop".to_owned(),
        revisions: revisions.iter().copied().map(Into::into).collect(),
    }
}

/// Reads the counters of `web-a` and `web-b`; returns how many Canaries have news.
fn read(book: &mut Book, ledger: &mut Ledger, second: i64, requests: [u64; 2]) -> usize {
    let round = book.begin(&drains(&[]).group()).unwrap();
    let Wanted::Requests { asked, .. } = &round.wanted else {
        panic!("{round:?} asks for no requests");
    };
    let rows = ["web-a", "web-b"].into_iter().zip(requests);
    let rows = rows.map(|(revision, requests)| Row {
        service: drains(&[]).service(&revision.into()),
        origin: vec!["waypoint".to_owned()],
        labels: [("revision".to_owned(), revision.to_owned())].into(),
        counters: Counters::Requests(Outcome::Good, requests),
    });
    let rows = rows.filter(|row| asked.services.contains(&row.service));
    ledger.take(&asked.services, rows.collect::<Vec<_>>());
    book.end(round, at(second), Ok(ledger)).len()
}

#[test]
fn only_what_is_asked_between_two_readings_straggles() {
    let (mut book, mut ledger) = (Book::default(), Ledger::default());
    assert!(book.watch(key(), Some(drains(&["web-a"]))));
    assert!(!book.watch(key(), Some(drains(&["web-a"]))));
    assert_eq!(read(&mut book, &mut ledger, 0, [7, 3]), 0, "from before");
    assert_eq!(read(&mut book, &mut ledger, 15, [7, 3]), 0);
    assert!(book.stragglers(&key()).is_empty());
    assert_eq!(read(&mut book, &mut ledger, 30, [8, 3]), 1);
    let span = Span {
        from: at(0),
        to: at(30),
    };
    let stragglers = || BTreeMap::from([("web-a".into(), span)]);
    assert_eq!(
        book.stragglers(&key()),
        stragglers(),
        "the reading at 15 is complete up to 0 alone"
    );
    assert_eq!(read(&mut book, &mut ledger, 45, [8, 3]), 0);
    assert_eq!(book.stragglers(&key()), stragglers());

    // Another one leaves as well, and then the first one is gone.
    assert!(book.watch(key(), Some(drains(&["web-a", "web-b"]))));
    assert_eq!(read(&mut book, &mut ledger, 60, [8, 9]), 0);
    assert_eq!(book.stragglers(&key()), stragglers());
    assert!(book.watch(key(), Some(drains(&["web-b"]))));
    assert_eq!(read(&mut book, &mut ledger, 75, [9, 10]), 1);
    let span = Span {
        from: at(45),
        to: at(75),
    };
    assert_eq!(
        book.stragglers(&key()),
        BTreeMap::from([("web-b".into(), span)])
    );
    assert!(book.watch(key(), None));
    assert!(book.groups().is_empty() && book.stragglers(&key()).is_empty());
}

#[test]
fn one_query_serves_rollouts_and_drains_of_the_same_source() {
    let mut book = Book::default();
    book.watch(key(), Some(drains(&["web-a"])));
    let other = Drains {
        interval: TimeDelta::seconds(5),
        ..drains(&["web-b"])
    };
    book.watch(Key::new("other").within("shop"), Some(other));
    assert_eq!(book.groups().len(), 1);
    let (pace, waits) = book.pace(&drains(&[]).group()).unwrap();
    assert_eq!((pace.as_secs(), waits), (5, false));
}
