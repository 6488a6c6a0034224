//! Where the evidence will come from.

use chrono::TimeDelta;

use super::target::{POLICIES, unread_of_ours};
use crate::cli::preflight::found::Found;
use crate::cli::preflight::item::{Findings, Item};
use crate::cli::preflight::subject::Subject;
use crate::evidence::Seen;
use crate::subscription::NO_ADDRESS;

/// Whether the server answers, has the series of the Service, with the labels that are needed, as often as is said.
pub(super) fn server(found: &Found, subject: &Subject) -> Vec<Item> {
    let mut findings = Findings::new("metrics");
    let Some(past) = &subject.past else {
        let unread: Vec<_> = unread_of_ours(found, &POLICIES).collect();
        if !unread.is_empty() {
            findings.unknown(unread);
            return findings.or_ok(String::new);
        }
        findings.error(format!(
            "{NO_ADDRESS}: name a server with Prometheus' query API, or no step ever passes"
        ));
        return findings.or_ok(String::new);
    };
    let (address, look) = (&past.server.address, past.look());
    let seen = match found.series.get(&subject.to_string()) {
        Some(Ok(seen)) => seen,
        Some(Err(why)) if found.from_inside => {
            findings.error(format!(
                "{why}: no step passes without evidence; mend spec.metrics"
            ));
            return findings.or_ok(String::new);
        }
        Some(Err(why)) => {
            let hint = format!(
                "{why}; from here it need not be reachable: --prometheus names another way, such as a forwarded port"
            );
            findings.unknown([hint.as_str()]);
            return findings.or_ok(String::new);
        }
        None => {
            findings.unknown(["nobody asked"]);
            return findings.or_ok(String::new);
        }
    };
    let (source, selector, label) = (look.source, &look.selector, &look.label);
    if seen.series == 0 {
        findings.error(format!(
            "{address} has no series {selector} of anybody: have it scrape what source {source} names, docs/sources.md"
        ));
    } else if seen.told == 0 {
        findings.error(format!(
            "{address} has {selector}, but none with the label {label}, by which revisions are told apart: \
             docs/sources.md says how source {source} gets it"
        ));
    } else if seen.own == 0 {
        findings.warning(format!(
            "{address} has {selector}, but none of {} yet: nobody called it, or not by the waypoint",
            subject.service_name()
        ));
    }
    paced(&mut findings, seen, past.interval);
    findings.or_ok(|| {
        let every = seen.interval.map_or_else(
            || "too few samples to tell how often".to_owned(),
            |interval| format!("every {}", seconds(interval)),
        );
        format!(
            "{address} has {} series of {} by source {source}, {every}",
            seen.own,
            subject.service_name()
        )
    })
}

/// The policy must say what the server does: proofs and limits count scrapes.
fn paced(findings: &mut Findings, seen: &Seen, said: TimeDelta) {
    let Some(interval) = seen.interval else {
        return;
    };
    let (is, said_ms) = (interval.num_milliseconds(), said.num_milliseconds());
    // A quarter more or less is how scrapes spread.
    if is * 4 > said_ms * 5 || is * 5 < said_ms * 4 {
        findings.warning(format!(
            "metrics.interval is {}, and a sample comes every {}: write the interval of the scrapes",
            seconds(said),
            seconds(interval)
        ));
    }
}

fn seconds(time: TimeDelta) -> String {
    let tenths = (time.num_milliseconds() + 50) / 100;
    match tenths % 10 {
        0 => format!("{}s", tenths / 10),
        tenth => format!("{}.{tenth}s", tenths / 10),
    }
}
