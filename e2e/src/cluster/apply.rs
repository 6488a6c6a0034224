//! Writes YAML to the cluster, as `kubectl apply --server-side` does.

use anyhow::{Context, Result};
use kube::api::{Api, DynamicObject, Patch, PatchParams, TypeMeta};
use kube::core::GroupVersionKind;
use kube::discovery::Scope;
use kube::{Client, Resource, ResourceExt, discovery};
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

/// What the API server said to an object: nothing, or why it refuses.
pub type Answered = Result<(), String>;

/// Writes every document of `yaml` as `kubectl apply` does: it creates, or merges into what is
/// there, and lets the API server refuse unknown fields. Returns the answer to each. An object of a
/// namespaced kind goes to `namespace`.
pub(super) async fn apply_strictly(
    client: &Client,
    namespace: &str,
    yaml: &str,
) -> Result<Vec<Answered>> {
    let mut answers = Vec::new();
    for document in serde_yaml_ng::Deserializer::from_str(yaml) {
        let object = serde_json::Value::deserialize(document).context("reading YAML")?;
        answers.push(match strictly(client, namespace, &object).await {
            Ok(()) => Ok(()),
            Err(error) => match error.downcast::<kube::Error>()? {
                kube::Error::Api(status) => Err(status.message),
                other => return Err(other.into()),
            },
        });
    }
    Ok(answers)
}

async fn strictly(client: &Client, namespace: &str, object: &serde_json::Value) -> Result<()> {
    // Not read as an object's type: that would drop or refuse what the server is asked to refuse.
    let types: TypeMeta = serde_json::from_value(object.clone()).context("reading a kind")?;
    let name = object
        .pointer("/metadata/name")
        .and_then(serde_json::Value::as_str);
    let name = name.context("an object without a name")?;
    let gvk = GroupVersionKind::try_from(&types)?;
    let (resource, capabilities) = discovery::pinned_kind(client, &gvk).await?;
    let namespace = (capabilities.scope == Scope::Namespaced).then_some(namespace);
    let path = DynamicObject::url_path(&resource, namespace);
    let query = format!("fieldManager={MANAGER}&fieldValidation=Strict");
    let body = serde_json::to_vec(object)?;
    let create = hyper::Request::post(format!("{path}?{query}"))
        .header("Content-Type", "application/json")
        .body(body.clone())?;
    match client.request::<serde_json::Value>(create).await {
        Err(kube::Error::Api(status)) if status.reason == "AlreadyExists" => {
            let merge = hyper::Request::patch(format!("{path}/{name}?{query}"))
                .header("Content-Type", "application/merge-patch+json")
                .body(body)?;
            client.request::<serde_json::Value>(merge).await?;
            Ok(())
        }
        other => other.map(drop).map_err(Into::into),
    }
}

/// What the API server would say to an object that `kubectl apply --server-side` brings: its unknown fields are refused,
/// and nothing is written. A kind that is not served, and a namespaced object without a namespace, are refused as well.
pub(super) async fn try_out(client: &Client, object: &serde_json::Value) -> Result<Answered> {
    let types: TypeMeta = serde_json::from_value(object.clone()).context("reading a kind")?;
    let text = |path: &str| object.pointer(path).and_then(serde_json::Value::as_str);
    let name = text("/metadata/name").context("an object without a name")?;
    let gvk = GroupVersionKind::try_from(&types)?;
    let Ok((resource, capabilities)) = discovery::pinned_kind(client, &gvk).await else {
        return Ok(Err(format!("{}: no such kind is served", types.kind)));
    };
    let namespace = text("/metadata/namespace");
    let namespaced = capabilities.scope == Scope::Namespaced;
    if namespaced != namespace.is_some() {
        let (is, has) = if namespaced {
            ("", "no")
        } else {
            ("not ", "a")
        };
        let kind = types.kind;
        return Ok(Err(format!(
            "{kind} is {is}namespaced, and {name} has {has} namespace"
        )));
    }
    let path = DynamicObject::url_path(&resource, namespace);
    let query = format!("fieldManager={MANAGER}&force=true&fieldValidation=Strict&dryRun=All");
    let request = hyper::Request::patch(format!("{path}/{name}?{query}"))
        .header("Content-Type", "application/apply-patch+yaml")
        .body(serde_json::to_vec(object)?)?;
    match client.request::<serde_json::Value>(request).await {
        Ok(_) => Ok(Ok(())),
        Err(kube::Error::Api(status)) => Ok(Err(status.message)),
        Err(other) => Err(other.into()),
    }
}
