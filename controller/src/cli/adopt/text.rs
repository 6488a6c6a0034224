//! A [`Plan`] for a person.

use std::fmt::Write as _;

use super::gather::{Gap, Reading};
use super::item::{Fate, Item};
use super::plan::Plan;

/// The text, with a line break at its end.
pub(super) fn of(plan: &Plan) -> String {
    let mut text = format!(
        "Deployment {}/{} becomes the source of revisions. Each is a Deployment and a Service named\n  {}\n\
         The Deployment itself stays, at 0 once Git keeps no size for it; Service {} stays as it is. Nothing was written.\n",
        plan.namespace, plan.deployment, plan.revisions, plan.service
    );
    for (fate, title) in [
        (Fate::Change, "To change first"),
        (Fate::ChangeWhenTold, "To change when the Canary says so"),
        (Fate::Look, "To look at yourself"),
        (Fate::Stays, "Goes on as it is"),
    ] {
        let items: Vec<_> = plan.items.iter().filter(|item| item.fate == fate).collect();
        if !items.is_empty() {
            _ = writeln!(text, "\n{title}");
        }
        for item in items {
            told(&mut text, item);
        }
    }
    if !plan.gaps.is_empty() {
        _ = writeln!(text, "\nNot looked at");
    }
    for gap in &plan.gaps {
        _ = writeln!(text, "  {}: {}", gap.kind, reading(gap, &plan.namespace));
    }
    if let Some(canary) = &plan.canary {
        _ = writeln!(text, "\nThe Canary to write");
        let yaml = serde_yaml_ng::to_string(canary).unwrap_or_default();
        marked(&mut text, "  ", &yaml);
    }
    _ = writeln!(text, "\nIn this order");
    for (index, step) in plan.steps.iter().enumerate() {
        _ = writeln!(text, "  {}. {step}", index + 1);
    }
    text
}

fn told(text: &mut String, item: &Item) {
    _ = writeln!(text, "  {}: {}", item.object, item.why);
    for replace in &item.replace {
        marked(text, "    - ", &replace.from);
        marked(text, "    + ", &replace.to);
    }
}

/// Every line behind a mark.
fn marked(text: &mut String, mark: &str, lines: &str) {
    for line in lines.lines() {
        _ = writeln!(text, "{}", format!("{mark}{line}").trim_end());
    }
}

fn reading(gap: &Gap, namespace: &str) -> String {
    let state = match gap.reading {
        Reading::NotInstalled => "not installed".to_owned(),
        Reading::NotReadable => "not readable".to_owned(),
        Reading::OnlyHere => format!("not readable outside of {namespace}"),
    };
    match &gap.why {
        Some(why) => format!("{state}: {why}"),
        None => state,
    }
}
