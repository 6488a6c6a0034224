//! What Argo CD is to know of a Canary: the `ConfigMap` that users take, made of the scripts in `argocd/`.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde::Serialize;
use serde_json::json;

use crate::paths;

/// The command that writes it anew.
pub const COMMAND: &str = "cargo run -p e2e --bin argocdgen";

/// The actions, in the order of their definitions.
const ACTIONS: [&str; 5] = ["promote", "abort", "retry", "suspend", "resume"];

/// The actions of a kind, as Argo CD reads them from a string.
#[derive(Serialize)]
struct Actions {
    #[serde(rename = "discovery.lua")]
    discovery: String,
    definitions: Vec<Definition>,
}

#[derive(Serialize)]
struct Definition {
    name: &'static str,
    #[serde(rename = "action.lua")]
    script: String,
}

/// Where it lies.
#[must_use]
pub fn path() -> PathBuf {
    folder().join("argocd-cm.yaml")
}

/// The folder of the scripts.
#[must_use]
pub fn folder() -> PathBuf {
    paths::workspace().join("argocd")
}

/// Its data.
///
/// # Errors
/// When a script cannot be read.
pub fn data() -> Result<BTreeMap<&'static str, String>> {
    let definition = |name| {
        let script = script(&format!("actions/{name}.lua"))?;
        Ok(Definition { name, script })
    };
    let actions = Actions {
        discovery: script("actions/discovery.lua")?,
        definitions: ACTIONS.into_iter().map(definition).collect::<Result<_>>()?,
    };
    Ok(BTreeMap::from([
        (
            "resource.customizations.health.sluice.dev_Canary",
            script("health.lua")?,
        ),
        (
            "resource.customizations.actions.sluice.dev_Canary",
            serde_yaml_ng::to_string(&actions)?,
        ),
    ]))
}

/// Its text.
///
/// # Errors
/// When a script cannot be read.
pub fn text() -> Result<String> {
    let object = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "argocd-cm", "namespace": "argocd"},
        "data": data()?,
    });
    let yaml = serde_yaml_ng::to_string(&object)?;
    Ok(format!(
        "# Health and actions of Canaries, to be merged into Argo CD's ConfigMap: docs/argocd.md says how.\n\
         # Generated from the scripts beside it; do not edit. Made by:\n#   {COMMAND}\n{yaml}"
    ))
}

fn script(file: &str) -> Result<String> {
    let path = folder().join(file);
    fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))
}
