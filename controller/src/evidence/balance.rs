//! The counts of one rollout, from the ledger.

use sluice_core::{Counts, Indicator, RevisionName, Slo, Tally};

use super::ledger::{Account, Ledger};
use super::problem::Problem;
use super::source::{CountedBy, Dialect, Family};
use super::{Service, Subscription};

/// Readings for which something may be missing before we draw a conclusion. A proxy publishes
/// histograms later than counters, and a scrape may fail.
pub(super) const PATIENCE: u32 = 4;

/// The counts of one rollout.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Balance {
    pub(super) stable: Counts,
    pub(super) candidate: Counts,
    /// What is missing from them.
    pub(super) problem: Option<Problem>,
}

/// Whether what was read of some Services can be counted with.
///
/// A Service without any series had no request yet. One whose series vanished is not counted for the
/// present: what happens to it goes unseen. If only one of the two stays away, the proxy is
/// scraped, has restarted, and had no request for it since. Of pods that count themselves, and are not outlived
/// by who counts, nothing is known then.
pub(super) fn present(
    accounts: &[(&Account, Service)],
    outlived: bool,
    hint: &'static str,
) -> Result<(), Problem> {
    let spoiled = accounts.iter().find_map(|(account, _)| account.spoiled());
    if let Some(problem) = spoiled {
        return Err(problem.clone());
    }
    let any_left = accounts
        .iter()
        .any(|(account, _)| account.present() > 0 && account.absent() == 0);
    let gone = accounts.iter().find(|(account, _)| {
        let brief = account.absent() <= PATIENCE;
        account.absent() > 0 && (brief || !any_left || !outlived)
    });
    match gone {
        Some((_, service)) => Err(Problem::Gone {
            service: service.clone(),
            hint,
        }),
        None => Ok(()),
    }
}

/// Counts for a rollout.
pub(super) fn balance(ledger: &Ledger, subscription: &Subscription) -> Result<Balance, Problem> {
    let services = subscription.services();
    let accounts: Vec<_> = services
        .filter_map(|service| Some((ledger.account(&service)?, service)))
        .collect();
    let dialect = Dialect::of(subscription.source);
    let outlived = dialect.counted_by == CountedBy::Proxies;
    present(&accounts, outlived, dialect.hint())?;
    // Each has a tally for every SLO, also a stable revision that there is not: others are put into it.
    let counts = |revision: Option<&RevisionName>| {
        let account = revision.and_then(|name| ledger.account(&subscription.service(name)));
        counts(account, &subscription.slos)
    };
    let problem = accounts.iter().find_map(|(account, service)| {
        let missing = |ms: &u64| !account.events().within.contains_key(ms);
        let threshold_ms = subscription.thresholds().find(missing)?;
        (account.present() > PATIENCE).then(|| Problem::NoBucket {
            metric: dialect
                .families
                .first()
                .map(Family::histogram)
                .unwrap_or_default(),
            service: service.clone(),
            threshold_ms,
        })
    });
    Ok(Balance {
        stable: counts(subscription.stable.as_ref()),
        candidate: counts(Some(&subscription.candidate)),
        problem,
    })
}

/// The counts of one revision, by the SLOs in their order.
pub(super) fn counts(account: Option<&Account>, slos: &[Slo]) -> Counts {
    let events = account.map(Account::events).cloned().unwrap_or_default();
    let answered = events.good.saturating_add(events.bad);
    let tallies = slos.iter().map(|slo| match slo.indicator {
        Indicator::Availability => Tally {
            good: events.good,
            total: answered,
        },
        Indicator::Latency { threshold_ms } => {
            let tally = events.within.get(&threshold_ms);
            tally.copied().unwrap_or_default()
        }
        // Counted by queries, or by a source, of their own.
        Indicator::Events | Indicator::Value | Indicator::Connections | Indicator::Flows => {
            Tally::default()
        }
    });
    let others = events.unanswered.saturating_add(events.unreached);
    Counts {
        requests: answered.saturating_add(others),
        unanswered: events.unanswered,
        slos: tallies.collect(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::evidence::Server;
    use crate::evidence::counters::{Counters, Row};
    use crate::evidence::source::{Labels, Outcome};
    use chrono::TimeDelta;
    use sluice_crds::{OtlpNames, Source};

    fn subscription() -> Subscription {
        let slo = |name: &str, indicator| Slo {
            name: name.to_owned(),
            objective_ppm: None,
            indicator,
        };
        Subscription {
            server: Server::at("http://prometheus:9090"),
            interval: TimeDelta::seconds(15),
            source: Source::IstioWaypoint,
            names: OtlpNames::Underscores,
            namespace: "shop".to_owned(),
            stable: Some("web-a".into()),
            candidate: "web-b".into(),
            slos: vec![
                slo("availability", Indicator::Availability),
                slo("latency", Indicator::Latency { threshold_ms: 250 }),
            ],
            own: vec![],
            layer4: BTreeMap::new(),
            waypoints: BTreeSet::new(),
        }
    }

    fn row(revision: &str, kind: &str, counters: Counters) -> Row {
        Row {
            service: subscription().service(&revision.into()),
            origin: vec![],
            labels: Labels::from([("kind".to_owned(), kind.to_owned())]),
            counters,
        }
    }

    fn ok(revision: &str, requests: u64) -> Row {
        row(revision, "ok", Counters::Requests(Outcome::Good, requests))
    }

    fn after(readings: impl IntoIterator<Item = Vec<Row>>) -> Result<Balance, Problem> {
        after_of(&subscription(), readings)
    }

    fn after_of(
        subscription: &Subscription,
        readings: impl IntoIterator<Item = Vec<Row>>,
    ) -> Result<Balance, Problem> {
        let mut ledger = Ledger::default();
        let services = subscription.services().collect();
        for rows in readings {
            ledger.take(&services, rows);
        }
        balance(&ledger, subscription)
    }

    fn gone(revision: &str) -> Problem {
        Problem::Gone {
            service: subscription().service(&revision.into()),
            hint: "is its proxy still scraped?",
        }
    }

    #[test]
    fn slos_are_counted_in_their_order() {
        let bad = Counters::Requests(Outcome::Bad, 2);
        let lost = Counters::Requests(Outcome::Unanswered, 3);
        let unreached = Counters::Requests(Outcome::Unreached, 4);
        let timed = Counters::Durations(13, [(250, 11)].into());
        let rows = vec![
            ok("web-b", 8),
            row("web-b", "bad", bad),
            row("web-b", "lost", lost),
            row("web-b", "unreached", unreached),
            row("web-b", "timed", timed),
        ];
        let before = vec![ok("web-a", 5)];
        let rows = rows.into_iter().chain([ok("web-a", 5)]).collect();
        let balance = after([before, rows]).unwrap();
        let tally = |good, total| Tally { good, total };
        assert_eq!(balance.candidate.requests, 17);
        assert_eq!(balance.candidate.unanswered, 3);
        assert_eq!(balance.candidate.slos, [tally(8, 10), tally(11, 13)]);
        assert_eq!(balance.stable.slos, [Tally::default(), Tally::default()]);
        assert_eq!(balance.problem, None);
    }

    #[test]
    fn no_series_yet_is_no_request_yet() {
        let balance = after([vec![], vec![]]).unwrap();
        assert_eq!(
            (balance.stable.requests, balance.candidate.requests),
            (0, 0)
        );
    }

    #[test]
    fn vanished_series_are_no_data() {
        let both = || vec![ok("web-a", 10), ok("web-b", 1)];
        assert_eq!(after([both(), vec![]]), Err(gone("web-a")));
        assert_eq!(after([both(), vec![ok("web-a", 11)]]), Err(gone("web-b")));
        assert!(after([both(), vec![], both()]).is_ok());
        // Long gone together: still nothing is scraped.
        let long = (0..20).map(|_| vec![]);
        assert_eq!(after([both()].into_iter().chain(long)), Err(gone("web-a")));
    }

    #[test]
    fn a_revision_without_requests_since_the_waypoint_restarted_is_counted_again() {
        let both = vec![ok("web-a", 10), ok("web-b", 1)];
        let only_stable = (0..=PATIENCE).map(|_| vec![ok("web-a", 2)]);
        let balance = after([both].into_iter().chain(only_stable)).unwrap();
        assert_eq!(
            (balance.stable.requests, balance.candidate.requests),
            (2, 0)
        );
    }

    #[test]
    fn pods_that_count_themselves_and_stay_silent_are_no_data() {
        let otel = Subscription {
            source: Source::OtelHttp,
            ..subscription()
        };
        let both = vec![ok("web-a", 10), ok("web-b", 1)];
        let only_stable = (0..20).map(|_| vec![ok("web-a", 11)]);
        let balance = after_of(&otel, [both].into_iter().chain(only_stable));
        assert_eq!(
            balance.unwrap_err().to_string(),
            "the metrics of shop/web-b are gone: do its pods still have them?"
        );
    }

    #[test]
    fn a_missing_bucket_is_told_and_makes_nothing_slow() {
        let timed = |requests| {
            let timed = Counters::Durations(requests, [].into());
            vec![ok("web-b", requests), row("web-b", "timed", timed)]
        };
        assert_eq!(after([timed(1), timed(2)]).unwrap().problem, None);
        let balance = after((0..=PATIENCE).map(|n| timed(n.into()))).unwrap();
        assert_eq!(
            balance.problem.unwrap().to_string(),
            "istio_request_duration_milliseconds of shop/web-b has no bucket with le=\"250\""
        );
        let tallies = balance.candidate.slos;
        let total = u64::from(PATIENCE);
        assert_eq!(tallies, [Tally { good: total, total }, Tally::default()]);
    }
}
