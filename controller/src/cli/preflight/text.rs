//! A [`Report`] for a person.

use std::fmt::Write as _;

use super::item::{Level, Report};
use crate::cli::words::table;

/// Columns are as wide in one section as in the other: that of "cannot tell", and that of the longest name.
const LEVEL: usize = 11;
const CHECK: usize = 14;

/// The text, with a line break at its end.
pub(super) fn of(report: &Report) -> String {
    let mut text = String::new();
    for section in &report.sections {
        let about = section.about.as_deref().unwrap_or("cluster");
        _ = writeln!(text, "{about}");
        let rows: Vec<_> = section
            .items
            .iter()
            .map(|item| {
                let (level, check) = (item.level.word(), item.check);
                let [level, check] = [format!("{level:LEVEL$}"), format!("{check:CHECK$}")];
                vec![level, check, item.message.clone()]
            })
            .collect();
        text.push_str(&table(&rows));
    }
    let counts = [Level::Error, Level::Warning, Level::CannotTell, Level::Ok]
        .map(|level| (report.count(level), level.word()));
    let counts = counts.into_iter().filter(|(count, _)| *count > 0);
    let counts = counts.map(|(count, word)| format!("{count} {word}"));
    let counts = counts.collect::<Vec<_>>().join(", ");
    _ = writeln!(text, "\n{counts}");
    text
}
