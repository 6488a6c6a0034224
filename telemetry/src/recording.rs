//! Recording rules: the indicators of both layers as the same few series, whatever a source calls them.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use serde::Serialize;

use crate::COMMAND;
use crate::registry::{Connections, Counted, Family, Is, Outcome, Registry, Requests, Source};
use crate::select::{Selector, spell, with};

/// How far back a rate looks: at least four scrapes, of a minute.
const WINDOW: &str = "5m";
/// The labels of every recorded series, beside that of the source.
const NAMESPACE: &str = "k8s_namespace_name";
const REVISION: &str = "sluice_revision";
const SOURCE: &str = "sluice_source";
/// By which a process that pushes is known.
const PROCESS: &str = "job, instance";
/// What proxies write where they know nothing.
const UNKNOWN: &str = "|unknown";

#[derive(Serialize)]
struct File {
    groups: Vec<Rules>,
}

#[derive(Serialize)]
struct Rules {
    name: String,
    rules: Vec<Recording>,
}

#[derive(Serialize)]
struct Recording {
    record: String,
    expr: String,
    labels: BTreeMap<&'static str, String>,
}

/// The file of rules.
///
/// # Errors
/// When an indicator that a source names is not in the registry.
pub fn yaml(registry: &Registry) -> Result<String> {
    let sources = registry.sources.iter();
    let groups = sources.map(|(_, source)| rules(source)).collect();
    let yaml = serde_yaml_ng::to_string(&File { groups }).context("writing the rules")?;
    Ok(format!(
        "# Recording rules: what Sluice judges by, of both layers, as the same few series per revision.\n\
         # Made from telemetry/registry; do not edit. Made by:\n#   {COMMAND}\n\
         # What each series means is told in docs/telemetry.md. `groups` is also the `spec` of a PrometheusRule.\n\
         {yaml}"
    ))
}

fn rules(source: &Source) -> Rules {
    let mut rules = Vec::new();
    let name = &source.source;
    if let Some(requests) = &source.requests {
        let of: [(&str, &[Outcome]); 3] = [
            (
                "requests",
                &[Outcome::Good, Outcome::Bad, Outcome::Unreached],
            ),
            ("requests_bad", &[Outcome::Bad, Outcome::Unreached]),
            ("requests_unanswered", &[Outcome::Unanswered]),
        ];
        for (record, outcomes) in of {
            let set = with(outcomes, &requests.rules);
            if set.is_empty() {
                continue;
            }
            let mut expr = requests.summed(&set);
            if record != "requests" {
                expr = or_none(name, "requests", &expr);
            }
            rules.push(recording(name, record, &expr));
        }
        let buckets = requests.buckets();
        rules.push(recording(name, "request_duration_seconds_bucket", &buckets));
    }
    if let Some(connections) = &source.connections {
        let total = &connections.unit;
        rules.push(recording(name, total, &connections.total()));
        let bad = or_none(
            name,
            total,
            &connections.summed(&connections.counts(Counted::Bad)),
        );
        rules.push(recording(name, &format!("{total}_bad"), &bad));
        let denials = connections.denials.iter();
        let denials: Vec<_> = denials.map(|it| (it.series.as_str(), &it.when)).collect();
        if !denials.is_empty() {
            let denied = or_none(name, total, &connections.summed(&denials));
            rules.push(recording(name, "policy_denials", &denied));
        }
    }
    Rules {
        name: format!("sluice-{name}"),
        rules,
    }
}

fn recording(source: &str, name: &str, expr: &str) -> Recording {
    Recording {
        record: record(name),
        expr: indented(expr),
        labels: BTreeMap::from([(SOURCE, source.to_owned())]),
    }
}

/// Two spaces for every parenthesis that is open. No text in it has one alone.
fn indented(expr: &str) -> String {
    let mut open = 0;
    let line = |line: &str| {
        let closes = line.chars().take_while(|c| *c == ')').count();
        let indent = "  ".repeat(open - closes.min(open));
        open = (open + line.matches('(').count()).saturating_sub(line.matches(')').count());
        format!("{indent}{line}")
    };
    expr.lines().map(line).collect::<Vec<_>>().join("\n")
}

/// The name of a recorded series.
pub(crate) fn record(name: &str) -> String {
    format!("sluice:{name}:rate{WINDOW}")
}

/// Nothing bad is no series; where there are events, it is 0.
fn or_none(source: &str, total: &str, expr: &str) -> String {
    let total = record(total);
    format!("{expr}\nor on ({NAMESPACE}, {REVISION})\n0 * {total}{{{SOURCE}=\"{source}\"}}")
}

impl Requests {
    fn summed(&self, set: &[Selector]) -> String {
        let each = |names: &[String]| self.rates(names, set);
        let all = self.chained(Family::counters, &each);
        renamed(&all, &self.namespace, &self.revision, None)
    }

    fn buckets(&self) -> String {
        let all = [Selector::default()];
        let family = |family: &Family| {
            let buckets = family.durations.iter().map(|name| format!("{name}_bucket"));
            let rates = self.rates(&buckets.collect::<Vec<_>>(), &all);
            let (namespace, name) = (spell(&self.namespace), spell(&self.revision));
            // Before the bounds are rewritten: then there are few series left.
            in_seconds(
                &format!("sum by ({PROCESS}, {namespace}, {name}, le) (\n{rates}\n)"),
                &family.unit,
            )
        };
        let mut families = self.families.iter();
        let first = families.next().map(family).unwrap_or_default();
        let mut earlier = self
            .families
            .first()
            .map(Family::counters)
            .unwrap_or_default();
        let rest = families.map(|next| {
            let has_better = self.rates(&earlier, &all);
            earlier.extend(next.counters());
            format!(
                "\nor (\n{}\nunless on ({PROCESS}) (\n{has_better}\n))",
                family(next)
            )
        });
        let all = first + &rest.collect::<String>();
        renamed(&all, &self.namespace, &self.revision, Some("le"))
    }

    /// Of one process only the best family that it has.
    fn chained(
        &self,
        names: impl Fn(&Family) -> Vec<String>,
        each: &impl Fn(&[String]) -> String,
    ) -> String {
        let mut earlier: Vec<String> = Vec::new();
        let mut all = String::new();
        for family in &self.families {
            let names = names(family);
            let rates = each(&names);
            if earlier.is_empty() {
                all = rates;
            } else {
                let has_better = self.rates(&earlier, &[Selector::default()]);
                all = format!("{all}\nor ((\n{rates}\n) unless on ({PROCESS}) (\n{has_better}\n))");
            }
            earlier.extend(names);
        }
        all
    }

    fn rates(&self, names: &[String], set: &[Selector]) -> String {
        let only = self
            .only
            .iter()
            .map(|(label, value)| format!("{}=\"{value}\"", spell(label)));
        let known = known(&self.revision);
        let matchers: Vec<String> = only.chain([known]).collect();
        rates(names.iter().map(String::as_str), &matchers, set)
    }
}

impl Family {
    fn counters(&self) -> Vec<String> {
        match &self.requests {
            Some(requests) => vec![requests.clone()],
            None => self
                .durations
                .iter()
                .map(|name| format!("{name}_count"))
                .collect(),
        }
    }
}

impl Connections {
    fn counts(&self, counted: Counted) -> Vec<(&str, &BTreeMap<String, Is>)> {
        let counts = self.counts.iter().filter(|count| count.counted == counted);
        counts
            .map(|count| (count.series.as_str(), &count.when))
            .collect()
    }

    /// All of them: those that were begun, or else the good and the bad.
    fn total(&self) -> String {
        let mut all = self.counts(Counted::Begun);
        if all.is_empty() {
            all = self.counts(Counted::Good);
            all.extend(self.counts(Counted::Bad));
        }
        self.summed(&all)
    }

    fn summed(&self, counters: &[(&str, &BTreeMap<String, Is>)]) -> String {
        let only = self.only.iter().filter(|(label, _)| {
            // What the counter asks of the label is narrower.
            !counters.iter().all(|(_, when)| when.contains_key(*label))
        });
        self.of_parts(
            counters,
            &only
                .map(|(label, values)| matcher(label, values))
                .collect::<Vec<_>>(),
        )
    }

    fn of_parts(&self, counters: &[(&str, &BTreeMap<String, Is>)], only: &[String]) -> String {
        let parts = self.parts.iter().map(|part| {
            let terms = counters.iter().map(|(series, when)| {
                let matchers: Vec<_> = only.iter().cloned().chain([known(&part.name)]).collect();
                rates([*series].into_iter(), &matchers, &[Selector::of(when)])
            });
            let terms = terms.collect::<Vec<_>>().join("\nor\n");
            let of_one = renamed(&terms, &part.namespace, &part.name, None);
            if self.parts.len() == 1 {
                return of_one;
            }
            // Or the same revision at the other end would be taken for the same series.
            format!(
                "label_replace(\n{of_one},\n\"end\", \"{}\", \"\", \"\")",
                part.name
            )
        });
        let parts = parts.collect::<Vec<_>>();
        if parts.len() == 1 {
            return parts.concat();
        }
        format!(
            "sum by ({NAMESPACE}, {REVISION}) (\n{}\n)",
            parts.join("\nor\n")
        )
    }
}

fn matcher(label: &str, values: &[String]) -> String {
    match values {
        [one] => format!("{}=\"{one}\"", spell(label)),
        several => format!("{}=~\"{}\"", spell(label), several.join("|")),
    }
}

fn known(revision: &str) -> String {
    format!("{}!~\"{UNKNOWN}\"", spell(revision))
}

fn rates<'a>(names: impl Iterator<Item = &'a str>, first: &[String], set: &[Selector]) -> String {
    let each = names.flat_map(|name| {
        let name = spell(name);
        let rate = move |selector: &Selector| {
            format!("rate({name}{{{}}}[{WINDOW}])", selector.matchers(first))
        };
        set.iter().map(rate)
    });
    each.collect::<Vec<_>>().join("\nor\n")
}

/// The sum per revision, by the labels that all recorded series have.
fn renamed(expr: &str, namespace: &str, revision: &str, and: Option<&str>) -> String {
    let and = and.map(|label| format!(", {label}")).unwrap_or_default();
    let (namespace, revision) = (spell(namespace), spell(revision));
    let mut renamed = format!("sum by ({namespace}, {revision}{and}) (\n{expr}\n)");
    for (to, from) in [(NAMESPACE, &namespace), (REVISION, &revision)] {
        if to != from {
            renamed = replaced(&renamed, to, "$1", from, "(.*)");
        }
    }
    format!("sum by ({NAMESPACE}, {REVISION}{and}) (\n{renamed}\n)")
}

fn replaced(expr: &str, to: &str, replacement: &str, from: &str, regex: &str) -> String {
    format!("label_replace({expr}, \"{to}\", \"{replacement}\", \"{from}\", \"{regex}\")")
}

/// Bounds of buckets in seconds, written as Prometheus 3 writes them: `1` as `1.0`.
fn in_seconds(expr: &str, unit: &str) -> String {
    let milliseconds: &[(&str, &str)] = &[
        (r"0\\.5", "0.0005"),
        (r"(\\d)(\\.0)?", "0.00$1"),
        (r"(\\d{2})(\\.0)?", "0.0$1"),
        (r"(\\d{3})(\\.0)?", "0.$1"),
        (r"(\\d+)(\\d{3})(\\.0)?", "$1.$2"),
        // Prometheus writes these with an exponent.
        (r"1\\.8e\\+06", "1800.0"),
        (r"3\\.6e\\+06", "3600.0"),
        (r"(\\d+\\.\\d+?)0+", "$1"),
    ];
    let seconds: &[(&str, &str)] = &[(r"(\\d+)", "$1.0")];
    let steps = if unit == "ms" { milliseconds } else { seconds };
    let rewrite = |expr: String, (regex, to): &(&str, &str)| replaced(&expr, "le", to, "le", regex);
    steps.iter().fold(expr.to_owned(), rewrite)
}
