#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use chrono::DateTime;

use super::*;
use crate::evidence::book::{Book, Round, Wanted};
use crate::evidence::counters::{Counters, Row};
use crate::evidence::problem::Problem;
use crate::evidence::source::Outcome;
use crate::evidence::{Key, Subscription, is_counted_by_route};

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

fn group() -> Group {
    drains(&[]).group()
}

fn asked(round: &Round) -> BTreeSet<Service> {
    match &round.wanted {
        Wanted::Requests { asked, .. } => asked.services.clone(),
        Wanted::Connections { .. } => panic!("{round:?} asks for no requests"),
    }
}

fn row(origin: &str, revision: &str, requests: u64) -> Row {
    Row {
        service: drains(&[]).service(&revision.into()),
        origin: vec![origin.to_owned()],
        labels: [("revision".to_owned(), revision.to_owned())].into(),
        counters: Counters::Requests(Outcome::Good, requests),
    }
}

/// Reads the counters of `web-a` and `web-b`; returns how many Canaries have news.
fn read(book: &mut Book, ledger: &mut Ledger, second: i64, requests: [u64; 2]) -> usize {
    let round = book.begin(&group()).unwrap();
    let asked = asked(&round);
    let rows = ["web-a", "web-b"].into_iter().zip(requests);
    let rows = rows.map(|(revision, requests)| row("waypoint", revision, requests));
    let rows = rows.filter(|row| asked.contains(&row.service));
    ledger.take(&asked, rows.collect::<Vec<_>>());
    book.end(round, at(second), Ok(ledger)).len()
}

fn span(from: i64, to: i64) -> Span {
    Span {
        from: at(from),
        to: at(to),
    }
}

fn sight(book: &Book, revision: &str) -> Option<Sight> {
    book.leaving(&key())?.sights.get(&revision.into()).copied()
}

#[test]
fn what_was_asked_between_two_readings_is_told_and_what_was_not() {
    let (mut book, mut ledger) = (Book::default(), Ledger::default());
    assert!(book.watch(key(), Some(drains(&["web-a"])), at(0)));
    assert!(!book.watch(key(), Some(drains(&["web-a"])), at(1)));
    assert_eq!(read(&mut book, &mut ledger, 0, [7, 3]), 0, "from before");
    assert_eq!(sight(&book, "web-a"), None);
    assert_eq!(read(&mut book, &mut ledger, 15, [7, 3]), 1);
    let quiet = Sight {
        read: span(-15, 15),
        asked: None,
    };
    assert_eq!(sight(&book, "web-a"), Some(quiet));
    assert_eq!(read(&mut book, &mut ledger, 30, [8, 3]), 1);
    // The reading at 15 is complete up to 0 alone.
    let asked = Some(span(0, 30));
    let read_at_30 = Sight {
        read: span(0, 30),
        asked,
    };
    assert_eq!(sight(&book, "web-a"), Some(read_at_30));
    assert_eq!(read(&mut book, &mut ledger, 45, [8, 3]), 1);
    let read_at_45 = Sight {
        read: span(15, 45),
        asked,
    };
    assert_eq!(sight(&book, "web-a"), Some(read_at_45));

    // Another one leaves as well, and then the first one is gone.
    assert!(book.watch(key(), Some(drains(&["web-a", "web-b"])), at(50)));
    read(&mut book, &mut ledger, 60, [8, 9]);
    assert_eq!(sight(&book, "web-a").unwrap().asked, asked);
    assert_eq!(sight(&book, "web-b"), None);
    assert!(book.watch(key(), Some(drains(&["web-b"])), at(65)));
    read(&mut book, &mut ledger, 75, [9, 10]);
    assert_eq!(sight(&book, "web-a"), None);
    assert_eq!(sight(&book, "web-b").unwrap().asked, Some(span(45, 75)));
    let leaving = book.leaving(&key()).unwrap();
    assert_eq!(leaving.since, at(0));
    assert_eq!(leaving.patience, TimeDelta::minutes(1));
}

#[test]
fn what_cannot_be_read_is_not_taken_for_quiet() {
    let (mut book, mut ledger) = (Book::default(), Ledger::default());
    book.watch(key(), Some(drains(&["web-a"])), at(0));
    read(&mut book, &mut ledger, 0, [7, 0]);
    read(&mut book, &mut ledger, 15, [7, 0]);
    let before = sight(&book, "web-a");
    let failed = Problem::Partial("a store is down".to_owned());
    let round = book.begin(&group()).unwrap();
    assert!(book.end(round, at(30), Err(&failed)).is_empty());
    // The waypoint was not scraped.
    let round = book.begin(&group()).unwrap();
    ledger.take(&asked(&round), Vec::new());
    assert!(book.end(round, at(45), Ok(&ledger)).is_empty());
    assert_eq!(sight(&book, "web-a"), before);
    read(&mut book, &mut ledger, 60, [9, 0]);
    let since_then = Sight {
        read: span(0, 60),
        asked: Some(span(0, 60)),
    };
    assert_eq!(sight(&book, "web-a"), Some(since_then));

    // One of two is not scraped; the other goes on.
    let round = book.begin(&group()).unwrap();
    let both = ["waypoint", "waypoint-2"].map(|origin| row(origin, "web-a", 9));
    ledger.take(&asked(&round), both.to_vec());
    assert_eq!(book.end(round, at(75), Ok(&ledger)).len(), 1);
    let before = sight(&book, "web-a");
    assert_eq!(read(&mut book, &mut ledger, 90, [9, 0]), 0);
    assert_eq!(sight(&book, "web-a"), before);
}

#[test]
fn without_any_series_nobody_knows_whether_anything_is_scraped() {
    let (mut book, mut ledger) = (Book::default(), Ledger::default());
    book.watch(key(), Some(drains(&["web-c"])), at(0));
    for second in [0, 15, 30] {
        assert_eq!(read(&mut book, &mut ledger, second, [7, 0]), 0);
    }
    assert_eq!(sight(&book, "web-c"), None);
}

#[test]
fn nothing_is_read_where_nothing_drains() {
    let mut book = Book::default();
    assert!(book.watch(key(), Some(drains(&[])), at(0)));
    assert!(book.groups().is_empty());
    assert!(book.leaving(&key()).unwrap().sights.is_empty());
    // Another server has other counters.
    let elsewhere = Drains {
        server: Server::at("http://other:9090"),
        ..drains(&[])
    };
    assert!(book.watch(key(), Some(elsewhere), at(9)));
    assert_eq!(book.leaving(&key()).unwrap().since, at(9));
    assert!(book.watch(key(), None, at(9)));
    assert_eq!(book.leaving(&key()), None);
}

#[test]
fn one_query_serves_rollouts_and_drains_of_the_same_source() {
    let mut book = Book::default();
    book.watch(key(), Some(drains(&["web-a"])), at(0));
    let quicker = Drains {
        interval: TimeDelta::seconds(5),
        ..drains(&["api-a"])
    };
    book.watch(Key::new("api").within("shop"), Some(quicker), at(0));
    let rollout = Subscription {
        server: Server::at("http://prometheus:9090"),
        interval: TimeDelta::seconds(15),
        source: Source::IstioWaypoint,
        names: OtlpNames::Underscores,
        namespace: "shop".to_owned(),
        stable: Some("web-b".into()),
        candidate: "web-c".into(),
        slos: vec![],
        own: vec![],
        layer4: BTreeMap::new(),
        waypoints: BTreeSet::new(),
    };
    book.subscribe(key(), Some(rollout));
    assert_eq!(book.groups(), [group()].into());
    assert_eq!(book.pace(&group()).unwrap().0.as_secs(), 5);
    let round = book.begin(&group()).unwrap();
    let names: Vec<_> = asked(&round).into_iter().map(|s| s.name).collect();
    assert_eq!(names, ["api-a", "web-a", "web-b", "web-c"]);
}

#[test]
fn only_who_follows_the_route_tells_whether_it_asks() {
    let by_route = |source: &Source| is_counted_by_route(*source);
    let all = [
        Source::IstioWaypoint,
        Source::IstioSidecar,
        Source::CiliumHubble,
        Source::OtelHttp,
        Source::OtelRpc,
    ];
    let told: Vec<_> = all.iter().filter(|source| by_route(source)).collect();
    assert_eq!(told, [&Source::IstioWaypoint]);
}
