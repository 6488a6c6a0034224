//! Custom resource definitions: Gateway API's, Istio's and ours.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use futures::stream::{self, StreamExt, TryStreamExt};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, PostParams};
use kube::{Client, ResourceExt};
use serde::Deserialize;

use crate::paths;
use crate::process::until;

/// Definitions created at once.
const CONCURRENCY: usize = 8;
const ESTABLISHED: Duration = Duration::from_secs(30);

/// Creates them all in a new cluster and waits until the API server serves them.
pub(super) async fn create(client: &Client, foreign: &Path) -> Result<()> {
    let mut definitions = read(foreign)?;
    for file in files(&paths::workspace().join("crds/manifests")).unwrap_or_default() {
        let yaml = fs::read_to_string(&file)?;
        for document in serde_yaml_ng::Deserializer::from_str(&yaml) {
            let definition = CustomResourceDefinition::deserialize(document)
                .with_context(|| format!("reading {}", file.display()))?;
            definitions.push(definition);
        }
    }
    serve(client, definitions).await
}

/// Creates those of a folder, each of which is a JSON file, as [`create`] does.
pub(super) async fn add(client: &Client, folder: &Path) -> Result<()> {
    serve(client, read(folder)?).await
}

fn read(folder: &Path) -> Result<Vec<CustomResourceDefinition>> {
    let mut definitions = Vec::new();
    for file in files(folder)? {
        let json = fs::read(&file).with_context(|| format!("reading {}", file.display()))?;
        definitions.push(serde_json::from_slice(&json)?);
    }
    Ok(definitions)
}

async fn serve(client: &Client, definitions: Vec<CustomResourceDefinition>) -> Result<()> {
    let api: &Api<CustomResourceDefinition> = &Api::all(client.clone());
    stream::iter(definitions)
        .map(Ok)
        .try_for_each_concurrent(CONCURRENCY, async |definition| {
            let name = definition.name_any();
            api.create(&PostParams::default(), &definition)
                .await
                .with_context(|| format!("creating {name}"))?;
            until(&name, ESTABLISHED, async || established(api, &name).await).await
        })
        .await
}

async fn established(api: &Api<CustomResourceDefinition>, name: &str) -> Result<()> {
    let conditions = api
        .get(name)
        .await?
        .status
        .and_then(|status| status.conditions);
    conditions
        .unwrap_or_default()
        .iter()
        .any(|condition| condition.type_ == "Established" && condition.status == "True")
        .then_some(())
        .context("not established yet")
}

fn files(folder: &Path) -> Result<Vec<std::path::PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
    Ok(entries
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .collect())
}
