//! Verdicts on connections and flows: few where they last, and read on a beat of their own.

use super::*;

/// 50 requests of each revision in a scrape, and these (connections, failed) of the candidate and the stable one.
fn connected(scrapes: &[Scrape]) -> Evidence {
    let mut evidence = history(scrapes.iter().copied());
    for (sample, n) in evidence.samples.iter_mut().zip(0..) {
        sample.candidate.requests = 50 * n;
        sample.stable.requests = 50 * n;
    }
    evidence
}

fn verdict(objective_ppm: Option<u32>, evidence: &Evidence) -> Verdict {
    let mut plan = plan(objective_ppm);
    for slo in &mut plan.slos {
        slo.indicator = Indicator::Connections;
    }
    let since = Since {
        first_weight: at(0),
        proven: Some(at(0)),
        passed: false,
    };
    let now = evidence.samples.last().map_or(at(0), |last| last.at);
    let mut findings = judge(&plan, evidence, since, None, now).into_iter();
    findings.next().unwrap().verdict
}

fn why(verdict: Verdict) -> String {
    match verdict {
        Verdict::Inconclusive(why) => why.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn one_connection_that_lasts_carries_enough_requests() {
    let mut scrapes = [((0, 0), (0, 0)); 16];
    for objective in [Some(999_000), None] {
        scrapes[0] = ((1, 0), (0, 0));
        assert_eq!(verdict(objective, &connected(&scrapes)), Verdict::Pass);
        let mut slow = connected(&scrapes[..7]);
        for sample in &mut slow.samples {
            sample.candidate.requests /= 2;
        }
        let few = why(verdict(objective, &slow));
        assert!(few.contains("requests that minRequests asks"), "{few}");
        scrapes[0] = ((0, 0), (5, 0));
        let none = why(verdict(objective, &connected(&scrapes)));
        assert_eq!(
            none,
            "availability: the candidate got 800 requests, and its source counts no connections: is it scraped?"
        );
    }
}

#[test]
fn connections_that_fail_fail_where_the_stable_revisions_do_not() {
    let bad = connected(&[((20, 10), (40, 0)); 4]);
    for objective in [Some(990_000), None] {
        let Verdict::Fail(text) = verdict(objective, &bad) else {
            panic!("not failed");
        };
        assert!(
            text.starts_with("40 of 80 connections were good (50.000%)"),
            "{text}"
        );
    }
    let everywhere = why(verdict(
        Some(990_000),
        &connected(&[((20, 10), (40, 20)); 12]),
    ));
    assert!(
        everywhere.contains("the stable revision misses"),
        "{everywhere}"
    );
}

#[test]
fn a_failure_that_nothing_can_be_compared_with_is_a_doubt() {
    let mut scrapes = [((0, 0), (0, 0)); 12];
    scrapes[1] = ((4, 2), (3, 0));
    let alone = why(verdict(None, &connected(&scrapes)));
    assert!(alone.contains("too little traffic to compare"), "{alone}");
    let missed = why(verdict(Some(999_000), &connected(&scrapes)));
    assert_eq!(
        missed,
        "availability: 2 of 4 connections were bad, which chance may explain"
    );
}

#[test]
fn a_stable_revision_whose_connections_last_is_no_proof_against_the_candidate() {
    let alone = [((20, 10), (0, 0)); 12];
    let held = why(verdict(Some(990_000), &connected(&alone)));
    assert!(held.contains("which chance may explain"), "{held}");
    // All traffic is the candidate's: the objective alone decides.
    let mut evidence = connected(&alone);
    for sample in &mut evidence.samples {
        sample.stable.requests = 0;
    }
    let failed = verdict(Some(990_000), &evidence);
    assert!(matches!(failed, Verdict::Fail(_)), "{failed:?}");
}

/// Were the source of connections gone, it would be known only then.
#[test]
fn until_a_source_that_is_gone_is_missed_nothing_passes_by_it() {
    let scrapes = [((1, 0), (0, 0)); 16];
    let evidence = connected(&scrapes[..4]);
    assert_eq!(evidence.stale_after, TimeDelta::seconds(60));
    let early = why(verdict(Some(999_000), &evidence));
    assert!(early.contains("no request since its weight"), "{early}");
    assert_eq!(verdict(Some(999_000), &connected(&scrapes)), Verdict::Pass);
    let endless = Evidence {
        stale_after: TimeDelta::MAX,
        ..connected(&scrapes)
    };
    assert_eq!(
        why(verdict(Some(999_000), &endless)),
        Why::Unproven.to_string()
    );
}
