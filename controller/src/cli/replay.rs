//! `sluice replay`: every decision of a recorded rollout once more.

use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use serde_json::Value;
use similar::TextDiff;
use sluice_core::{Decision, decide};

use super::plot;
use super::timeline::Timeline;
use crate::bundle::{self, Bundle};

/// What is replayed.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// A file that a controller with --record wrote.
    #[arg(value_name = "BUNDLE")]
    bundle: PathBuf,

    /// Draw the plot into an SVG file as well.
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
}

/// What became of it.
pub(crate) struct Replayed {
    /// What to print.
    pub(crate) text: String,
    timeline: Timeline,
    /// How the first decision that is another one differs.
    pub(crate) difference: Option<String>,
}

impl Args {
    /// Replays and prints.
    ///
    /// # Errors
    /// When the file is no bundle, or a decision is another one now.
    pub fn run(&self) -> anyhow::Result<()> {
        let place = self.bundle.display();
        let text = std::fs::read_to_string(&self.bundle)
            .with_context(|| format!("{place} cannot be read"))?;
        let bundle = bundle::read(&text).with_context(|| place.to_string())?;
        let replayed = replay(&bundle)?;
        super::print(&replayed.text)?;
        if let Some(path) = &self.plot {
            plot::svg(&replayed.timeline, path)
                .with_context(|| format!("{} cannot be written", path.display()))?;
        }
        match replayed.difference {
            Some(difference) => bail!("{difference}"),
            None => Ok(()),
        }
    }
}

/// Decides everything once more, up to the first difference.
///
/// # Errors
/// When a decision cannot be written as JSON.
pub(crate) fn replay(bundle: &Bundle) -> anyhow::Result<Replayed> {
    let header = &bundle.header;
    let mut timeline = Timeline::default();
    let mut difference = None;
    let mut same = 0;
    for (line, look) in &bundle.looks {
        let decision = decide(&look.plan, &look.state, &look.world, look.now);
        let (then, now) = (value(&look.decision)?, value(&decision)?);
        timeline.push(look.now, &decision);
        if then != now || look.decision != decision {
            difference = Some(differ(*line, &then, &now)?);
            break;
        }
        same += 1;
    }
    let mut text = format!(
        "Canary {}/{}: {} since {}, recorded by sluice {}\n\n",
        header.namespace,
        header.canary,
        header.candidate,
        header.started_at.format("%Y-%m-%d %H:%M:%SZ"),
        header.sluice
    );
    if header.sluice != env!("CARGO_PKG_VERSION") {
        text += concat!("This is sluice ", env!("CARGO_PKG_VERSION"), ".\n\n");
    }
    text += &timeline.text();
    text.push('\n');
    text += &plot::text(&timeline);
    _ = write!(text, "\n{}\n", timeline.outcome());
    _ = writeln!(
        text,
        "{same} of {} decisions are the same.",
        bundle.looks.len()
    );
    if bundle.missed > 0 {
        _ = writeln!(text, "{} more were not recorded.", bundle.missed);
    }
    if bundle.torn {
        text.push_str("The last line is torn: whoever recorded was stopped.\n");
    }
    Ok(Replayed {
        text,
        timeline,
        difference,
    })
}

fn value(decision: &Decision) -> anyhow::Result<Value> {
    Ok(serde_json::to_value(decision)?)
}

/// A unified diff of two decisions.
fn differ(line: usize, then: &Value, now: &Value) -> anyhow::Result<String> {
    let (then, now) = (
        serde_json::to_string_pretty(then)?,
        serde_json::to_string_pretty(now)?,
    );
    let diff = TextDiff::from_lines(&then, &now);
    let diff = diff
        .unified_diff()
        .header("recorded", "decided now")
        .to_string();
    Ok(format!(
        "line {line}: the decision is another one now\n{diff}"
    ))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use super::*;
    use crate::bundle::tests::text;
    use crate::cli::rehearse::{Scenario, looks};

    #[test]
    fn what_was_rehearsed_is_replayed_the_same() {
        for scenario in Scenario::ALL {
            let bundle = bundle::read(&text(&looks(scenario))).unwrap();
            let replayed = replay(&bundle).unwrap();
            assert_eq!(replayed.difference, None, "{scenario:?}");
            let count = bundle.looks.len();
            let all = format!("{count} of {count} decisions are the same.");
            assert!(replayed.text.ends_with(&(all + "\n")), "{}", replayed.text);
        }
    }

    #[test]
    fn a_tampered_line_is_found() {
        let whole = text(&looks(Scenario::Errors));
        let mut lines: Vec<_> = whole.lines().map(str::to_owned).collect();
        // What was observed, and what was said of it.
        let counted = (r#""slos":[{"good":"#, r#""slos":[{"good":1"#);
        let said = (r#""Fail":""#, r#""Fail":"not "#);
        for (from, to) in [counted, said] {
            let found = lines.iter().rposition(|line| line.contains(from)).unwrap();
            let kept = lines[found].clone();
            lines[found] = kept.replace(from, to);
            let tampered = lines.join("\n") + "\n";
            lines[found] = kept;
            let bundle = bundle::read(&tampered).unwrap();
            let difference = replay(&bundle).unwrap().difference.unwrap();
            let place = format!(
                "line {}: the decision is another one now\n--- recorded",
                found + 1
            );
            assert!(difference.starts_with(&place), "{from}: {difference}");
            assert!(difference.contains("\n+ "), "{difference}");
        }
    }
}
