//! The registry in `telemetry/` tells people and other tools what this folder tells the controller: neither may change
//! alone.

use serde_json::{Value, json};
use sluice_core::Indicator;
use sluice_crds::{ConnectionSource, Source};
use sluice_telemetry::registry::{self, Registry};

use super::connections::{Connections, Count, Counted, PeerLabels, WorkloadLabels};
use super::{CountedBy, Dialect, Family, Is, Outcome, Rule, Unit};

#[test]
fn every_source_is_as_the_registry_says() {
    let registry = Registry::read().unwrap();
    for source in Source::ALL {
        let dialect = Dialect::of(source);
        let told = registry.source(dialect.name).map(told);
        let told = told.unwrap_or_else(|| panic!("the registry has no {}", dialect.name));
        assert_eq!(
            used(dialect),
            told,
            "{}: used by the controller, told",
            dialect.name
        );
    }
    let requests = registry
        .sources
        .iter()
        .filter(|(_, told)| told.requests.is_some());
    assert_eq!(
        requests.count(),
        Source::ALL.len(),
        "the registry tells of others"
    );
}

fn used(dialect: &Dialect) -> Value {
    let (counted_by, target_info) = match dialect.counted_by {
        CountedBy::Proxies => ("proxies", false),
        CountedBy::Pods { target_info } => ("pods", target_info),
    };
    let family = |family: &Family| {
        let unit = match family.unit {
            Unit::Milliseconds => "ms",
            Unit::Seconds => "s",
        };
        json!([family.requests, family.durations, unit])
    };
    json!({
        "counted_by": [counted_by, target_info],
        "only": sorted(dialect.only),
        "namespace": dialect.namespace,
        "revision": dialect.service,
        "origin": dialect.origin,
        "callers": dialect.connections.map(|connections| connections.name),
        "families": dialect.families.iter().map(family).collect::<Vec<_>>(),
        "rules": dialect.rules.iter().map(rule).collect::<Vec<_>>(),
        "bounds_ms": dialect.bounds_ms,
    })
}

fn told(source: &registry::Source) -> Value {
    let requests = source.requests.as_ref().unwrap();
    let family =
        |family: &registry::Family| json!([family.requests, family.durations, family.unit]);
    let rule = |rule: &registry::Rule| {
        let when = rule
            .when
            .iter()
            .map(|(label, is)| (label, format!("{is:?}")));
        json!([format!("{:?}", rule.outcome), when.collect::<Vec<_>>()])
    };
    json!({
        "counted_by": [requests.counted_by, requests.target_info],
        "only": requests.only.iter().collect::<Vec<_>>(),
        "namespace": requests.namespace,
        "revision": requests.revision,
        "origin": requests.origin,
        "callers": requests.callers,
        "families": requests.families.iter().map(family).collect::<Vec<_>>(),
        "rules": requests.rules.iter().map(rule).collect::<Vec<_>>(),
        "bounds_ms": requests.bounds_ms,
    })
}

fn rule(rule: &Rule) -> Value {
    let outcome = match rule.outcome {
        Outcome::Good => registry::Outcome::Good,
        Outcome::Bad => registry::Outcome::Bad,
        Outcome::Unreached => registry::Outcome::Unreached,
        Outcome::Unanswered => registry::Outcome::Unanswered,
    };
    json!([format!("{outcome:?}"), when(rule.when)])
}

/// In the order of labels, as the registry has them.
fn when(all: &[(&str, Is)]) -> Value {
    let owned = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect();
    let is = |is: &Is| match is {
        Is::OneOf(values) => registry::Is::OneOf(owned(values)),
        Is::NoneOf(values) => registry::Is::NoneOf(owned(values)),
        Is::Lists(values) => registry::Is::Lists(owned(values)),
        Is::Prefixed(prefix) => registry::Is::Prefix((*prefix).to_owned()),
        Is::Set => registry::Is::Set,
    };
    let mut all: Vec<_> = all
        .iter()
        .map(|(label, value)| (*label, format!("{:?}", is(value))))
        .collect();
    all.sort();
    json!(all)
}

fn sorted(pairs: &[(&str, &str)]) -> Value {
    let mut pairs = pairs.to_vec();
    pairs.sort_unstable();
    json!(pairs)
}

#[test]
fn every_source_of_connections_is_as_the_registry_says() {
    let registry = Registry::read().unwrap();
    for source in ConnectionSource::ALL {
        let used = Connections::of(source);
        let told = registry
            .source(used.name)
            .and_then(|source| source.connections.as_ref());
        let told = told.unwrap_or_else(|| panic!("the registry has no {}", used.name));
        assert_eq!(
            used_connections(used),
            told_connections(told),
            "{}: used, told",
            used.name
        );
    }
    let connections = registry
        .sources
        .iter()
        .filter(|(_, told)| told.connections.is_some());
    assert_eq!(
        connections.count(),
        ConnectionSource::ALL.len(),
        "the registry tells of others"
    );
}

fn used_connections(used: &Connections) -> Value {
    let unit = match used.indicator {
        Indicator::Connections => "connections",
        Indicator::Flows => "flows",
        ref other => panic!("{other:?} is not of layer 4"),
    };
    let count = |count: &Count| {
        let counted = match count.counted {
            Counted::Begun => registry::Counted::Begun,
            Counted::Good => registry::Counted::Good,
            Counted::Bad => registry::Counted::Bad,
        };
        json!([count.metric, when(count.when), format!("{counted:?}")])
    };
    let mut only = used.only.to_vec();
    only.sort_unstable();
    let part = |part: &WorkloadLabels| json!([part.namespace, part.name]);
    let from = |from: &PeerLabels| json!([part(&from.workload), from.principal]);
    json!({
        "unit": unit,
        "counts": used.rules.iter().map(count).collect::<Vec<_>>(),
        "only": only,
        "origin": used.origin,
        "parts": used.parts.iter().map(part).collect::<Vec<_>>(),
        "from": used.from.map(from),
    })
}

fn told_connections(told: &registry::Connections) -> Value {
    let count = |count: &registry::Count| {
        let when = count
            .when
            .iter()
            .map(|(label, is)| (label, format!("{is:?}")));
        json!([
            count.series,
            when.collect::<Vec<_>>(),
            format!("{:?}", count.counted)
        ])
    };
    let part = |part: &registry::WorkloadLabels| json!([part.namespace, part.name]);
    let from = |from: &registry::PeerLabels| json!([[from.namespace, from.name], from.principal]);
    json!({
        "unit": told.unit,
        "counts": told.counts.iter().map(count).collect::<Vec<_>>(),
        "only": told.only.iter().collect::<Vec<_>>(),
        "origin": told.origin,
        "parts": told.parts.iter().map(part).collect::<Vec<_>>(),
        "from": told.from.as_ref().map(from),
    })
}
