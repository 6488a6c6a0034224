//! The page for people, `docs/telemetry.md`.

use serde_json::Value;

use crate::COMMAND;
use crate::recording::record;
use crate::registry::{
    Attribute, Connections, Counted, Family, Group, Indicator, Is, Outcome, Registry, Requests,
    Source,
};

/// The page.
#[must_use]
pub fn markdown(registry: &Registry) -> String {
    let sections = [
        format!("<!-- Made from telemetry/registry; do not edit. Made by:\n     {COMMAND} -->"),
        INTRODUCTION.to_owned(),
        indicators(registry),
        RECORDED.to_owned(),
        "## Who counts".to_owned(),
        sections(registry),
        own(registry),
        attributes(registry),
    ];
    sections.join("\n\n") + "\n"
}

const INTRODUCTION: &str = "\
# Telemetry

What Sluice judges by, on both layers of a mesh, in OpenTelemetry's terms: which series, whose, and which values of which labels are
bad. All of it is made from [telemetry/registry](../telemetry/registry), a registry of
[OpenTelemetry Weaver](https://github.com/open-telemetry/weaver) on top of the semantic conventions; tests compare it with what the
controller reads and exposes. How to choose a source is told in [sources.md](sources.md).";

const RECORDED: &str = "\
`telemetry/rules/sluice.yaml` records them, for dashboards and alerts: rates per second by `k8s_namespace_name`, `sluice_revision` and
`sluice_source`, of every workload that has series, not of Canaries alone. What went wrong has `_bad` in its name, and is 0 where nothing did:

```
sluice:requests_bad:rate5m{k8s_namespace_name=\"shop\"} / sluice:requests:rate5m
histogram_quantile(0.99, sluice:request_duration_seconds_bucket:rate5m{k8s_namespace_name=\"shop\"})
```

The rules take OpenTelemetry's names with underscores, and the attributes on the series themselves (`promote_resource_attributes`). Sluice
does not read them: a rate loses the first sample of a new series, which is just the burst of errors that a rollout must not miss.
[examples/opentelemetry-collector](../examples/opentelemetry-collector) is a collector that brings all sources to one Prometheus.";

fn indicators(registry: &Registry) -> String {
    let row = |(group, indicator): &(Group, Indicator)| {
        let sources = registry
            .sources
            .iter()
            .filter(|(_, source)| source.indicators.contains(&group.metric_name));
        let sources: Vec<String> = sources.map(|(_, source)| code(&source.source)).collect();
        let slo = indicator
            .slo
            .as_deref()
            .map_or_else(|| "none, for people".to_owned(), code);
        vec![
            code(&group.metric_name),
            indicator.layer.to_string(),
            sentence(group),
            format!("{}, `{}`", group.instrument, group.unit),
            slo,
            code(&record(&indicator.recorded)),
            sources.join(", "),
        ]
    };
    let rows = registry.indicators.iter().map(row).collect();
    let head = [
        "indicator",
        "layer",
        "",
        "instrument, unit",
        "SLO",
        "recorded as",
        "from",
    ];
    format!("## Indicators\n\n{}", table(&head, rows))
}

fn sections(registry: &Registry) -> String {
    let sections = registry
        .sources
        .iter()
        .map(|(group, source)| section(group, source));
    sections.collect::<Vec<_>>().join("\n\n")
}

fn section(group: &Group, source: &Source) -> String {
    let mut parts = vec![
        format!("### `{}`", source.source),
        sentence(group),
        format!(
            "- **Owner:** {}.\n- **Exists if:** {}",
            source.owner,
            sentence_of(&source.exists)
        ),
    ];
    if let Some(requests) = &source.requests {
        parts.push(layer_7(requests));
    }
    if let Some(connections) = &source.connections {
        parts.push(layer_4(connections));
    }
    parts.push(labels(group, source));
    parts.join("\n\n")
}

fn layer_7(requests: &Requests) -> String {
    let only = requests
        .only
        .iter()
        .map(|(label, value)| format!("`{label}=\"{value}\"`"));
    let only = only.collect::<Vec<_>>();
    let series = |family: &Family| {
        let counter = family.requests.as_ref().map(|name| code(name));
        let histograms = family
            .durations
            .iter()
            .map(|name| code(name))
            .collect::<Vec<_>>()
            .join(" or ");
        let histogram = format!("the histogram {histograms} in {}", family.unit);
        counter.map_or_else(
            || histogram.clone(),
            |counter| format!("{counter}, {histogram}"),
        )
    };
    let series: Vec<String> = requests.families.iter().map(series).collect();
    let only = if only.is_empty() {
        String::new()
    } else {
        format!(", with {}", only.join(", "))
    };
    let callers = requests.callers.as_ref();
    let callers = callers.map(|it| format!(" Who goes around the waypoint is told by `{it}`."));
    let bounds = requests.bounds_ms.iter().map(u64::to_string);
    let list = [
        format!("- **Series:** {}{only}.", series.join("; else ")),
        format!(
            "- **One process** is told by {}.{}",
            codes(&requests.origin),
            callers.unwrap_or_default()
        ),
        format!(
            "- **Thresholds** of latency, in ms: {}.",
            bounds.collect::<Vec<_>>().join(", ")
        ),
    ];
    let list = list.join("\n");
    let rows = requests.rules.iter().map(|rule| {
        vec![
            conditions(&rule.when),
            outcome(rule.outcome).to_owned(),
            rule.brief.clone(),
        ]
    });
    let all = rows.chain([vec![
        "anything else".to_owned(),
        "good".to_owned(),
        String::new(),
    ]]);
    let rules = table(&["the first that fits", "is", ""], all.collect());
    format!("{list}\n\n{rules}")
}

fn layer_4(connections: &Connections) -> String {
    let only = connections
        .only
        .iter()
        .map(|(label, values)| is_one_of(label, values));
    let parts = connections
        .parts
        .iter()
        .map(|part| format!("`{}` of `{}`", part.name, part.namespace));
    let list = format!(
        "- **Series:** with {}.\n- **The revision** is {}.\n- **One process** is told by {}.",
        only.collect::<Vec<_>>().join(", "),
        parts.collect::<Vec<_>>().join(", or "),
        codes(&connections.origin),
    );
    let counts = connections.counts.iter().map(|count| {
        let counted = match count.counted {
            Counted::Begun => "all",
            Counted::Good => "good",
            Counted::Bad => "bad",
        };
        vec![
            code(&count.series),
            conditions(&count.when),
            counted.to_owned(),
            count.brief.clone(),
        ]
    });
    let denials = connections.denials.iter().map(|denial| {
        vec![
            code(&denial.series),
            conditions(&denial.when),
            "denied".to_owned(),
            denial.brief.clone(),
        ]
    });
    let head = ["series", "with", "is", ""];
    format!(
        "{list}\n\n{}",
        table(&head, counts.chain(denials).collect())
    )
}

fn labels(group: &Group, source: &Source) -> String {
    let row = |attribute: &Attribute| {
        let label = attribute.label().unwrap_or_else(|| attribute.name());
        vec![
            code(label),
            code(attribute.name()),
            requirement(attribute),
            attribute.note.trim().to_owned(),
        ]
    };
    let others = source
        .other_labels
        .iter()
        .map(|label| vec![code(label), String::new(), String::new(), String::new()]);
    let rows = group.attributes.iter().map(row).chain(others);
    table(&["label", "attribute", "is there", ""], rows.collect())
}

fn own(registry: &Registry) -> String {
    let row = |group: &Group| {
        let labels = group.attributes.iter().map(|attribute| {
            let label = attribute.label().unwrap_or_else(|| attribute.name());
            format!("`{label}` ({})", code(attribute.name()))
        });
        let labels = labels.collect::<Vec<_>>().join(", ");
        vec![
            code(&group.prometheus()),
            format!("{}, `{}`", group.instrument, group.unit),
            labels,
            sentence_of(&group.brief),
        ]
    };
    let rows = registry.metrics.iter().map(row).collect();
    let head = ["series", "instrument, unit", "labels (attributes)", ""];
    format!(
        "## What Sluice says of itself\n\nThe controller, at `--admin-address` under `/metrics`.\n\n{}",
        table(&head, rows)
    )
}

fn attributes(registry: &Registry) -> String {
    let row = |attribute: &Attribute| {
        let members = attribute.members();
        let values = members
            .iter()
            .map(|(value, brief)| format!("`{value}`: {brief}"));
        let values = if members.is_empty() {
            let examples = attribute
                .examples
                .iter()
                .filter_map(Value::as_str)
                .map(code);
            format!("as in {}", examples.collect::<Vec<_>>().join(", "))
        } else {
            values.collect::<Vec<_>>().join(" ")
        };
        vec![
            code(attribute.name()),
            [&attribute.brief, &attribute.note]
                .map(|text| text.trim())
                .join(" ")
                .trim()
                .to_owned(),
            values,
        ]
    };
    let rows = registry.attributes.iter().map(row).collect();
    format!(
        "## Attributes\n\nThose that the semantic conventions have no word for.\n\n{}",
        table(&["attribute", "", "values"], rows)
    )
}

fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Good => "good",
        Outcome::Bad => "bad",
        Outcome::Unreached => "bad, unless the mesh is behind",
        Outcome::Unanswered => "neither",
    }
}

fn conditions(when: &std::collections::BTreeMap<String, Is>) -> String {
    let condition = |(label, is): (&String, &Is)| match is {
        Is::OneOf(values) => is_one_of(label, values),
        Is::NoneOf(values) => format!("`{label}` is not {}", spoken(values)),
        Is::Lists(values) => format!("`{label}` lists {}", spoken(values)),
        Is::Prefix(prefix) => format!("`{label}` begins with `{prefix}`"),
        Is::Set => format!("`{label}` is not empty"),
    };
    when.iter().map(condition).collect::<Vec<_>>().join(" and ")
}

fn is_one_of(label: &str, values: &[String]) -> String {
    format!("`{label}` is {}", spoken(values))
}

fn spoken(values: &[String]) -> String {
    let each = values.iter().map(|value| {
        if value.is_empty() {
            "empty".to_owned()
        } else {
            code(value)
        }
    });
    each.collect::<Vec<_>>().join(" or ")
}

fn requirement(attribute: &Attribute) -> String {
    match &attribute.requirement_level {
        Some(Value::String(level)) if level == "required" => "always".to_owned(),
        Some(Value::Object(level)) => {
            let when = level.values().find_map(Value::as_str);
            format!("if {}", when.unwrap_or_default())
        }
        _ => "maybe".to_owned(),
    }
}

fn sentence(group: &Group) -> String {
    [group.brief.trim(), group.note.trim()]
        .join(" ")
        .trim()
        .to_owned()
}

fn sentence_of(text: &str) -> String {
    let text = text.trim();
    if text.ends_with('.') {
        text.to_owned()
    } else {
        format!("{text}.")
    }
}

fn codes(all: &[String]) -> String {
    all.iter()
        .map(|one| code(one))
        .collect::<Vec<_>>()
        .join(", ")
}

fn code(text: &str) -> String {
    format!("`{text}`")
}

/// Cells must not hold what separates them.
fn table(head: &[&str], rows: Vec<Vec<String>>) -> String {
    let line = |cells: Vec<String>| format!("| {} |", cells.join(" | "));
    let mut lines = vec![line(head.iter().map(|cell| (*cell).to_owned()).collect())];
    lines.push(format!("|{}", "---|".repeat(head.len())));
    lines.extend(rows.into_iter().map(line));
    lines.join("\n")
}
