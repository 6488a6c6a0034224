//! The manifests: the `CustomResourceDefinition`s as files that a person can review and apply.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use serde_json::{Map, Number, Value, json};

use crate::{Canary, CanaryPolicy, ClusterCanaryPolicy, MetricTemplate};

/// The command that writes the manifests anew.
pub const COMMAND: &str = "cargo run -p sluice-crds --bin crdgen -- crds/manifests";

/// One manifest.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// As `canaries.sluice.dev.yaml`.
    pub file_name: String,
    /// The text of the file, with a header that says how it is made.
    pub yaml: String,
}

/// Every manifest, as written to files.
///
/// # Errors
/// When a schema cannot be written as YAML, which no schema here does.
pub fn all() -> Result<Vec<Manifest>, serde_yaml_ng::Error> {
    [
        Canary::crd(),
        CanaryPolicy::crd(),
        ClusterCanaryPolicy::crd(),
        MetricTemplate::crd(),
    ]
    .into_iter()
    .map(render)
    .collect()
}

fn render(mut crd: CustomResourceDefinition) -> Result<Manifest, serde_yaml_ng::Error> {
    keep_on_uninstall(&mut crd);
    let file_name = format!("{}.yaml", crd.metadata.name.as_deref().unwrap_or_default());
    let mut value = serde_yaml_ng::from_value(serde_yaml_ng::to_value(crd)?)?;
    tidy(&mut value);
    begin_unread(&mut value);
    let yaml = serde_yaml_ng::to_string(&value)?;
    Ok(Manifest {
        file_name,
        yaml: format!(
            "# Generated from the types in crds/src; do not edit. Made by:\n#   {COMMAND}\n{yaml}"
        ),
    })
}

/// Deleting a definition deletes every object of its kind, and with them what routes traffic: no
/// tool may do so as a side effect of removing Sluice.
fn keep_on_uninstall(crd: &mut CustomResourceDefinition) {
    let annotations = crd.metadata.annotations.get_or_insert_default();
    for (key, value) in [
        (
            "argocd.argoproj.io/sync-options",
            "Delete=false,Prune=false",
        ),
        ("helm.sh/resource-policy", "keep"),
        ("kustomize.toolkit.fluxcd.io/prune", "disabled"),
    ] {
        annotations.insert(key.to_owned(), value.to_owned());
    }
}

/// kstatus takes an object without conditions for current, and an applier that waits would call a Canary
/// healthy which nobody has looked at yet. So its status begins with a generation that no spec has, as that of
/// Flux' own kinds does.
fn begin_unread(value: &mut Value) {
    let Some(Value::Array(versions)) = value.pointer_mut("/spec/versions") else {
        return;
    };
    for version in versions {
        let status = version.pointer_mut("/schema/openAPIV3Schema/properties/status");
        if let Some(Value::Object(status)) = status
            && let Some(properties) = status.get("properties")
            && properties.get("observedGeneration").is_some()
        {
            status.insert("default".to_owned(), json!({"observedGeneration": -1}));
        }
    }
}

/// Brings a schema to what the API server and `kubectl explain` take best.
fn tidy(value: &mut Value) {
    match value {
        Value::Object(object) => {
            tidy_object(object);
            object.values_mut().for_each(tidy);
        }
        Value::Array(items) => items.iter_mut().for_each(tidy),
        Value::Number(number) => {
            // Bounds are doubles in the API; 1 reads better than 1.0.
            if let Some(whole) = number.as_f64().filter(|n| n.fract() == 0.0)
                && let Ok(whole) = format!("{whole:.0}").parse::<i64>()
            {
                *number = Number::from(whole);
            }
        }
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

fn tidy_object(object: &mut Map<String, Value>) {
    // An optional field is left out, never null; CEL's has() would call a null present.
    if object.get("nullable") == Some(&json!(true)) {
        object.remove("nullable");
    }
    // The API server warns about formats it does not know.
    if let Some("uint32" | "uint64") = object.get("format").and_then(Value::as_str) {
        object.insert("format".to_owned(), json!("int64"));
    }
    if let Some(Value::String(description)) = object.get_mut("description") {
        *description = reflow(description);
    }
}

/// Turns a doc comment into what a terminal shows: no Markdown, and no breaks inside a paragraph.
fn reflow(text: &str) -> String {
    text.replace('`', "")
        .split("\n\n")
        .map(|paragraph| paragraph.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect::<Vec<_>>()
        .join("\n\n")
}
