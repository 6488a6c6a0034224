//! The Grafana board asks Prometheus for what there is.

use std::collections::BTreeSet;
use std::fs;

use e2e::{helm, paths};
use serde_json::{Value, json};
use sluice_telemetry::registry::Registry;

use super::alerts::{ALERTS, promtool, said};

/// Every query of a panel or a variable.
fn queries(board: &Value) -> Vec<String> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let mut queries = Vec::new();
    for panel in list(&board["panels"]) {
        let targets = list(&panel["targets"]);
        assert!(!targets.is_empty(), "{} asks for nothing", panel["title"]);
        queries.extend(targets.iter().map(|target| text(&target["expr"])));
    }
    for variable in list(&board["templating"]["list"]) {
        if variable["type"] == "query" {
            let query = text(&variable["query"]);
            let inside = query.strip_prefix("label_values(").unwrap();
            queries.push(inside.rsplit_once(", ").unwrap().0.to_owned());
        }
    }
    queries
}

/// Words like `sluice_leader` or `sluice:leader:max`, as far as they are ours.
fn names(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'));
    words
        .filter(|word| word.starts_with("sluice_") || word.starts_with("sluice:"))
        .map(str::to_owned)
        .collect()
}

#[test]
fn asks_in_promql() {
    let text = fs::read_to_string(helm::chart().join("files/board.json")).unwrap();
    let board: Value = serde_json::from_str(&text).unwrap();
    let queries = queries(&board);
    assert!(queries.len() > 10, "{queries:?}");
    let rules: Vec<_> = queries
        .iter()
        .enumerate()
        .map(|(n, query)| {
            // Grafana's, not PromQL.
            let query = query.replace("$__rate_interval", "5m");
            json!({"record": format!("query:{n}"), "expr": query})
        })
        .collect();
    let file = paths::scratch("board.yaml").unwrap();
    let groups = json!({"groups": [{"name": "board", "rules": rules}]});
    fs::write(&file, groups.to_string()).unwrap();
    let checked = promtool("check", &file);
    fs::remove_file(&file).unwrap();
    assert!(checked.status.success(), "{}", said(&checked));
}

/// A metric with another name is a panel that stays empty, and an alert that never fires.
#[test]
fn and_the_alerts_know_every_name() {
    let registry = Registry::read().unwrap();
    let shown: BTreeSet<_> = registry
        .metrics
        .iter()
        .map(sluice_telemetry::registry::Group::prometheus)
        .collect();
    let read = |name: &str| fs::read_to_string(helm::chart().join(name)).unwrap();
    let board: Value = serde_json::from_str(&read("files/board.json")).unwrap();
    let mut asked = names(&queries(&board).join(" "));
    let mut recorded = BTreeSet::new();
    for file in ALERTS.map(|alerts| alerts.rules) {
        let rules: Value = serde_yaml_ng::from_str(&read(file)).unwrap();
        for rule in rules["groups"][0]["rules"].as_array().unwrap() {
            asked.extend(names(rule["expr"].as_str().unwrap()));
            recorded.extend(rule["record"].as_str().map(str::to_owned));
        }
    }
    let unknown: Vec<_> = asked
        .iter()
        .filter(|name| !shown.contains(*name) && !recorded.contains(*name))
        .collect();
    assert!(unknown.is_empty(), "{unknown:?} of {shown:?}");
    assert!(asked.len() >= 8, "{asked:?}");
}
