//! A [`Report`] for a person.

use std::fmt::Write as _;

use chrono::TimeDelta;
use sluice_core::Tally;
use sluice_core::evidence::{Takes, explain};
use sluice_core::simulate::figures;
use sluice_crds::Percent;

use super::report::{FOUND, Regression, Report};
use crate::cli::words::{grouped, table};

/// The text, with a line break at its end.
pub(super) fn of(report: &Report) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = write(&mut text, report);
    text
}

fn write(text: &mut String, report: &Report) -> std::fmt::Result {
    let (from, to) = (
        report.from.format("%Y-%m-%d %H:%M"),
        report.to.format("%Y-%m-%d %H:%M"),
    );
    writeln!(
        text,
        "{} from {from} to {to}: {} readings, every {}; {} without data; {} queries",
        report.service,
        count(report.readings),
        takes(report.interval_seconds),
        count(report.gaps),
        count(report.queries),
    )?;
    let names = report
        .counted_under
        .iter()
        .map(String::as_str)
        .collect::<Vec<_>>();
    writeln!(
        text,
        "  {} requests, counted under {}",
        grouped(report.requests),
        names.join(", ")
    )?;
    for slo in &report.slos {
        let tally = Tally {
            good: slo.good,
            total: slo.total,
        };
        let objective = slo.objective_ppm.map_or_else(
            || "it has no objective".to_owned(),
            |ppm| format!("the objective is {}", Percent::from_ppm(ppm).as_str()),
        );
        writeln!(
            text,
            "  {}: {} good, {objective}",
            slo.name,
            explain::percent(tally)
        )?;
    }
    for slo in &report.slos_left_out {
        writeln!(
            text,
            "  {slo}: left out, since its events are no requests, which alone can be split"
        )?;
    }
    innocent(text, report)?;
    for regression in &report.regressions {
        regressions(text, report, regression)?;
    }
    Ok(())
}

fn innocent(text: &mut String, report: &Report) -> std::fmt::Result {
    let (starts, innocent) = (&report.starts, &report.innocent);
    writeln!(
        text,
        "\nCandidates like what served: {} rollouts of at most {}; of {} starts {} had no data",
        count(starts.run),
        takes(starts.longest_seconds),
        count(starts.asked),
        count(starts.left_out),
    )?;
    let share = |part: usize| percent(figures::share(part, starts.run));
    let between = |(low, high): (f64, f64)| format!("{} to {}", percent(low), percent(high));
    writeln!(
        text,
        "  failed, a false alarm   {} ({}; 95 % interval {})",
        count(innocent.failed),
        share(innocent.failed),
        between(innocent.interval),
    )?;
    if starts.apart < starts.run {
        writeln!(
            text,
            "                          rollouts overlap: only {} have a part of the history of their own; \
             if only these count, {}",
            count(starts.apart),
            between(innocent.interval_apart),
        )?;
    }
    let after = |seconds: Option<i64>| seconds.map_or_else(|| "never".to_owned(), takes);
    writeln!(
        text,
        "  promoted                {} ({}); half of all after {}, 90 % after {}",
        count(innocent.promoted),
        share(innocent.promoted),
        after(innocent.promoted_after.0),
        after(innocent.promoted_after.1),
    )?;
    let held: usize = innocent.held.values().sum();
    let reasons = innocent
        .held
        .iter()
        .map(|(reason, number)| format!("{reason} {number}"));
    let reasons = reasons.collect::<Vec<_>>().join(", ");
    let reasons = if held == 0 {
        reasons
    } else {
        format!(": {reasons}")
    };
    writeln!(
        text,
        "  held to the end         {} ({}){reasons}",
        count(held),
        share(held)
    )?;
    if innocent.given_up > 0 {
        writeln!(
            text,
            "  given up for want of evidence   {} ({})",
            count(innocent.given_up),
            share(innocent.given_up),
        )?;
    }
    writeln!(text, "  a person was called in  {}", count(innocent.called))
}

fn regressions(text: &mut String, report: &Report, regression: &Regression) -> std::fmt::Result {
    let what = match regression.kind {
        "errors" => "Candidates that fail more of the requests that went well",
        _ => "Candidates that are slow with more of the requests that were fast",
    };
    writeln!(
        text,
        "\n{what}, in the same {} rollouts",
        count(report.starts.run)
    )?;
    let times = || regression.within.iter().map(|seconds| takes(*seconds));
    let title = ["more".to_owned()].into_iter();
    let title = title.chain(times().map(|time| format!("found within {time}")));
    let mut rows: Vec<Vec<String>> = vec![title.chain(["promoted".to_owned()]).collect()];
    for size in &regression.sizes {
        let found = size.found.iter().map(|share| percent(*share));
        let row = [percent(size.extra)].into_iter().chain(found);
        rows.push(row.chain([percent(size.promoted)]).collect());
    }
    text.push_str(&table(&rows));
    let smallest = times()
        .zip(&regression.smallest)
        .map(|(time, size)| match size {
            Some(size) => format!("{} within {time}", percent(*size)),
            None => format!("none of these within {time}"),
        });
    let smallest = smallest.collect::<Vec<_>>().join(", ");
    writeln!(
        text,
        "  the smallest found in {} of the rollouts: {smallest}",
        percent(FOUND)
    )
}

fn count(number: usize) -> String {
    grouped(number as u64)
}

fn takes(seconds: i64) -> String {
    Takes(TimeDelta::try_seconds(seconds)).to_string()
}

/// With as many digits as tell something: 0.05 %, 1.9 %, 50 %.
fn percent(share: f64) -> String {
    let percent = share * 100.0;
    let digits = if (1.0..=99.0).contains(&percent) {
        1
    } else {
        2
    };
    let text = format!("{percent:.digits$}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    format!("{text}%")
}
