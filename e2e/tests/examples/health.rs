//! The health of Applications, by Argo CD's own Lua machine.

use std::fs::{self, File};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use e2e::paths;
use serde_json::{Value, json};

use super::files::{read, run};
use super::{Stage, examples};

const CONFIG: &str = "argocd/argocd-cm.yaml";
/// The program asks for actions as well, and there are none.
const NO_ACTIONS: (&str, &str) = (
    "resource.customizations.actions.argoproj.io_Application",
    "discovery.lua: return {}\ndefinitions: []\n",
);

/// Each Application, and the health that lets the next wave begin or not.
fn applications() -> Vec<(&'static str, Value, &'static str)> {
    let synced = |version: &str| json!({"status": "Synced", "comparedTo": {"source": {"targetRevision": version}}});
    vec![
        ("new", json!({}), "Progressing"),
        (
            "synced and healthy",
            json!({"sync": synced("2"), "health": {"status": "Healthy"}}),
            "Healthy",
        ),
        (
            "on its way",
            json!({"sync": synced("2"), "health": {"status": "Progressing"}}),
            "Progressing",
        ),
        (
            "ill",
            json!({"sync": synced("2"), "health": {"status": "Degraded"}}),
            "Degraded",
        ),
        (
            "just pushed",
            json!({"sync": synced("1"), "health": {"status": "Healthy"}}),
            "Progressing",
        ),
        (
            "not synced",
            json!({"sync": {"status": "OutOfSync", "comparedTo": {"source": {"targetRevision": "2"}}},
                   "health": {"status": "Healthy"}}),
            "Progressing",
        ),
    ]
}

pub(super) async fn of_an_application(stage: &Stage) -> Result<()> {
    let config = read(CONFIG)?;
    let found = judged(stage, &config)?;
    for ((what, status, wanted), health) in applications().into_iter().zip(&found) {
        ensure!(health == wanted, "{what}, {status}: {health}");
    }
    // So that this is known to look.
    for (right, wrong) in [
        ("sync.status ~= \"Synced\"", "false"),
        ("compared.targetRevision ~= wanted.targetRevision", "false"),
        ("health.status or", "nil or"),
    ] {
        ensure!(config.contains(right), "the script does not say {right}");
        let found = judged(stage, &config.replace(right, wrong))?;
        let as_ever = applications()
            .iter()
            .zip(&found)
            .all(|((_, _, wanted), health)| health == wanted);
        ensure!(!as_ever, "nobody finds that {right} is {wrong}");
    }
    Ok(())
}

fn judged(stage: &Stage, config: &str) -> Result<Vec<String>> {
    let folder = paths::scratch("health")?;
    fs::create_dir_all(&folder)?;
    let (map, input) = (folder.join("cm.yaml"), folder.join("applications.yaml"));
    let mut config: Value = serde_yaml_ng::from_str(config)?;
    config["data"][NO_ACTIONS.0] = json!(NO_ACTIONS.1);
    fs::write(&map, config.to_string())?;
    let objects = applications().into_iter().map(|(_, status, _)| {
        json!({
            "apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "metadata": {"name": "one"},
            "spec": {"source": {"targetRevision": "2"}}, "status": status,
        })
        .to_string()
    });
    fs::write(&input, objects.collect::<Vec<_>>().join("\n---\n"))?;
    let mut command = Command::new(&stage.tools.argocd_lua);
    command.arg(&map).stdin(Stdio::from(File::open(&input)?));
    let said = run(command.current_dir(examples()));
    fs::remove_dir_all(&folder)?;
    said?
        .lines()
        .map(|line| {
            let judged: Value = serde_json::from_str(line)?;
            let status = judged["health"]["status"].as_str();
            Ok(status.context("no health")?.to_owned())
        })
        .collect()
}
