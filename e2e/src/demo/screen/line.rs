//! A moment on one line.

use std::time::Duration;

use crate::demo::moment::{Moment, Share};
use crate::demo::text;

/// Users, shares, SLOs and phase.
pub(super) fn of(at: Duration, moment: &Moment) -> String {
    let users = format!(
        "{:.0}/s, {} failed, p99 {}",
        moment.recent.rate(),
        text::count(moment.chapter.failed),
        text::millis(moment.recent.p99)
    );
    let mut parts = vec![moment.stage(), users];
    parts.extend(moment.shares.iter().map(share));
    for slo in &moment.slos {
        if let Some(ratio) = slo.candidate.filter(|ratio| ratio.total > 0) {
            parts.push(format!(
                "{} {}",
                slo.name,
                text::ratio(ratio.good, ratio.total)
            ));
        }
    }
    format!("{:>5}    {}", text::clock(at), parts.join(" | "))
}

/// What is waited for.
pub(super) fn waiting(message: &str) -> String {
    format!("{:>5}    {message}", "")
}

fn share(share: &Share) -> String {
    let measured = share.measured.map_or_else(|| "–".to_owned(), text::percent);
    match share.wanted {
        Some(wanted) => format!(
            "{} {measured} (wanted {})",
            share.version,
            text::percent(wanted)
        ),
        None => format!("{} {measured}", share.version),
    }
}
