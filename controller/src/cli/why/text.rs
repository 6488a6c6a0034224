//! An [`Account`] for a person.

use std::fmt::Write as _;

use chrono::TimeDelta;
use sluice_core::evidence::{Exhibit, Grounds, Lack, Opinion, Takes, explain};
use sluice_core::{Action, Outcome, Tally, Time};
use sluice_crds::Percent;

use super::account::{Account, Decided, UnderWay};
use crate::cli::words::{grouped, table};

/// The text, with a line break at its end.
pub(super) fn of(account: &Account) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = write(&mut text, account);
    text
}

fn write(text: &mut String, account: &Account) -> std::fmt::Result {
    let Account {
        namespace, name, ..
    } = account;
    match account.phase {
        Some(phase) => write!(text, "{namespace}/{name} is {phase:?}")?,
        None => write!(
            text,
            "{namespace}/{name} has no status: nobody looked at it yet, or it was lost"
        )?,
    }
    if let Some((step, steps)) = account.rollout.as_ref().and_then(|r| r.step.zip(r.steps)) {
        write!(text, ", at step {step} of {steps}")?;
    }
    if account.suspended {
        write!(text, ", suspended: nothing is written")?;
    }
    writeln!(text)?;
    if let Some((reason, message)) = account.reason.as_ref().zip(account.message.as_ref()) {
        writeln!(text, "  {reason}: {message}")?;
    }
    if let Some(rollout) = &account.rollout {
        under_way(text, account, rollout)?;
    } else if let Some(stable) = &account.stable {
        writeln!(text, "  {stable} serves all requests")?;
    }
    for decided in &account.decisions {
        decision(text, decided, account.at)?;
    }
    if !account.orders.is_empty() {
        writeln!(text, "\nOrders")?;
    }
    for order in &account.orders {
        writeln!(text, "  # {}", order.effect)?;
        writeln!(text, "  {}", order.command)?;
    }
    Ok(())
}

fn under_way(text: &mut String, account: &Account, rollout: &UnderWay) -> std::fmt::Result {
    let now = account.at;
    let weight = rollout.weight.as_deref().unwrap_or("0%");
    let stable = account.stable.as_deref().unwrap_or("nothing");
    let candidate = &rollout.candidate;
    write!(text, "  {candidate} has {weight} of the requests, ")?;
    match rollout.proven_since {
        Some(at) => write!(text, "proven since {}", ago(at, now))?,
        None => write!(text, "not proven to be in force")?,
    }
    writeln!(text, "; {stable} is the stable revision")?;
    writeln!(text, "  the rollout began {}", ago(rollout.started_at, now))?;
    if !rollout.gated {
        return writeln!(text, "  no gate applies to it");
    }
    if let Some(since) = rollout.approval_awaited_since {
        writeln!(text, "  it waits for approval since {}", ago(since, now))?;
    }
    if let Some(since) = rollout.waiting_since {
        write!(text, "  it waits for evidence since {}", ago(since, now))?;
        if let Some(limit) = &rollout.limit {
            let then = match limit.then {
                Action::Hold => "a person is called",
                Action::Rollback => "it is rolled back",
            };
            let tense = if limit.at > now { "at" } else { "since" };
            write!(text, "; {then} {tense} {}", clock(limit.at))?;
        }
        writeln!(text)?;
    }
    match rollout.evidence_at {
        _ if rollout.evidence.is_empty() => writeln!(text, "\nNothing was judged yet")?,
        Some(at) => writeln!(
            text,
            "\nEvidence against {candidate}, as of {}",
            ago(at, now)
        )?,
        None => writeln!(text, "\nEvidence against {candidate}")?,
    }
    exhibits(text, &rollout.evidence)?;
    if !rollout.queries.is_empty() {
        writeln!(text, "\nRead by")?;
    }
    for query in &rollout.queries {
        writeln!(text, "  {} ({})", query.slos.join(", "), query.from)?;
        for line in query
            .promql
            .iter()
            .chain(&query.problem)
            .flat_map(|text| text.lines())
        {
            writeln!(text, "    {line}")?;
        }
    }
    Ok(())
}

fn decision(text: &mut String, decided: &Decided, now: Time) -> std::fmt::Result {
    let outcome = match decided.outcome {
        Outcome::Promoted => "promoted",
        Outcome::Rejected => "rejected",
    };
    write!(text, "\n{} was {outcome}", decided.revision)?;
    if let Some(at) = decided.at {
        write!(text, " {}", ago(at, now))?;
    }
    if let Some(grounds) = &decided.grounds {
        write!(text, ", with {} of the requests", grounds.weight)?;
        if let Some(takes) = exposed(decided, grounds) {
            write!(text, ", {takes} after its first")?;
        }
    }
    writeln!(text)?;
    writeln!(text, "  {}", decided.reason)?;
    match &decided.grounds {
        Some(grounds) => exhibits(text, &grounds.evidence),
        None => Ok(()),
    }
}

/// How long a revision had requests until it was decided upon.
fn exposed(decided: &Decided, grounds: &Grounds) -> Option<Takes> {
    let takes = decided.at? - grounds.first_weight_at?;
    Some(Takes(Some(takes)))
}

/// The evidence as a table, and behind it in words what does not pass, and what was spent of the error budget.
fn exhibits(text: &mut String, exhibits: &[Exhibit]) -> std::fmt::Result {
    if exhibits.is_empty() {
        return Ok(());
    }
    let title = [
        "SLO",
        "objective",
        "candidate, good",
        "stable, good",
        "misses objective",
        "worse than stable",
        "proof",
        "verdict",
    ];
    let mut rows = vec![title.map(str::to_owned).to_vec()];
    rows.extend(exhibits.iter().map(cells));
    text.push_str(&table(&rows));
    for exhibit in exhibits
        .iter()
        .filter(|one| one.verdict == Opinion::Inconclusive)
    {
        write!(text, "  {}: {}", exhibit.slo, exhibit.why)?;
        if let Some(lack) = exhibit.missing {
            write!(text, ": {}", missing(lack))?;
        }
        writeln!(text)?;
    }
    for exhibit in exhibits {
        if let Some(spending) = &exhibit.spending {
            writeln!(text, "  {}: error budget spent: {spending}", exhibit.slo)?;
        }
    }
    Ok(())
}

fn cells(exhibit: &Exhibit) -> Vec<String> {
    let objective = exhibit
        .objective_ppm
        .map(|ppm| Percent::from_ppm(ppm).as_str().to_owned());
    vec![
        exhibit.slo.clone(),
        objective.unwrap_or_else(|| "none".to_owned()),
        good(exhibit.candidate),
        good(exhibit.stable),
        grouped(exhibit.against.objective),
        grouped(exhibit.against.stable),
        grouped(exhibit.proof),
        format!("{:?}", exhibit.verdict),
    ]
}

fn good(tally: Tally) -> String {
    if tally.total == 0 {
        return "no events".to_owned();
    }
    let (good, total) = (grouped(tally.good), grouped(tally.total));
    format!("{good} of {total} ({})", explain::percent(tally))
}

fn missing(lack: Lack) -> String {
    let more = format!("{} more", grouped(lack.events));
    let seconds = lack.seconds.and_then(|seconds| i64::try_from(seconds).ok());
    match seconds.and_then(TimeDelta::try_seconds) {
        Some(takes) => format!("{more}, about {} at the rate seen", Takes(Some(takes))),
        None => more,
    }
}

fn ago(at: Time, now: Time) -> String {
    let ago = (now - at).max(TimeDelta::zero());
    format!("{} ({} ago)", clock(at), Takes(Some(ago)))
}

/// In UTC.
fn clock(at: Time) -> String {
    at.format("%Y-%m-%d %H:%M:%SZ").to_string()
}
