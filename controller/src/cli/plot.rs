//! A timeline as a picture: the weights, and of each SLO the evidence and the share of bad events.

mod chart;
mod svg;

pub(super) use svg::svg;

use std::fmt::Write as _;

use chart::{Chart, Series};

use super::timeline::Timeline;

/// How many characters wide.
const COLUMNS: usize = 64;
/// From next to nothing to all.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// For a terminal: a row of bars for each series.
pub(super) fn text(timeline: &Timeline) -> String {
    let Some(chart) = Chart::of(timeline) else {
        return String::new();
    };
    let percent = |share: f64| format!("{:.2}%", share * 100.0);
    let mut rows = vec![(
        "weight".to_owned(),
        bars(&chart, &chart.weight, 1.0),
        "of 100%".to_owned(),
    )];
    for slo in &chart.slos {
        // Evidence is a product: its logarithm grows evenly.
        let log = |at: &(f64, f64)| (at.0, at.1.max(1.0).ln());
        let evidence: Series = slo.evidence.iter().map(log).collect();
        let most = highest(&slo.evidence);
        rows.push((
            format!("{} evidence", slo.name),
            bars(&chart, &evidence, slo.proof.max(2.0).ln()),
            format!("{most:.0} at most, {:.0} is proof", slo.proof),
        ));
        let worst = highest(&slo.candidate);
        rows.push((
            format!("{} bad", slo.name),
            bars(&chart, &slo.candidate, worst),
            format!(
                "{} at most, stable {}",
                percent(worst),
                percent(highest(&slo.stable))
            ),
        ));
    }
    let width = rows.iter().map(|(name, ..)| name.len()).max();
    let width = width.unwrap_or_default();
    let (first, last) = (chart.begin.format("%H:%M:%S"), chart.end.format("%H:%M:%S"));
    let mut text = format!("{:width$}  {first:<32}{last:>32}\n", "");
    for (name, bars, scale) in rows {
        _ = writeln!(text, "{name:<width$}  {bars}  {scale}");
    }
    text
}

fn highest(series: &[(f64, f64)]) -> f64 {
    series.iter().map(|(_, value)| *value).fold(0.0, f64::max)
}

/// One character a column: the highest value in it, or the last before it.
fn bars(chart: &Chart, series: &[(f64, f64)], whole: f64) -> String {
    let column = |seconds: f64| index(seconds / chart.seconds.max(1.0), COLUMNS);
    let mut held = 0.0;
    let mut text = String::new();
    for number in 0..COLUMNS {
        let here = series.iter().filter(|(at, _)| column(*at) == number);
        let mut most: Option<f64> = None;
        for (_, value) in here {
            held = *value;
            most = Some(most.map_or(held, |most| most.max(held)));
        }
        let value = most.unwrap_or(held);
        let bar = BARS.get(index(value / whole, BARS.len()));
        text.push(if value > 0.0 && whole > 0.0 {
            bar.copied().unwrap_or('█')
        } else {
            ' '
        });
    }
    text
}

/// Which of so many parts a share between 0 and 1 falls into.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "small numbers, and a float that is none is 0"
)]
fn index(share: f64, parts: usize) -> usize {
    ((share * parts as f64) as usize).min(parts - 1)
}
