//! The alerts of `prometheus-operator`, by Prometheus' own tool.

use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use e2e::paths;
use serde_json::{Value, json};

use super::Stage;
use super::files::{documents, read, run};

const RULES: &str = "prometheus-operator/rules.yaml";
const MONITORS: &str = "prometheus-operator/monitors.yaml";

/// Ten minutes of scrapes, the names of alerts that fire in the end.
fn cases() -> Vec<(Value, Vec<&'static str>)> {
    let up = |name: &str, pod: &str, values: &str| {
        let series = format!("up{{job=\"monitoring/{name}\",namespace=\"shop\",pod=\"{pod}\"}}");
        json!({"series": series, "values": values})
    };
    vec![
        (
            json!([up("waypoints", "a", "1x20"), up("ztunnel", "z", "1x20")]),
            vec![],
        ),
        (
            json!([
                up("waypoints", "a", "1x20"),
                up("waypoints", "b", "0x20"),
                up("ztunnel", "z", "1x20")
            ]),
            vec!["WaypointNotScraped"],
        ),
        (
            json!([
                up("waypoints", "a", "1x20"),
                up("ztunnel", "y", "1x20"),
                up("ztunnel", "z", "0x20")
            ]),
            vec!["ZtunnelNotScraped"],
        ),
        (json!([]), vec!["WaypointsNotScraped", "ZtunnelNotScraped"]),
    ]
}

pub(super) async fn fire_and_are_silent(stage: &Stage) -> Result<()> {
    let text = read(RULES)?;
    // A job is the namespace and the name of its PodMonitor.
    for monitor in documents(&read(MONITORS)?)? {
        let text_of = |field: &str| monitor["metadata"][field].as_str().unwrap_or_default();
        let job = format!("job=\"{}/{}\"", text_of("namespace"), text_of("name"));
        ensure!(text.contains(&job), "no alert is about {job}");
    }
    tested(stage, &text)?;
    // So that this is known to look.
    for (right, wrong) in [
        ("\"monitoring/waypoints\"", "\"waypoints\""),
        ("== 0", "== 1"),
        ("or up{job=\"monitoring/ztunnel\"} == 0", ""),
        ("for: 5m", "for: 1h"),
    ] {
        ensure!(text.contains(right), "no alert says {right}");
        let found = tested(stage, &text.replace(right, wrong)).is_err();
        ensure!(found, "nobody finds that {right} is {wrong}");
    }
    Ok(())
}

fn tested(stage: &Stage, rules: &str) -> Result<()> {
    let object: Value = serde_yaml_ng::from_str(rules)?;
    let alerts = object["spec"]["groups"][0]["rules"].as_array();
    let alerts = alerts.context("no alerts")?;
    let tests = cases().into_iter().map(|(series, firing)| {
        let tests = alerts.iter().map(|alert| {
            let name = alert["alert"].as_str().unwrap_or_default();
            let expected = u8::from(firing.contains(&name));
            let query = format!("count(ALERTS{{alertname=\"{name}\",alertstate=\"firing\"}}) or vector(0)");
            json!({"expr": query, "eval_time": "10m", "exp_samples": [{"labels": "{}", "value": expected}]})
        });
        let tests: Vec<_> = tests.collect();
        json!({"interval": "1m", "input_series": series, "promql_expr_test": tests})
    });
    let tests: Vec<_> = tests.collect();
    let folder = paths::scratch("rules")?;
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("rules.yaml"), object["spec"].to_string())?;
    let file = folder.join("tests.yaml");
    let plan = json!({"rule_files": ["rules.yaml"], "evaluation_interval": "1m", "tests": tests});
    fs::write(&file, plan.to_string())?;
    let said = run(Command::new(&stage.tools.promtool)
        .args(["test", "rules"])
        .arg(&file));
    fs::remove_dir_all(&folder)?;
    said.map(drop)
}
