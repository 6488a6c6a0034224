//! Subscriptions, readings, and what each got of them.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use super::*;
use chrono::DateTime;
use sluice_crds::{ConnectionSource, OtlpNames, Source};

use crate::evidence::counters::{Counters, Row};
use crate::evidence::source::Counted;
use crate::evidence::{Server, Service, Workload};

const NOW: Time = DateTime::UNIX_EPOCH;

fn key(name: &str) -> Key {
    Key::new(name).within("shop")
}

fn subscription(candidate: &str, seconds: i64) -> Subscription {
    Subscription {
        server: Server::at("http://prometheus:9090"),
        interval: TimeDelta::seconds(seconds),
        source: Source::IstioWaypoint,
        names: OtlpNames::Underscores,
        namespace: "shop".to_owned(),
        stable: None,
        candidate: candidate.into(),
        slos: vec![],
        own: vec![],
        layer4: BTreeMap::new(),
        waypoints: BTreeSet::from([waypoint()]),
    }
}

fn waypoint() -> Workload {
    Workload {
        namespace: "shop".to_owned(),
        name: "waypoint".to_owned(),
    }
}

fn group(book: &Book) -> Group {
    book.groups().pop_first().unwrap()
}

fn callers(book: &Book) -> Group {
    let mut groups = book.groups();
    groups.retain(|group| group.source == "ztunnel");
    groups.pop_first().unwrap()
}

fn ztunnel() -> &'static Connections {
    Connections::of(ConnectionSource::Ztunnel)
}

fn services(round: &Round) -> BTreeSet<Service> {
    match &round.wanted {
        Wanted::Requests { asked, .. } => asked.services.clone(),
        Wanted::Connections { called, .. } => called.clone(),
    }
}

#[test]
fn a_sample_claims_no_more_than_the_last_scrape_covers() {
    let mut book = Book::default();
    assert!(book.subscribe(key("one"), Some(subscription("web-b", 15))));
    assert!(!book.subscribe(key("one"), Some(subscription("web-b", 15))));
    let round = book.begin(&group(&book)).unwrap();
    let changed = book.end(round, NOW, Ok(&Ledger::default()));
    assert_eq!(changed, [key("one")]);

    // Only the interval changes: the samples stay.
    assert!(book.subscribe(key("one"), Some(subscription("web-b", 30))));
    let evidence = book.evidence(&key("one"));
    assert_eq!(evidence.stale_after, TimeDelta::minutes(2));
    let times: Vec<_> = evidence.samples.iter().map(|s| s.at).collect();
    assert_eq!(times, [NOW - TimeDelta::seconds(15)]);
}

#[test]
fn callers_are_asked_for_once_whatever_the_source_of_requests() {
    let mut book = Book::default();
    book.subscribe(key("one"), Some(subscription("web-b", 15)));
    for (name, source) in [("two", Source::OtelHttp), ("three", Source::CiliumHubble)] {
        let subscription = Subscription {
            source,
            ..subscription(&format!("{name}-b"), 15)
        };
        book.subscribe(key(name), Some(subscription));
    }
    let sources: Vec<_> = book.groups().into_iter().map(|g| g.source).collect();
    assert_eq!(
        sources,
        ["cilium-hubble", "istio-waypoint", "otel-http", "ztunnel"]
    );
    // Cilium's mesh has no ztunnel.
    let round = book.begin(&callers(&book)).unwrap();
    let called: Vec<_> = services(&round).into_iter().map(|s| s.name).collect();
    assert_eq!(called, ["two-b", "web-b"]);
}

#[test]
fn a_reading_is_only_for_those_it_asked_for() {
    let mut book = Book::default();
    book.subscribe(key("one"), Some(subscription("web-b", 15)));
    book.subscribe(key("two"), Some(subscription("api-b", 15)));
    let group = group(&book);
    let round = book.begin(&group).unwrap();
    assert_eq!(services(&round).len(), 2);
    book.subscribe(key("one"), Some(subscription("web-c", 15)));
    book.subscribe(key("three"), Some(subscription("web-b", 5)));
    assert_eq!(book.pace(&group), Some((Duration::from_secs(5), true)));
    let changed = book.end(round, NOW, Ok(&Ledger::default()));
    assert_eq!(changed, [key("two")]);
    book.begin(&group).unwrap();
    assert_eq!(book.pace(&group), Some((Duration::from_secs(5), false)));
}

#[test]
fn only_new_connections_of_others_than_the_waypoint_count() {
    let mut book = Book::default();
    book.subscribe(key("one"), Some(subscription("web-b", 15)));
    let callers = callers(&book);
    let mut ledger = Ledger::default();
    let mut read = |second: i64, counts: [(&str, u64); 2]| {
        let row = |(name, opened): (&str, u64)| {
            let workload = Workload {
                name: name.to_owned(),
                ..waypoint()
            };
            let principal = String::new();
            Row {
                service: subscription("web-b", 15).service(&"web-b".into()),
                origin: vec!["ztunnel-1".to_owned()],
                labels: [("source_workload".to_owned(), name.to_owned())].into(),
                counters: Counters::Connections(
                    Counted::Begun,
                    Some(Caller {
                        workload,
                        principal,
                    }),
                    opened,
                ),
            }
        };
        let round = book.begin(&callers).unwrap();
        ledger.take(&services(&round), counts.map(row).to_vec());
        let at = NOW + TimeDelta::seconds(second);
        let news = book.note_connections(round, ztunnel(), at, Ok(&ledger));
        let callers = book.evidence(&key("one")).callers;
        let told = callers
            .into_iter()
            .map(|c| (c.name, (c.last_at - NOW).num_seconds()));
        (news.len(), told.collect::<Vec<_>>())
    };
    let batch = |second| vec![("workload shop/batch".to_owned(), second)];
    assert_eq!(
        read(1, [("waypoint", 5), ("batch", 3)]),
        (0, vec![]),
        "from before"
    );
    assert_eq!(read(2, [("waypoint", 9), ("batch", 3)]), (0, vec![]));
    assert_eq!(read(3, [("waypoint", 9), ("batch", 4)]), (1, batch(3)));
    assert_eq!(read(4, [("waypoint", 12), ("batch", 4)]), (0, batch(3)));
    assert_eq!(
        read(5, [("waypoint", 2), ("batch", 1)]),
        (1, batch(5)),
        "a restart"
    );
}

mod layer4;

#[test]
fn a_failed_reading_leaves_the_samples_and_says_why_once() {
    let mut book = Book::default();
    book.subscribe(key("one"), Some(subscription("web-b", 15)));
    let group = group(&book);
    let mut end = |reading: Result<&Ledger, &Problem>| {
        let round = book.begin(&group).unwrap();
        let changed = book.end(round, NOW, reading);
        let evidence = book.evidence(&key("one"));
        (changed.len(), evidence.samples.len(), evidence.problem)
    };
    let problem = Problem::Partial("a store is down".to_owned());
    let text = Some("the answer is incomplete: a store is down".to_owned());
    assert_eq!(end(Ok(&Ledger::default())), (1, 1, None));
    assert_eq!(end(Err(&problem)), (1, 1, text.clone()));
    assert_eq!(end(Err(&problem)), (0, 1, text));
    assert_eq!(end(Ok(&Ledger::default())), (1, 1, None));
}

/// Many rollouts that start at once are many readings in one interval: the others need not look at each.
#[test]
fn a_reading_between_two_scrapes_is_no_news_of_what_stays_the_same() {
    let mut book = Book::default();
    book.subscribe(key("one"), Some(subscription("web-b", 10)));
    let group = group(&book);
    let mut after = |seconds| {
        let round = book.begin(&group).unwrap();
        let at = NOW + TimeDelta::seconds(seconds);
        let changed = book.end(round, at, Ok(&Ledger::default())).len();
        (changed, book.evidence(&key("one")).samples.len())
    };
    assert_eq!(after(0), (1, 1));
    assert_eq!(after(1), (0, 1));
    assert_eq!(after(4), (0, 1));
    assert_eq!(after(5), (1, 2));
    assert_eq!(after(6), (0, 2));
}
