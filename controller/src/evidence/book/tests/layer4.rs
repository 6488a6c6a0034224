//! Connections and flows beside requests: who reads them, and whose they become.

use super::*;
use crate::evidence::source::Labels;
use sluice_core::{Indicator, Slo, Tally};

/// With an SLO of this source beside one of availability.
fn judged(candidate: &str, source: ConnectionSource) -> Subscription {
    let slo = |name: &str, indicator| Slo {
        name: name.to_owned(),
        objective_ppm: None,
        indicator,
    };
    Subscription {
        stable: Some("web-a".into()),
        slos: vec![
            slo("availability", Indicator::Availability),
            slo("network", crate::evidence::counted_by(source)),
        ],
        layer4: BTreeMap::from([("network".to_owned(), source)]),
        ..subscription(candidate, 15)
    }
}

fn row(revision: &str, counted: Counted, events: u64) -> Row {
    Row {
        service: subscription("web-b", 15).service(&revision.into()),
        origin: vec!["node-1".to_owned()],
        labels: Labels::from([("counted".to_owned(), format!("{counted:?}"))]),
        counters: Counters::Connections(counted, None, events),
    }
}

fn at(second: i64) -> Time {
    NOW + TimeDelta::seconds(second)
}

/// Reads the source of connections, then that of requests.
struct Reading {
    book: Book,
    ledger: Ledger,
}

impl Reading {
    fn of(subscription: Subscription) -> Self {
        let mut book = Book::default();
        book.subscribe(key("one"), Some(subscription));
        let ledger = Ledger::default();
        Self { book, ledger }
    }

    fn connections(&mut self, second: i64, rows: Result<Vec<Row>, &Problem>) -> usize {
        let round = self.book.begin(&callers(&self.book)).unwrap();
        let services = services(&round);
        let reading = rows.map(|rows| {
            self.ledger.take(&services, rows);
            &self.ledger
        });
        self.book
            .note_connections(round, ztunnel(), at(second), reading)
            .len()
    }

    /// Of the stable revision and of the candidate, as (good, total), and why they are not counted.
    fn sample(&mut self, second: i64) -> ([(u64, u64); 2], Option<String>) {
        let mut groups = self.book.groups();
        groups.retain(|group| group.source == "istio-waypoint");
        let round = self.book.begin(&groups.pop_first().unwrap()).unwrap();
        self.book.end(round, at(second), Ok(&Ledger::default()));
        let evidence = self.book.evidence(&key("one"));
        assert_eq!(evidence.problem, None);
        let last = evidence.samples.last().unwrap();
        let tally = |Tally { good, total }| (good, total);
        let tallies = [&last.stable, &last.candidate].map(|counts| tally(counts.slo(1)));
        (tallies, evidence.gaps.get("network").cloned())
    }
}

fn opened(stable: u64, candidate: u64, failed: u64) -> Vec<Row> {
    vec![
        row("web-a", Counted::Begun, stable),
        row("web-b", Counted::Begun, candidate),
        row("web-b", Counted::Bad, failed),
    ]
}

#[test]
fn one_query_a_source_serves_gates_and_callers() {
    let mut book = Book::default();
    book.subscribe(key("one"), Some(subscription("api-b", 15)));
    let group = callers(&book);
    let round = book.begin(&group).unwrap();
    assert!(matches!(
        round.wanted,
        Wanted::Connections { judged: false, .. }
    ));
    for (name, source) in [
        ("two", ConnectionSource::Ztunnel),
        ("three", ConnectionSource::CiliumDrops),
    ] {
        book.subscribe(key(name), Some(judged("web-b", source)));
    }
    let sources: Vec<_> = book.groups().into_iter().map(|g| g.source).collect();
    assert_eq!(sources, ["cilium-drops", "istio-waypoint", "ztunnel"]);
    let round = book.begin(&group).unwrap();
    let Wanted::Connections {
        called,
        judged,
        young,
        ..
    } = round.wanted
    else {
        panic!("not connections");
    };
    let names: Vec<_> = called.iter().map(|s| s.name.as_str()).collect();
    assert_eq!((names, judged), (vec!["api-b", "web-a", "web-b"], true));
    let young: Vec<_> = young.iter().map(|s| s.name.as_str()).collect();
    assert_eq!(young, ["web-b"]);
}

#[test]
fn a_sample_takes_what_was_read_last() {
    let mut reading = Reading::of(judged("web-b", ConnectionSource::Ztunnel));
    assert_eq!(reading.sample(0), ([(0, 0); 2], None), "not read yet");
    reading.connections(1, Ok(opened(100, 0, 0)));
    assert_eq!(reading.sample(2), ([(0, 0); 2], None), "the past");
    reading.connections(16, Ok(opened(120, 10, 4)));
    assert_eq!(reading.sample(17), ([(20, 20), (6, 10)], None));
    assert_eq!(reading.sample(32), ([(20, 20), (6, 10)], None));
}

#[test]
fn what_an_older_account_holds_is_not_of_this_rollout() {
    let mut reading = Reading::of(subscription("web-b", 15));
    reading.connections(1, Ok(opened(0, 10, 0)));
    reading.connections(2, Ok(opened(0, 30, 20)));
    let judged = judged("web-b", ConnectionSource::Ztunnel);
    reading.book.subscribe(key("one"), Some(judged));
    reading.connections(16, Ok(opened(0, 40, 25)));
    assert_eq!(reading.sample(17).0, [(0, 0); 2]);
    reading.connections(31, Ok(opened(0, 50, 26)));
    assert_eq!(reading.sample(32).0, [(0, 0), (9, 10)]);
}

#[test]
fn a_source_that_fails_keeps_only_its_own_slo_from_being_counted() {
    let mut reading = Reading::of(judged("web-b", ConnectionSource::Ztunnel));
    reading.connections(1, Ok(opened(0, 0, 0)));
    reading.connections(16, Ok(opened(5, 5, 5)));
    let problem = Problem::Partial("a store is down".to_owned());
    assert_eq!(reading.connections(31, Err(&problem)), 1);
    assert_eq!(reading.connections(46, Err(&problem)), 0, "known");
    let gap = "ztunnel: the answer is incomplete: a store is down";
    let counted = [(5, 5), (0, 5)];
    assert_eq!(reading.sample(47), (counted, Some(gap.to_owned())));
    assert_eq!(reading.connections(61, Ok(vec![])), 1);
    let gap = "ztunnel: the metrics of shop/web-a are gone: is ztunnel still scraped?";
    assert_eq!(reading.sample(62), (counted, Some(gap.to_owned())));
    assert_eq!(reading.connections(76, Ok(opened(6, 6, 5))), 1);
    assert_eq!(reading.sample(77), ([(6, 6), (1, 6)], None));
    let gap = "ztunnel: there is no answer yet";
    assert_eq!(reading.sample(137).1, Some(gap.to_owned()), "it hangs");
}

#[test]
fn nonsense_about_one_revision_is_told() {
    let mut ledger = Ledger::default();
    let subscription = judged("web-b", ConnectionSource::Ztunnel);
    let mut layer4 = Layer4::default();
    let services = subscription.services().collect();
    let mut entries = crate::evidence::ledger::Entries::default();
    let service = subscription.service(&subscription.candidate);
    let problem = Problem::NoCount {
        metric: "istio_tcp_connections_opened_total".to_owned(),
        service: service.clone(),
        value: "NaN".to_owned(),
    };
    entries.spoiled.insert(service, problem);
    ledger.take(&services, entries);
    layer4.take(ztunnel(), &subscription, Ok(&ledger), NOW);
    let wanted = "ztunnel: istio_tcp_connections_opened_total of shop/web-b is NaN, which is no count of events";
    let gaps = layer4.gaps(&subscription);
    assert_eq!(gaps.get("network").map(String::as_str), Some(wanted));
}
