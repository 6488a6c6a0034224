//! What is found where the stable revision has a small share, and what is not.

use super::super::{COMPARED_FROM, Verdict, Why};
use super::{Scrape, fails, history, verdict, verdict_on};

/// A leak in a holdback of an hour at 100 requests a second: nothing for 50 minutes, then so many of a thousand
/// are bad.
fn leak(share: f64, bad_per_mille: u64) -> Vec<Scrape> {
    let mut scrapes = vec![((75, 0), (1_425, 1)); 4];
    scrapes.extend([((750, 0), (750, 0)); 4]);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let others = (1_500.0 * share) as u64;
    let candidate = 1_500 - others;
    scrapes.extend(vec![((candidate, 1), (others, 0)); 200]);
    scrapes.extend(vec![
        (
            (candidate, candidate * bad_per_mille / 1_000),
            (others, 0)
        );
        40
    ]);
    scrapes
}

/// How many scrapes of the leak it takes.
fn found(objective: Option<u32>, scrapes: &[Scrape]) -> Option<usize> {
    (209..=scrapes.len()).find_map(|end| {
        let evidence = history(scrapes.iter().take(end).copied());
        fails(&verdict_on(objective, &evidence)).then_some(end - 208)
    })
}

#[test]
fn a_leak_late_in_a_holdback_is_found() {
    let objective = Some(999_000);
    let at = |share, bad| found(objective, &leak(share, bad));
    println!("1 %: {:?}", [5, 10, 50, 300].map(|bad| at(0.01, bad)));
    println!("10 %: {:?}", [5, 10, 50, 300].map(|bad| at(0.1, bad)));
    assert!(at(0.01, 300).is_some_and(|scrapes| scrapes <= 3));
    assert!(at(0.01, 10).is_some_and(|scrapes| scrapes <= 12));
}

#[test]
fn from_ten_percent_on_the_stable_revision_is_compared_with() {
    let others = 1_500 * u64::from(COMPARED_FROM.ppm()) / 1_000_000;
    let candidate = 1_500 - others;
    assert_eq!(verdict(None, (candidate, 1), (others, 0)), Verdict::Pass);
    // Few requests swing; half of what is expected still counts.
    assert_eq!(
        verdict(None, (candidate, 1), (others / 2 + 1, 0)),
        Verdict::Pass
    );
    // An incident that hits both.
    let incident = verdict(
        Some(999_000),
        (candidate, candidate / 3),
        (others, others / 3),
    );
    assert!(
        matches!(incident, Verdict::Inconclusive(Why::Incident { .. })),
        "{incident:?}"
    );
    // With less the objective decides alone, and nothing where there is none.
    let incident = verdict(Some(999_000), (1_485, 495), (15, 5));
    assert!(fails(&incident), "{incident:?}");
    let alone = verdict(None, (1_485, 1), (15, 0));
    assert!(
        matches!(alone, Verdict::Inconclusive(Why::NoComparison { .. })),
        "{alone:?}"
    );
}
