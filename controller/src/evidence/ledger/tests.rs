//! Readings, and the totals after them.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use super::*;
use crate::evidence::source::Outcome;
use sluice_core::Tally;

fn service(name: &str) -> Service {
    Service {
        namespace: "shop".to_owned(),
        name: name.to_owned(),
    }
}

fn row(waypoint: &str, code: &str, counters: Counters) -> Row {
    Row {
        service: service("web"),
        origin: vec![waypoint.to_owned()],
        labels: Labels::from([("response_code".to_owned(), code.to_owned())]),
        counters,
    }
}

fn ok(waypoint: &str, requests: u64) -> Row {
    row(waypoint, "200", Counters::Requests(Outcome::Good, requests))
}

fn failed(waypoint: &str, requests: u64) -> Row {
    row(waypoint, "500", Counters::Requests(Outcome::Bad, requests))
}

/// (good, bad) after each reading.
fn book(readings: impl IntoIterator<Item = Vec<Row>>) -> Vec<(u64, u64)> {
    let mut ledger = Ledger::default();
    let services = BTreeSet::from([service("web")]);
    let mut take = |rows| {
        ledger.take(&services, rows);
        let events = ledger.account(&service("web")).unwrap().events();
        (events.good, events.bad)
    };
    readings.into_iter().map(&mut take).collect()
}

#[test]
fn counting_starts_with_the_first_reading() {
    let totals = book([
        vec![ok("a", 1000), failed("a", 7)],
        vec![ok("a", 1010), failed("a", 7)],
    ]);
    assert_eq!(totals, [(0, 0), (10, 0)]);
}

#[test]
fn a_series_that_appears_later_counts_from_zero() {
    let totals = book([
        vec![ok("a", 5)],
        vec![ok("a", 6), failed("a", 50)],
        vec![ok("a", 6), failed("a", 51)],
    ]);
    assert_eq!(totals, [(0, 0), (1, 50), (1, 51)]);
}

#[test]
fn the_past_of_a_process_that_is_scraped_late_is_not_growth() {
    let totals = book([
        vec![],
        vec![ok("a", 1_000_000), failed("a", 700)],
        vec![ok("a", 1_000_010), failed("a", 700)],
        vec![ok("a", 1_000_020), failed("a", 701), ok("b", 500)],
        vec![ok("a", 1_000_020), failed("a", 701), ok("b", 503)],
    ]);
    assert_eq!(totals, [(0, 0), (0, 0), (10, 0), (20, 1), (23, 1)]);
}

#[test]
fn the_first_requests_of_a_service_count_if_its_process_was_scraped_before() {
    let (web, api) = (service("web"), service("api"));
    let of_api = |requests| Row {
        service: api.clone(),
        ..ok("a", requests)
    };
    let mut ledger = Ledger::default();
    let both = BTreeSet::from([web.clone(), api.clone()]);
    // Before anybody asked for web the process was seen as well, but web may have had requests then.
    ledger.take(&BTreeSet::from([api.clone()]), vec![of_api(8)]);
    ledger.take(&both, vec![]);
    ledger.take(&both, vec![ok("a", 70)]);
    assert_eq!(ledger.account(&web).unwrap().events().good, 0);
    ledger.take(&both, vec![of_api(9), ok("a", 70), failed("a", 3)]);
    let events = ledger.account(&web).unwrap().events();
    assert_eq!((events.good, events.bad), (0, 3));
}

#[test]
fn a_restart_counts_from_zero() {
    let totals = book([vec![ok("a", 1000)], vec![ok("a", 40)], vec![ok("a", 45)]]);
    assert_eq!(totals, [(0, 0), (40, 0), (45, 0)]);
}

#[test]
fn a_restart_concerns_every_counter_of_the_process() {
    let totals = book([
        vec![ok("a", 1000), failed("a", 3)],
        // Three new errors, which look like the three old ones.
        vec![ok("a", 40), failed("a", 3)],
        vec![ok("a", 41), failed("a", 3)],
    ]);
    assert_eq!(totals, [(0, 0), (40, 3), (41, 3)]);
}

#[test]
fn a_restart_shows_even_in_what_is_missing() {
    let totals = book([
        vec![ok("a", 1000), failed("a", 3)],
        vec![failed("a", 2)],
        vec![failed("a", 3), ok("a", 1)],
    ]);
    assert_eq!(totals, [(0, 0), (0, 2), (1, 3)]);
}

#[test]
fn an_older_reading_is_no_restart() {
    let totals = book([
        vec![ok("a", 1000), failed("a", 3)],
        vec![ok("a", 1040), failed("a", 4)],
        vec![ok("a", 1030), failed("a", 3)],
        vec![ok("a", 1060), failed("a", 4)],
    ]);
    assert_eq!(totals, [(0, 0), (40, 1), (40, 1), (60, 1)]);
}

#[test]
fn a_counter_that_returns_late_after_a_restart_is_no_second_restart() {
    let totals = book([
        vec![ok("a", 1000), failed("a", 3)],
        vec![ok("a", 40)],
        vec![ok("a", 50), failed("a", 2)],
    ]);
    assert_eq!(totals, [(0, 0), (40, 0), (50, 2)]);
}

#[test]
fn a_restart_of_one_replica_leaves_the_others() {
    let totals = book([
        vec![ok("a", 100), ok("b", 100)],
        vec![ok("a", 110), ok("b", 5)],
        vec![ok("a", 120), ok("b", 6), ok("c", 9)],
        vec![ok("a", 120), ok("b", 6), ok("c", 11)],
    ]);
    assert_eq!(totals, [(0, 0), (15, 0), (26, 0), (28, 0)]);
}

#[test]
fn a_series_that_comes_back_goes_on() {
    let totals = book([
        vec![ok("a", 100), ok("b", 10)],
        vec![ok("b", 12)],
        vec![],
        vec![ok("a", 130), ok("b", 13)],
    ]);
    assert_eq!(totals, [(0, 0), (2, 0), (2, 0), (33, 0)]);
}

#[test]
fn all_that_a_candidates_own_pods_did_counts_once_it_is_read() {
    let mut ledger = Ledger::default();
    let services = BTreeSet::from([service("web")]);
    let mut take = |rows| {
        let young = services.clone();
        let entries = Entries {
            rows,
            young,
            ..Entries::default()
        };
        ledger.take(&services, entries);
        let events = ledger.account(&service("web")).unwrap().events();
        (events.good, events.bad)
    };
    // We may have started in the middle of the rollout.
    assert_eq!(take(vec![ok("a", 100)]), (0, 0));
    assert_eq!(take(vec![ok("a", 101), failed("b", 7)]), (1, 7));
    // It crashes, and comes back under another name.
    assert_eq!(take(vec![ok("a", 102), failed("c", 5)]), (2, 12));
    assert_eq!(
        take(vec![ok("a", 102), failed("b", 7), failed("c", 5)]),
        (2, 12)
    );
}

#[test]
fn nonsense_about_one_service_is_no_nonsense_about_another() {
    let (web, api) = (service("web"), service("api"));
    let of_api = |requests| Row {
        service: api.clone(),
        ..ok("a", requests)
    };
    let both = BTreeSet::from([web.clone(), api.clone()]);
    let mut ledger = Ledger::default();
    ledger.take(&both, vec![ok("a", 1), of_api(1)]);
    let problem = Problem::Partial("nonsense".to_owned());
    let entries = Entries {
        rows: vec![of_api(5)],
        spoiled: BTreeMap::from([(web.clone(), problem.clone())]),
        ..Entries::default()
    };
    ledger.take(&both, entries);
    let account = |ledger: &Ledger, service| {
        let account = ledger.account(service).unwrap();
        (
            account.events().good,
            account.absent(),
            account.spoiled().cloned(),
        )
    };
    assert_eq!(account(&ledger, &web), (0, 0, Some(problem)));
    assert_eq!(account(&ledger, &api), (4, 0, None));
    ledger.take(&both, vec![ok("a", 9), of_api(5)]);
    assert_eq!(account(&ledger, &web), (8, 0, None));
}

#[test]
fn absence_is_counted_only_after_presence() {
    let mut ledger = Ledger::default();
    let services = BTreeSet::from([service("web")]);
    let mut seen = Vec::new();
    for rows in [vec![], vec![ok("a", 1)], vec![], vec![], vec![ok("a", 1)]] {
        ledger.take(&services, rows);
        let account = ledger.account(&service("web")).unwrap();
        seen.push((account.present(), account.absent()));
    }
    assert_eq!(seen, [(0, 0), (1, 0), (1, 1), (1, 2), (2, 0)]);
}

#[test]
fn a_service_that_is_asked_for_again_starts_anew() {
    let mut ledger = Ledger::default();
    let services = BTreeSet::from([service("web")]);
    ledger.take(&services, vec![]);
    ledger.take(&services, vec![ok("a", 100)]);
    ledger.take(&BTreeSet::new(), vec![ok("a", 110)]);
    assert!(ledger.account(&service("web")).is_none());
    ledger.take(&services, vec![ok("a", 120)]);
    let account = ledger.account(&service("web")).unwrap();
    assert_eq!(account.events().good, 0);
}

#[test]
fn thresholds_start_when_they_are_first_read() {
    let mut ledger = Ledger::default();
    let services = BTreeSet::from([service("web")]);
    let timed = |all, within: &[(u64, u64)]| {
        let within = within.iter().copied().collect();
        vec![row("a", "200", Counters::Durations(all, within))]
    };
    ledger.take(&services, timed(100, &[(250, 90)]));
    ledger.take(&services, timed(200, &[(250, 180), (500, 199)]));
    ledger.take(&services, timed(210, &[(250, 188), (500, 208)]));
    let within = &ledger.account(&service("web")).unwrap().events().within;
    let tally = |good, total| Tally { good, total };
    assert_eq!(within.get(&250), Some(&tally(98, 110)));
    assert_eq!(within.get(&500), Some(&tally(9, 10)));
}
