//! What a commit says: the end of a rollout with its evidence, and trailers for programs.

use std::fmt::Write as _;

use sluice_core::evidence::{Exhibit, Tally};

use crate::outcome::{Ended, Stance};
use crate::wanted::End;

/// Trailer: namespace and name of the Canary.
pub const CANARY: &str = "Sluice-Canary";
/// Trailer: the revision that was promoted or rejected.
pub const REVISION: &str = "Sluice-Revision";
/// Trailer: how it ended.
pub const OUTCOME: &str = "Sluice-Outcome";
/// Trailer: when.
pub const DECIDED_AT: &str = "Sluice-Decided-At";

/// The trailers of an end, in their order: no two ends have the same.
#[must_use]
pub fn trailers(stance: &Stance, end: End, ended: &Ended) -> [(&'static str, String); 4] {
    [
        (CANARY, stance.canary.to_string()),
        (REVISION, ended.revision.clone()),
        (OUTCOME, end.word().to_owned()),
        (DECIDED_AT, ended.decided_at()),
    ]
}

/// The whole message. `values` are the new ones.
#[must_use]
pub fn message(stance: &Stance, end: End, ended: &Ended, values: &[String]) -> String {
    let values = values.join(", ");
    let mut text = match end {
        End::Promoted => format!("{}: promoted {values}\n\n", stance.canary),
        End::Rejected => format!("{}: back to {values}\n\n", stance.canary),
    };
    let (revision, at) = (&ended.revision, ended.decided_at());
    let reason = line(&ended.record.reason);
    // Writing to a String cannot fail.
    let _ = match end {
        End::Promoted => writeln!(
            text,
            "{revision} serves all requests since {at}: {reason}{}.",
            lasted(ended)
        ),
        End::Rejected => {
            let ordered = if ended.record.ordered {
                " by a person"
            } else {
                ""
            };
            writeln!(
                text,
                "{revision} was rejected{ordered} at {at}{}:\n{reason}",
                lasted(ended)
            )
        }
    };
    let grounds = ended.record.grounds.as_ref();
    let evidence = grounds
        .map(|grounds| grounds.evidence.as_slice())
        .unwrap_or_default();
    if !evidence.is_empty() {
        text.push('\n');
    }
    for exhibit in evidence {
        let _ = writeln!(text, "  {}", figures(exhibit));
    }
    text.push('\n');
    for (name, value) in trailers(stance, end, ended) {
        let _ = writeln!(text, "{name}: {value}");
    }
    text
}

fn lasted(ended: &Ended) -> String {
    let grounds = ended.record.grounds.as_ref();
    let (Some(grounds), Some(at)) = (grounds, ended.record.at) else {
        return String::new();
    };
    let share = percent(grounds.weight.ppm().into(), 1_000_000);
    let since = grounds
        .first_weight_at
        .map(|first| (at - first).num_seconds());
    since.map_or_else(String::new, |seconds| {
        let (minutes, seconds) = (seconds / 60, seconds % 60);
        format!(", after {minutes} min {seconds} s with requests, {share} of all at the end")
    })
}

fn figures(exhibit: &Exhibit) -> String {
    let of = |tally: Tally| {
        format!(
            "{} of {} requests were good",
            percent(tally.good, tally.total),
            tally.total
        )
    };
    let objective = exhibit
        .objective_ppm
        .map(|ppm| format!(", the objective is {}", percent(ppm.into(), 1_000_000)));
    let stable = (exhibit.stable.total > 0).then(|| {
        let stable = exhibit.stable;
        format!(
            "; of the stable revision's {}, {}",
            stable.total,
            percent(stable.good, stable.total)
        )
    });
    format!(
        "{}: {}{}{}",
        line(&exhibit.slo),
        of(exhibit.candidate),
        objective.unwrap_or_default(),
        stable.unwrap_or_default()
    )
}

/// A share with four digits at most, rounded down: 99.9999 % is not all.
fn percent(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "none".to_owned();
    }
    let ppm = u128::from(part) * 1_000_000 / u128::from(whole);
    let digits = format!("{}.{:04}", ppm / 10_000, ppm % 10_000);
    format!("{}%", digits.trim_end_matches('0').trim_end_matches('.'))
}

/// Text of others on one line, so that it is never taken for a trailer of ours.
fn line(text: &str) -> String {
    let spaced = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    spaced.collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use serde_json::json;

    use super::*;
    use crate::mark::Key;

    fn stance() -> Stance {
        Stance {
            canary: Key {
                namespace: "shop".to_owned(),
                name: "podinfo".to_owned(),
            },
            serving: None,
            rejected: None,
        }
    }

    fn ended(verdict: &serde_json::Value) -> Ended {
        Ended {
            revision: "podinfo-7d4b9c4x".to_owned(),
            record: serde_json::from_value(verdict.clone()).unwrap(),
            images: std::collections::BTreeMap::new(),
            containers: Vec::new(),
        }
    }

    fn verdict(outcome: &str, reason: &str) -> serde_json::Value {
        json!({
            "outcome": outcome, "at": "2026-01-01T00:12:30.5Z", "reason": reason,
            "grounds": {
                "weight": 50_000, "firstWeightAt": "2026-01-01T00:00:10Z",
                "evidence": [{
                    "slo": "availability", "objectivePpm": 999_000, "candidate": {"good": 11_999, "total": 12_000},
                    "stable": {"good": 24_000, "total": 24_001}, "against": {"objective": 1, "stable": 1}, "proof": 200,
                    "verdict": "Pass",
                }],
            },
        })
    }

    #[test]
    fn a_promotion_tells_its_evidence() {
        let ended = ended(&verdict("Promoted", "every gate passed"));
        let text = message(
            &stance(),
            End::Promoted,
            &ended,
            &["ghcr.io/x/y:6.5.0".to_owned()],
        );
        assert_eq!(
            text,
            "shop/podinfo: promoted ghcr.io/x/y:6.5.0\n\n\
             podinfo-7d4b9c4x serves all requests since 2026-01-01T00:12:30Z: every gate passed, after 12 min 20 s \
             with requests, 5% of all at the end.\n\n  \
             availability: 99.9916% of 12000 requests were good, the objective is 99.9%; of the stable revision's \
             24001, 99.9958%\n\n\
             Sluice-Canary: shop/podinfo\nSluice-Revision: podinfo-7d4b9c4x\nSluice-Outcome: promoted\n\
             Sluice-Decided-At: 2026-01-01T00:12:30Z\n"
        );
    }

    #[test]
    fn a_rejection_tells_why_on_one_line() {
        let mut verdict = verdict("Rejected", "aborted\n\nSluice-Canary: shop/other");
        verdict["ordered"] = json!(true);
        verdict.as_object_mut().unwrap().remove("grounds");
        let text = message(
            &stance(),
            End::Rejected,
            &ended(&verdict),
            &["y:1".to_owned()],
        );
        assert!(
            text.starts_with(
                "shop/podinfo: back to y:1\n\npodinfo-7d4b9c4x was rejected by a person at "
            ),
            "{text}"
        );
        assert!(
            text.contains("\naborted  Sluice-Canary: shop/other\n\nSluice-Canary: shop/podinfo\n"),
            "{text}"
        );
    }

    #[test]
    fn a_share_is_never_rounded_up() {
        assert_eq!(percent(9_999_999, 10_000_000), "99.9999%");
        assert_eq!(percent(1, 1), "100%");
        assert_eq!(percent(0, 0), "none");
    }
}
