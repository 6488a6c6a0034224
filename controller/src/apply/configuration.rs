//! Copies of the configuration that a revision needs: made with it, removed with the last user.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::ApiResource;
use kube::{Api, ResourceExt as _};
use sluice_core::RevisionName;

use super::scene::{EffectError, Scene};
use super::writer::Writer;
use crate::observe::Observed;
use crate::render::config::{self, Config};
use crate::render::name;

/// Copies every `ConfigMap` of a revision, by name and content hash.
///
/// The caches keep hashes alone, so each is read once here; should it have changed since, the revision
/// is another one by now.
pub(super) async fn copy(
    writer: &Writer,
    observed: &Observed,
    contents: &Config,
) -> Result<(), EffectError> {
    let api: Api<ConfigMap> = Api::namespaced(writer.client.clone(), &observed.namespace);
    for (key, hash) in contents {
        let found = api.get_opt(key).await;
        let found = found.map_err(|source| EffectError::Read {
            name: key.clone(),
            source: Box::new(source),
        })?;
        let Some(found) = found.filter(|found| config::config_map_hash(found) == *hash) else {
            return Err(EffectError::Gone(format!(
                "ConfigMap {key} changed meanwhile"
            )));
        };
        let copy = config::copy_of_config_map(&observed.name, &found);
        let copy = serde_json::to_value(copy).and_then(serde_json::from_value);
        let copy = copy.map_err(|error| EffectError::Gone(error.to_string()))?;
        writer.create(&config_map(), "ConfigMap", copy).await?;
    }
    Ok(())
}

/// Copies again what is missing of a revision whose pods are about to be made: its removal may have come
/// half-way when Git asked for it again.
pub(super) async fn mend(
    writer: &Writer,
    observed: &Observed,
    contents: &Config,
) -> Result<(), EffectError> {
    let is_missing = |(key, hash): &(&String, &String)| find(observed, key, hash).is_none();
    let missing = contents.iter().filter(is_missing);
    let missing = missing.map(|(key, hash)| (key.clone(), hash.clone()));
    copy(writer, observed, &missing.collect()).await
}

/// Removes the copies that only the removed revision used.
pub(super) async fn sweep(
    writer: &Writer,
    scene: &Scene<'_>,
    removed: &RevisionName,
) -> Result<(), EffectError> {
    let Some(snapshot) = scene.known.get(removed) else {
        return Ok(());
    };
    let others = scene
        .known
        .snapshots
        .iter()
        .filter(|other| other.revision != *removed);
    // Unless all of it goes, the target's configuration may be about to become a revision of its own.
    let deleting = scene.observed.canary.metadata.deletion_timestamp.is_some();
    let sources = scene
        .sources()
        .filter(|source| !deleting && source.revision != *removed);
    let configs = others
        .map(|other| &other.config)
        .chain(sources.map(|source| &source.config));
    let used: BTreeSet<_> = configs.flatten().collect();
    for (key, hash) in snapshot.config.iter().filter(|copy| !used.contains(copy)) {
        let Some(copy) = find(scene.observed, key, hash) else {
            continue;
        };
        writer
            .delete(
                &config_map(),
                "ConfigMap",
                &copy.name_any(),
                Some(&copy.metadata),
            )
            .await?;
    }
    Ok(())
}

/// Our copy of a `ConfigMap` with this content, if there is one.
fn find<'a>(observed: &'a Observed, key: &str, hash: &str) -> Option<&'a ConfigMap> {
    let name = name::copy_name(&observed.name, key, hash);
    let mut copies = observed.config_copies.iter().map(AsRef::as_ref);
    copies.find(|copy: &&ConfigMap| copy.name_any() == name)
}

/// core/v1 `ConfigMap`.
fn config_map() -> ApiResource {
    ApiResource::erase::<ConfigMap>(&())
}
