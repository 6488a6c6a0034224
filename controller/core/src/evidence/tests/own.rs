//! Verdicts on queries of the user's own: gaps, and values in a range.

use super::*;

/// The verdict on an SLO of another kind, with what keeps it from being counted.
fn verdict_of(indicator: Indicator, gap: Option<&str>, evidence: &Evidence) -> Verdict {
    let mut plan = plan(Some(990_000));
    let mut evidence = evidence.clone();
    for slo in &mut plan.slos {
        slo.indicator = indicator;
        let gap = gap.map(|gap| (slo.name.clone(), gap.to_owned()));
        evidence.gaps.extend(gap);
    }
    let since = Since {
        first_weight: at(0),
        proven: Some(at(0)),
        passed: false,
    };
    let now = evidence.samples.last().map_or(at(0), |last| last.at);
    let findings = judge(&plan, &evidence, since, None, now).into_iter();
    findings
        .map(|finding| finding.verdict)
        .next()
        .unwrap_or(Verdict::Pass)
}

#[test]
fn a_gap_passes_nothing_and_hides_no_proof() {
    let healthy = history([((500, 0), (500, 0)); 8]);
    assert_eq!(verdict_of(Indicator::Events, None, &healthy), Verdict::Pass);
    let gap = verdict_of(Indicator::Events, Some("no series"), &healthy);
    let why = Why::NoData(Some("no series".to_owned()));
    assert_eq!(gap, Verdict::Inconclusive(why));
    let failing = history([((500, 250), (500, 0)); 8]);
    let failed = verdict_of(Indicator::Events, Some("no series"), &failing);
    assert!(matches!(failed, Verdict::Fail(_)), "{failed:?}");
}

/// 100 requests in each scrape, and one look at a value, which is out of range in these scrapes.
fn looks(scrapes: u64, candidate: impl Fn(u64) -> bool, stable: impl Fn(u64) -> bool) -> Evidence {
    let scrape = |n| ((1, u64::from(candidate(n))), (1, u64::from(stable(n))));
    let mut evidence = history((0..scrapes).map(scrape));
    for (sample, n) in evidence.samples.iter_mut().zip(0..) {
        sample.candidate.requests = 100 * n;
        sample.stable.requests = 100 * n;
    }
    evidence
}

#[test]
fn a_value_passes_after_three_windows_in_range() {
    let fine = |_| false;
    for windows in [1, 2] {
        let Verdict::Inconclusive(why) =
            verdict_of(Indicator::Value, None, &looks(windows, fine, fine))
        else {
            panic!("{windows} windows decided");
        };
        let wanted = Why::TooFewValues {
            slo: "availability".to_owned(),
            have: windows,
            need: 3,
        };
        assert_eq!(why, wanted);
    }
    let passed = verdict_of(Indicator::Value, None, &looks(3, fine, fine));
    assert_eq!(passed, Verdict::Pass);
}

#[test]
fn a_value_out_of_range_fails_only_where_the_stable_revision_keeps_within_it() {
    let (fine, out) = (|_| false, |_| true);
    let one = verdict_of(Indicator::Value, None, &looks(8, |n| n == 2, fine));
    assert!(matches!(one, Verdict::Inconclusive(_)), "{one:?}");
    let both = verdict_of(Indicator::Value, None, &looks(40, out, out));
    assert!(matches!(both, Verdict::Inconclusive(_)), "{both:?}");
    let fails = |windows| verdict_of(Indicator::Value, None, &looks(windows, out, fine));
    let windows = (1..40).find(|windows| matches!(fails(*windows), Verdict::Fail(_)));
    // As docs/evidence.md says.
    assert_eq!(windows, Some(11));
}
