//! Writes YAML to the cluster, as `kubectl apply --server-side` does.

use anyhow::{Context, Result};
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::{Client, ResourceExt, discovery};
use serde::Deserialize;

/// Field manager of what the harness writes.
pub(super) const MANAGER: &str = "e2e";

/// Applies every document of `yaml`, in order, and returns the objects as they are now.
pub(super) async fn apply(client: &Client, yaml: &str) -> Result<Vec<DynamicObject>> {
    let mut applied = Vec::new();
    for document in serde_yaml_ng::Deserializer::from_str(yaml) {
        let value = serde_json::Value::deserialize(document).context("reading YAML")?;
        // Comments alone, between two separators.
        if value.is_null() {
            continue;
        }
        let object: DynamicObject = serde_json::from_value(value).context("reading an object")?;
        applied.push(apply_one(client, &object).await?);
    }
    Ok(applied)
}

async fn apply_one(client: &Client, object: &DynamicObject) -> Result<DynamicObject> {
    let types = object
        .types
        .as_ref()
        .context("an object without apiVersion and kind")?;
    let gvk = GroupVersionKind::try_from(types)?;
    let what = format!("{} {}", gvk.kind, object.name_any());
    let (resource, _) = discovery::pinned_kind(client, &gvk)
        .await
        .with_context(|| format!("{what}: its kind is not served"))?;
    let api: Api<DynamicObject> = match object.namespace() {
        Some(namespace) => Api::namespaced_with(client.clone(), &namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    };
    let params = PatchParams::apply(MANAGER).force();
    api.patch(&object.name_any(), &params, &Patch::Apply(object))
        .await
        .with_context(|| format!("applying {what}"))
}
