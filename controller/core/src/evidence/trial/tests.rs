//! That innocent candidates are not failed, by adding up every way in which things can go.

use super::*;

const PROOF: f64 = 100.0;

fn terms(allowed: f64) -> Terms {
    Terms {
        allowed,
        stated: true,
        proof: PROOF,
    }
}

fn tally((total, bad): (u64, u64)) -> Tally {
    Tally {
        good: total - bad,
        total,
    }
}

/// What can happen in one scrape, and how likely it is: events and bad events of the candidate, and of the
/// stable revision.
type Chances = Vec<(f64, (u64, u64), (u64, u64))>;

/// Adds up what becomes of a trial over all ways in which scrapes can turn out: how often it ends in proof,
/// and the average wealth against the objective and against the stable revision.
fn add_up(trial: &Trial, scrapes: &[Chances]) -> [f64; 3] {
    let Some((next, rest)) = scrapes.split_first() else {
        let proven = f64::from(u8::from(trial.is_proven()));
        return [proven, trial.objective.total(), trial.comparison.total()];
    };
    let mut sum = [0.0; 3];
    for (chance, candidate, stable) in next {
        let mut trial = trial.clone();
        trial.scrape(tally(*candidate), tally(*stable));
        for (sum, part) in sum.iter_mut().zip(add_up(&trial, rest)) {
            *sum += chance * part;
        }
    }
    sum
}

/// A scrape of `n` requests to the candidate and `others` to the stable revision, of which `bad` are bad, and
/// the route picked at random which of them the candidate got.
fn picked(n: u64, others: u64, bad: u64) -> Chances {
    let choose = |of: u64, some: u64| (0..some).fold(1.0, |c, i| c * count(of - i) / count(i + 1));
    let fewest = bad.saturating_sub(others);
    let of_candidate = fewest..=bad.min(n);
    let all = choose(n + others, bad);
    of_candidate
        .map(|b| {
            let chance = choose(n, b) * choose(others, bad - b) / all;
            (chance, (n, b), (others, bad - b))
        })
        .collect()
}

#[test]
fn the_ways_add_up_to_one() {
    for (n, others, bad) in [(1, 9, 3), (5, 5, 7), (20, 3, 2), (8, 0, 3)] {
        let sum: f64 = picked(n, others, bad)
            .iter()
            .map(|(chance, ..)| chance)
            .sum();
        assert!((sum - 1.0).abs() < 1e-9, "{n} {others} {bad}: {sum}");
    }
}

/// Whole scrapes are bad, or none of their requests: no other dependence is worse.
#[test]
fn bursts_within_the_objective_seldom_fail() {
    for allowed in [0.001, 0.01, 0.1] {
        for requests in [3, 30, 3_000] {
            let burst = (allowed, (requests, requests), (1_000, 0));
            let calm = (1.0 - allowed, (requests, 0), (1_000, 0));
            let scrapes = vec![vec![burst, calm]; 14];
            let [proven, wealth, _] = add_up(&Trial::new(terms(allowed)), &scrapes);
            assert!(proven <= 1.0 / PROOF, "{proven} of {requests} at {allowed}");
            assert!(wealth <= 1.0 + 1e-9, "{wealth} of {requests} at {allowed}");
        }
    }
}

#[test]
fn a_gambler_who_may_not_win_does_so_only_against_the_guilty() {
    let chances = |share: f64| {
        vec![
            vec![
                (share, (10, 10), (1_000, 0)),
                (1.0 - share, (10, 0), (1_000, 0))
            ];
            14
        ]
    };
    let [innocent, ..] = add_up(&Trial::new(terms(0.01)), &chances(0.01));
    let [guilty, ..] = add_up(&Trial::new(terms(0.01)), &chances(0.5));
    assert!(innocent <= 0.01 && guilty > 0.99, "{innocent}, {guilty}");
}

/// The outcomes of all requests are given, however they came about; only the route's choice is chance.
#[test]
fn whatever_happens_to_both_revisions_proves_nothing() {
    let histories: [&[(u64, u64, u64)]; 6] = [
        &[(5, 95, 0), (5, 95, 1), (5, 95, 2), (5, 95, 0), (5, 95, 40)],
        &[(10, 30, 40), (10, 30, 40), (10, 30, 1), (10, 30, 20)],
        &[
            (1, 14, 1),
            (0, 15, 3),
            (2, 12, 1),
            (1, 14, 1),
            (1, 15, 1),
            (1, 14, 2),
        ],
        // The weight grows, and an incident begins.
        &[
            (2, 38, 0),
            (2, 38, 0),
            (20, 20, 30),
            (20, 20, 39),
            (20, 20, 5),
        ],
        &[(12, 1, 1), (12, 2, 2), (12, 1, 1), (12, 3, 2), (12, 1, 2)],
        &[
            (50, 50, 1),
            (50, 50, 1),
            (50, 50, 1),
            (50, 50, 1),
            (50, 50, 1),
            (50, 50, 1),
        ],
    ];
    for history in histories {
        let scrapes: Vec<Chances> = history
            .iter()
            .map(|&(n, m, bad)| picked(n, m, bad))
            .collect();
        let [proven, _, wealth] = add_up(&Trial::new(terms(0.001)), &scrapes);
        assert!(proven <= 1.0 / PROOF, "{proven} of {history:?}");
        assert!(wealth <= 1.0 + 1e-9, "{wealth} of {history:?}");
    }
}

/// The two bounds hold for all small scrapes, not only for chosen ones.
#[test]
fn one_scrape_is_never_a_winning_bet() {
    for n in 1..12 {
        for others in 0..12 {
            for bad in 0..=n + others {
                let [_, _, wealth] = add_up(&Trial::new(terms(1.0)), &[picked(n, others, bad)]);
                assert!(
                    wealth <= 1.0 + 1e-9,
                    "{wealth}: {n} and {others}, {bad} bad"
                );
            }
        }
    }
}

#[test]
fn merged_scrapes_are_a_bet_like_any_other() {
    // Three scrapes in which bursts come at random, thinned out to one.
    let (allowed, mut merged) = (0.01_f64, Chances::new());
    for bursts in 0..=3_u64 {
        let ways = [1.0, 3.0, 3.0, 1.0];
        let rest = i32::try_from(3 - bursts).unwrap_or_default();
        let chance = allowed.powi(3 - rest) * (1.0_f64 - allowed).powi(rest);
        let ways = ways.get(usize::try_from(bursts).unwrap_or_default());
        merged.push((
            chance * ways.copied().unwrap_or_default(),
            (30, 10 * bursts),
            (3_000, 0),
        ));
    }
    let [proven, wealth, _] = add_up(&Trial::new(terms(allowed)), &vec![merged; 7]);
    assert!(
        proven <= 1.0 / PROOF && wealth <= 1.0 + 1e-9,
        "{proven}, {wealth}"
    );
}

fn scrapes_until_proven(
    allowed: f64,
    calm: usize,
    candidate: (u64, u64),
    stable: (u64, u64),
) -> Option<usize> {
    let mut trial = Trial::new(Terms {
        proof: 300.0,
        ..terms(allowed)
    });
    for _ in 0..calm {
        trial.scrape(tally((candidate.0, 0)), tally(stable));
    }
    (1..=100).find(|_| {
        trial.scrape(tally(candidate), tally(stable));
        trial.is_proven()
    })
}

#[test]
fn half_of_the_requests_bad_is_proven_in_two_scrapes() {
    for allowed in [0.001, 0.01] {
        assert_eq!(
            scrapes_until_proven(allowed, 0, (75, 37), (1_425, 1)),
            Some(2)
        );
    }
    // Later, without any occasion, it takes one more.
    let late = scrapes_until_proven(0.001, 100, (750, 375), (750, 1));
    assert_eq!(late, Some(3));
}

#[test]
fn a_new_stage_is_an_occasion_to_look_closely() {
    let mut trial = Trial::new(terms(0.001));
    for _ in 0..20 {
        trial.scrape(tally((75, 0)), tally((1_425, 1)));
    }
    for _ in 0..2 {
        assert!(!trial.is_proven());
        trial.scrape(tally((375, 187)), tally((1_125, 1)));
    }
    assert!(trial.is_proven());
}

#[test]
fn a_small_regression_takes_longer_and_is_found() {
    let found = scrapes_until_proven(0.001, 0, (1_000, 5), (1_000, 1));
    assert!(
        found.is_some_and(|scrapes| (3..20).contains(&scrapes)),
        "{found:?}"
    );
    assert_eq!(
        scrapes_until_proven(0.01, 0, (1_000, 5), (1_000, 1)),
        None,
        "forgiven"
    );
    assert_eq!(
        scrapes_until_proven(0.001, 0, (1_000, 5), (1_000, 5)),
        None,
        "no worse"
    );
}

#[test]
fn an_incident_is_forgotten_but_not_a_regression_behind_it() {
    let mut trial = Trial::new(terms(0.001));
    for _ in 0..8 {
        trial.scrape(tally((75, 40)), tally((1_425, 760)));
    }
    for _ in 0..20 {
        trial.scrape(tally((75, 0)), tally((1_425, 1)));
    }
    assert!(!trial.is_proven());
    for _ in 0..3 {
        trial.scrape(tally((75, 37)), tally((1_425, 1)));
    }
    assert!(trial.is_proven());
}

/// With all traffic there is nothing left to compare with. Then the objective decides, on what happens from
/// then on, and not on an incident before.
#[test]
fn alone_a_candidate_is_held_to_its_objective() {
    let mut trial = Trial::new(terms(0.001));
    for _ in 0..8 {
        trial.scrape(tally((750, 400)), tally((750, 400)));
    }
    for _ in 0..8 {
        trial.scrape(tally((1_500, 1)), tally((0, 0)));
    }
    assert!(!trial.is_proven());
    let mut lonely = Trial::new(Terms {
        stated: false,
        ..terms(0.001)
    });
    for trial in [&mut trial, &mut lonely] {
        for _ in 0..5 {
            trial.scrape(tally((1_500, 750)), tally((0, 0)));
        }
    }
    assert!(trial.is_proven());
    assert!(!lonely.is_proven(), "nobody stated an objective");
}

#[test]
fn odd_counts_are_no_evidence() {
    let mut trial = Trial::new(terms(0.0));
    trial.scrape(Tally { good: 0, total: 0 }, Tally { good: 9, total: 3 });
    trial.scrape(Tally { good: 9, total: 3 }, Tally { good: 0, total: 0 });
    trial.scrape(tally((u64::MAX, 0)), tally((u64::MAX, u64::MAX)));
    assert!(trial.evidence().is_finite() && trial.evidence() <= 1.0);
    for _ in 0..1_000 {
        trial.scrape(tally((u64::MAX, u64::MAX)), tally((u64::MAX, 0)));
    }
    assert!(trial.evidence().is_finite() && trial.is_proven());
}
