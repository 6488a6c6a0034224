//! What is made from the registry is what is committed, and the registry is whole.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failed unwrap is a failed test"
)]

use std::collections::BTreeSet;
use std::fs;

use sluice_telemetry::registry::{Group, Registry};
use sluice_telemetry::{COMMAND, made};

#[test]
fn committed_files_are_up_to_date() {
    for (path, text) in made().unwrap() {
        let committed = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            committed == text,
            "{} is not what the registry makes. Run:\n  {COMMAND}",
            path.display()
        );
    }
}

/// What Weaver asks of a group, as far as it needs no network.
#[test]
fn the_registry_is_whole() {
    let registry = Registry::read().unwrap();
    let defined: BTreeSet<_> = registry
        .attributes
        .iter()
        .map(|attribute| attribute.name().to_owned())
        .collect();
    let metrics = registry
        .metrics
        .iter()
        .chain(registry.indicators.iter().map(|(group, _)| group));
    let mut ids = BTreeSet::new();
    for metric in metrics.clone() {
        assert_eq!(metric.id, format!("metric.{}", metric.metric_name));
        assert!(
            ["counter", "gauge", "histogram", "updowncounter"]
                .contains(&metric.instrument.as_str()),
            "{}",
            metric.id
        );
        assert!(
            !metric.unit.is_empty() && metric.stability == "development",
            "{}",
            metric.id
        );
    }
    let sources = registry.sources.iter().map(|(group, _)| group);
    for group in metrics.chain(sources) {
        assert!(ids.insert(&group.id), "{} is there twice", group.id);
        let mut names = BTreeSet::new();
        for attribute in &group.attributes {
            let name = attribute.name();
            assert!(names.insert(name), "{} has {name} twice", group.id);
            assert!(attribute.is_reference(), "{} defines {name}", group.id);
            let ours = name.starts_with("sluice.");
            assert!(
                !ours || defined.contains(name),
                "{}: {name} is not defined",
                group.id
            );
        }
    }
    for attribute in &registry.attributes {
        assert!(
            !attribute.is_reference() && attribute.stability.is_some(),
            "{}",
            attribute.name()
        );
        assert!(
            attribute.name().starts_with("sluice."),
            "{} is not ours to define",
            attribute.name()
        );
        let used = |group: &Group| {
            group
                .attributes
                .iter()
                .any(|other| other.name() == attribute.name())
        };
        let groups = registry.sources.iter().map(|(group, _)| group);
        let groups = groups
            .chain(&registry.metrics)
            .chain(registry.indicators.iter().map(|(group, _)| group));
        assert!(
            groups.clone().any(used),
            "{} is used nowhere",
            attribute.name()
        );
    }
}

/// Every label that is read stands for an attribute, and every indicator has a source.
#[test]
fn every_label_is_told() {
    let registry = Registry::read().unwrap();
    let mut indicators = BTreeSet::new();
    for (group, source) in &registry.sources {
        indicators.extend(&source.indicators);
        let mut read: BTreeSet<&String> = BTreeSet::new();
        if let Some(requests) = &source.requests {
            read.extend([&requests.namespace, &requests.revision]);
            read.extend(requests.only.keys().chain(&requests.origin));
            read.extend(requests.rules.iter().flat_map(|rule| rule.when.keys()));
            assert!(requests.bounds_ms.is_sorted(), "{}", group.id);
        }
        if let Some(connections) = &source.connections {
            read.extend(connections.only.keys().chain(&connections.origin));
            read.extend(
                connections
                    .parts
                    .iter()
                    .flat_map(|part| [&part.namespace, &part.name]),
            );
            read.extend(
                connections
                    .counts
                    .iter()
                    .flat_map(|count| count.when.keys()),
            );
            read.extend(
                connections
                    .denials
                    .iter()
                    .flat_map(|denial| denial.when.keys()),
            );
            read.extend(
                connections
                    .from
                    .iter()
                    .flat_map(|from| [&from.namespace, &from.name, &from.principal]),
            );
        }
        assert!(
            source.requests.is_some() != source.connections.is_some(),
            "{}",
            group.id
        );
        let told = group
            .attributes
            .iter()
            .filter_map(|attribute| attribute.label());
        let told: BTreeSet<_> = told
            .map(str::to_owned)
            .chain(source.other_labels.clone())
            .collect();
        let read: BTreeSet<String> = read.into_iter().cloned().collect();
        assert_eq!(read, told, "{}", group.id);
    }
    let known: BTreeSet<_> = registry
        .indicators
        .iter()
        .map(|(group, _)| &group.metric_name)
        .collect();
    assert_eq!(indicators, known);
}
