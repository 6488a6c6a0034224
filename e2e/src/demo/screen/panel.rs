//! A moment as a panel: users, shares, SLOs, and what is waited for.

use console::style;

use crate::demo::moment::{Moment, Share};
use crate::demo::slo::Slo;
use crate::demo::text;

/// Below this width a share has neither the name of its revision nor a bar.
const NARROW: usize = 60;
/// Rows of the whole panel, with an empty one above.
const ROWS: usize = 12;
/// Lines of a sentence.
const SENTENCE: usize = 2;
/// Shares that always have a place, so that the panel does not jump.
const SHARES: usize = 2;
const LONGEST_BAR: usize = 30;

/// Lines for a terminal of that size.
pub(super) fn lines(moment: &Moment, columns: usize, rows: usize) -> Vec<String> {
    let mut lines = vec![String::new(), users(moment)];
    if rows > ROWS {
        lines.push(String::new());
    }
    lines.extend(shares(moment, columns));
    if rows > ROWS {
        lines.push(String::new());
        lines.extend(slos(moment));
        lines.push(String::new());
    }
    lines.extend(sentence(moment, columns));
    lines
}

fn users(moment: &Moment) -> String {
    let failed = text::count(moment.chapter.failed);
    let failed = if moment.recent.all.failed > 0 {
        style(failed).red().bold()
    } else {
        style(failed)
    };
    format!(
        " {}  {:.0} requests/s   {failed} failed of {}   p99 {}",
        style("users").dim(),
        moment.recent.rate(),
        text::count(moment.chapter.requests),
        text::millis(moment.recent.p99),
    )
}

fn shares(moment: &Moment, columns: usize) -> Vec<String> {
    let wide = columns >= NARROW;
    let revision = if wide { "revision" } else { "" };
    let revision = format!(" {:<5}{revision:<width$}", "", width = name_width(wide));
    let header = format!("{revision}{:>9}{:>11}", "wanted", "measured");
    let mut lines = vec![style(header).dim().to_string()];
    lines.extend(moment.shares.iter().map(|share| row(share, columns)));
    lines.resize(lines.len().max(SHARES + 1), String::new());
    lines
}

fn name_width(wide: bool) -> usize {
    if wide { 20 } else { 0 }
}

fn row(share: &Share, columns: usize) -> String {
    let wide = columns >= NARROW;
    let width = name_width(wide);
    let name = share.revision.as_deref().unwrap_or("as deployed");
    let name = if wide { name } else { "" };
    let name = console::truncate_str(name, width.saturating_sub(1), "…");
    let percent = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), text::percent);
    let text = format!(
        " {:<5}{name:<width$}{:>9}{:>11}",
        share.version,
        percent(share.wanted),
        percent(share.measured)
    );
    if !wide {
        return text;
    }
    let length = columns
        .saturating_sub(text.chars().count() + 4)
        .min(LONGEST_BAR);
    format!(
        "{text}   {}",
        bar(share.measured.unwrap_or_default(), length)
    )
}

/// A bar of half blocks.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a few blocks"
)]
fn bar(percent: f64, length: usize) -> String {
    let halves = (percent.clamp(0.0, 100.0) / 100.0 * 2.0 * length as f64).round() as usize;
    let half = if halves % 2 == 1 { "▌" } else { "" };
    format!("{}{half}", "█".repeat(halves / 2))
}

fn slos(moment: &Moment) -> Vec<String> {
    let candidate = moment
        .status
        .rollout
        .as_ref()
        .map(|rollout| rollout.candidate.as_str());
    let candidate = moment.version(candidate).unwrap_or("");
    let stable = moment
        .version(moment.status.stable.as_deref())
        .unwrap_or("");
    let header = format!(" {:<16}{candidate:>9}{stable:>9}{:>11}", "SLO", "objective");
    let mut lines = vec![style(header).dim().to_string()];
    lines.extend(moment.slos.iter().map(slo));
    lines
}

fn slo(slo: &Slo) -> String {
    let ratio = |ratio: Option<crate::demo::slo::Ratio>| {
        ratio.map_or_else(
            || "–".to_owned(),
            |ratio| text::ratio(ratio.good, ratio.total),
        )
    };
    let candidate = format!("{:>9}", ratio(slo.candidate));
    let candidate = if slo.missed() {
        style(candidate).red().bold()
    } else {
        style(candidate)
    };
    let objective = slo
        .objective
        .map_or_else(|| "as good".to_owned(), text::percent);
    format!(
        " {:<16}{candidate}{:>9}{objective:>11}",
        slo.name,
        ratio(slo.stable)
    )
}

fn sentence(moment: &Moment, columns: usize) -> Vec<String> {
    let mut sentence = moment.stage();
    if !moment.message().is_empty() {
        sentence = format!("{sentence}: {}", moment.message());
    }
    let mut lines = text::wrap(&sentence, columns.saturating_sub(3).max(10));
    if lines.len() > SENTENCE {
        lines.truncate(SENTENCE);
        if let Some(last) = lines.last_mut() {
            last.push('…');
        }
    }
    lines.resize(SENTENCE, String::new());
    lines.iter().map(|line| format!(" {line}")).collect()
}
