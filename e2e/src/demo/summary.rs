//! What users saw of each commit, as a table.

use std::time::Duration;

use console::style;

use super::chapter::{Act, Chapter, End};
use super::screen::Screen;
use super::story::Tale;
use super::text;

/// Puts the table.
pub(super) fn put(tale: &Tale, screen: &Screen) {
    screen.put("");
    let header = format!(
        " {:<18}{:>9}{:>8}{:>9}{:>9}   end",
        "what users saw", "requests", "failed", "p99", "after"
    );
    screen.put(&style(header).dim().to_string());
    for (index, chapter) in tale.chapters.iter().enumerate() {
        let next = tale.chapters.get(index + 1);
        let until = next.map_or(tale.report.elapsed, |next| next.pushed);
        screen.put(&row(tale, chapter, until));
    }
    let all = tale.report.totals.all;
    let total = format!(
        " {:<18}{:>9}{:>8}{:>9}",
        "all",
        text::count(all.requests),
        text::count(all.failed),
        text::millis(tale.report.whole.p99)
    );
    screen.put(&total);
    let skipped = tale.report.totals.skipped;
    if skipped > 0 {
        let requests = text::plural(skipped, "request");
        screen.put(&format!(
            " {requests} could not be sent in time: the machine was too busy"
        ));
    }
}

fn row(tale: &Tale, chapter: &Chapter, until: Duration) -> String {
    let seen = tale.report.window(chapter.pushed, until);
    let version = &chapter.version;
    let what = match chapter.act {
        Act::Adoption => "take-over",
        Act::Good | Act::Bad => version,
        Act::RevertBad => "revert of v3",
        Act::RevertGood => "revert of v2",
    };
    let end = match (chapter.end, chapter.act) {
        (End::Serves, Act::Adoption) => "taken over".to_owned(),
        (End::Serves, Act::RevertBad) => format!("{version} served already"),
        (End::Serves, Act::RevertGood) => format!("{version} serves again"),
        (End::Serves, _) => "promoted".to_owned(),
        (End::RolledBack, _) => "rolled back".to_owned(),
        (End::Late, _) => "no end".to_owned(),
    };
    format!(
        " {what:<18}{:>9}{:>8}{:>9}{:>9}   {end}",
        text::count(seen.all.requests),
        text::count(seen.all.failed),
        text::millis(seen.p99),
        text::seconds(chapter.took()),
    )
}
