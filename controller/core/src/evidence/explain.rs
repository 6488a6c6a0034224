//! Ratios in words, for verdicts.

use super::Tally;

/// How many of `what` were good, what was asked for, and what the stable revision had.
pub(super) fn explain(
    what: &str,
    objective_ppm: Option<u32>,
    candidate: Tally,
    stable: Option<Tally>,
) -> String {
    let (good, total, share) = (candidate.good, candidate.total, percent(candidate));
    let objective = objective_ppm.map(|ppm| {
        let objective = percent(Tally {
            good: ppm.into(),
            total: 1_000_000,
        });
        format!(", the objective is {objective}")
    });
    let compared = stable.map(|stable| format!(", the stable revision had {}", percent(stable)));
    format!(
        "{good} of {total} {what} were good ({share}){}{}",
        objective.unwrap_or_default(),
        compared.unwrap_or_default()
    )
}

/// The share of good events as a percentage with three decimals, rounded down: 99.9996 % is not 100 %.
#[must_use]
pub fn percent(tally: Tally) -> String {
    match tally.good_ppm() {
        Some(ppm) => {
            let thousandths = ppm / 10;
            format!("{}.{:03}%", thousandths / 1000, thousandths % 1000)
        }
        None => "no data".to_owned(),
    }
}
