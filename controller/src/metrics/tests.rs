//! The registry in `telemetry/` tells of every metric and label that the controller and git-sync have, and of no other.

use std::collections::{BTreeMap, BTreeSet};

use sluice_core::evidence::{Against, Spending};
use sluice_core::{Finding, Phase, Tally, Verdict};
use sluice_git_sync::pass::{Kind, News};
use sluice_telemetry::registry::{Group, Registry};

use super::{CanaryLabels, Metrics, Outcome};

/// Kind, text, and the values of each label.
type Page = BTreeMap<String, (String, String, BTreeMap<String, BTreeSet<String>>)>;

#[test]
fn the_registry_tells_what_is_shown() {
    let registry = Registry::read().unwrap();
    let mut shown = page(&filled().encode().unwrap());
    shown.extend(page(&git_sync().encode().unwrap()));
    let told: BTreeMap<_, _> = registry
        .metrics
        .iter()
        .map(|group| (group.prometheus(), group))
        .collect();
    assert_eq!(
        shown.keys().collect::<Vec<_>>(),
        told.keys().collect::<Vec<_>>(),
        "shown, told"
    );
    for (name, (kind, text, labels)) in &shown {
        let group: &Group = told[name];
        assert_eq!(
            (kind, text),
            (&group.instrument, &format!("{}.", group.brief)),
            "{name}: shown, told"
        );
        let label = |attribute: &sluice_telemetry::registry::Attribute| {
            attribute.label().unwrap().to_owned()
        };
        let told: BTreeSet<String> = group.attributes.iter().map(label).collect();
        assert_eq!(
            labels.keys().cloned().collect::<BTreeSet<_>>(),
            told,
            "{name}: labels shown, told"
        );
        for reference in &group.attributes {
            let mut defined = registry.attributes.iter();
            let Some(defined) = defined.find(|defined| defined.name() == reference.name()) else {
                continue;
            };
            let told: BTreeSet<String> = defined
                .members()
                .iter()
                .map(|(value, _)| (*value).to_owned())
                .collect();
            let shown = &labels[reference.label().unwrap()];
            assert!(
                told.is_empty() || *shown == told,
                "{name}: {shown:?} shown, {told:?} told"
            );
        }
    }
}

/// Alerts take the series of a phase for the Canary's phase.
#[test]
fn a_canary_is_in_one_phase() {
    let metrics = Metrics::default();
    let canary = || CanaryLabels {
        namespace: "shop".to_owned(),
        canary: "web".to_owned(),
    };
    let shown = || {
        let page = metrics.encode().unwrap();
        let series = page
            .lines()
            .filter(|line| line.starts_with("sluice_canary_phase{"));
        series.map(str::to_owned).collect::<Vec<_>>()
    };
    let holding = r#"sluice_canary_phase{namespace="shop",canary="web",phase="Holding"} 1"#;
    metrics.is_in(canary(), "Progressing");
    for _ in 0..2 {
        metrics.is_in(canary(), "Holding");
        assert_eq!(shown(), [holding]);
    }
    metrics.forget("shop", "web");
    assert_eq!(shown(), [""; 0]);
    metrics.is_in(canary(), "Holding");
    metrics.clear();
    assert_eq!(shown(), [""; 0]);
    metrics.is_in(canary(), "Holding");
    assert_eq!(shown(), [holding]);
}

/// With every series that there can be.
fn filled() -> Metrics {
    let metrics = Metrics::default();
    for outcome in [
        Outcome::Written,
        Outcome::Idle,
        Outcome::Behind,
        Outcome::Outrun,
        Outcome::Failed,
        Outcome::Silent,
    ] {
        // A new one must be told as well.
        match outcome {
            Outcome::Written
            | Outcome::Idle
            | Outcome::Behind
            | Outcome::Outrun
            | Outcome::Failed
            | Outcome::Silent => {}
        }
        metrics.reconciled(outcome);
    }
    metrics.written("HTTPRoute", true);
    metrics.written("HTTPRoute", false);
    metrics.leads(true);
    let labels = CanaryLabels {
        namespace: "shop".to_owned(),
        canary: "web".to_owned(),
    };
    metrics.weight.get_or_create(&labels).set(0.25);
    for phase in [
        Phase::Initializing,
        Phase::Waiting,
        Phase::Progressing,
        Phase::Holding,
        Phase::Promoting,
        Phase::Finalising,
        Phase::Succeeded,
        Phase::Failed,
    ] {
        // A new one must be told as well.
        match phase {
            Phase::Initializing
            | Phase::Waiting
            | Phase::Progressing
            | Phase::Holding
            | Phase::Promoting
            | Phase::Finalising
            | Phase::Succeeded
            | Phase::Failed => {}
        }
        let canary = format!("in-{phase}");
        let namespace = "shop".to_owned();
        metrics.is_in(CanaryLabels { namespace, canary }, &phase.to_string());
    }
    let tally = Tally { good: 1, total: 2 };
    metrics.found(
        "shop",
        "web",
        &Finding {
            slo: "availability".to_owned(),
            objective_ppm: None,
            candidate: tally,
            stable: tally,
            against: Against::default(),
            proof: 200,
            lack: None,
            spending: Some(Spending {
                spent_ppm: 12_000,
                allowed_ppm: 50_000,
            }),
            verdict: Verdict::Pass,
        },
    );
    metrics
}

/// git-sync, with every series that there can be.
fn git_sync() -> sluice_git_sync::Metrics {
    let metrics = sluice_git_sync::Metrics::default();
    let news = [Kind::Recorded, Kind::Reverted, Kind::Proposed].map(|kind| News {
        stance: 0,
        kind,
        text: String::new(),
    });
    metrics.passed(&news, chrono::DateTime::UNIX_EPOCH);
    metrics.failed();
    metrics
}

fn page(text: &str) -> Page {
    let mut page = Page::new();
    for line in text.lines() {
        let mut words = line.splitn(4, ' ');
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some("#"), Some("HELP"), Some(name), Some(text)) => {
                text.clone_into(&mut page.entry(name.to_owned()).or_default().1);
            }
            (Some("#"), Some("TYPE"), Some(name), Some(kind)) => {
                kind.clone_into(&mut page.entry(name.to_owned()).or_default().0);
            }
            (Some("#"), ..) => {}
            (Some(sample), ..) => {
                let (name, labels) = sample.split_once('{').unwrap_or((sample, "}"));
                let name = name.strip_suffix("_total").unwrap_or(name);
                let entry = page.get_mut(name).unwrap();
                for pair in labels
                    .trim_end_matches('}')
                    .split(',')
                    .filter(|pair| !pair.is_empty())
                {
                    let (label, value) = pair.split_once('=').unwrap();
                    let values = entry.2.entry(label.to_owned()).or_default();
                    values.insert(value.trim_matches('"').to_owned());
                }
            }
            _ => {}
        }
    }
    // A counter's samples have a suffix that its name has not.
    let total = |(name, entry): (String, (String, String, _))| {
        let suffix = if entry.0 == "counter" { "_total" } else { "" };
        (format!("{name}{suffix}"), entry)
    };
    page.into_iter().map(total).collect()
}
