//! Mounted files: `ConfigMap` and Secret volumes, written below the container's root.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, anyhow};
use k8s_openapi::api::core::v1::{ConfigMap, Container, KeyToPath, Pod, Secret, Volume};
use kube::{Api, Client, ResourceExt};
use tokio::fs;

/// Files of a volume by their path in it.
type Files = BTreeMap<String, Vec<u8>>;

/// Whether `container` mounts anything that can change.
pub(super) fn any(pod: &Pod, container: &Container) -> bool {
    mounts(pod, container).any(|(_, volume)| volume.config_map.is_some() || volume.secret.is_some())
}

/// Writes every volume that `container` mounts, and removes files whose keys are gone. A mount
/// with `subPath` is one file or folder of the volume.
///
/// # Errors
/// In a kubelet's words, when an object that is not optional is missing.
pub(super) async fn write(
    client: &Client,
    pod: &Pod,
    container: &Container,
    root: &Path,
) -> Result<()> {
    let namespace = pod.namespace().unwrap_or_default();
    for (mount, volume) in mounts(pod, container) {
        let files = files(client, &namespace, volume)
            .await
            .with_context(|| format!("MountVolume.SetUp failed for volume \"{}\"", volume.name))?;
        let Some(files) = files else { continue };
        let target = root.join(mount.mount_path.trim_start_matches('/'));
        match &mount.sub_path {
            None => write_all(&target, &files).await?,
            Some(path) => {
                if let Some(content) = files.get(path) {
                    write_file(&target, content).await?;
                }
            }
        }
    }
    Ok(())
}

fn mounts<'a>(
    pod: &'a Pod,
    container: &'a Container,
) -> impl Iterator<Item = (&'a k8s_openapi::api::core::v1::VolumeMount, &'a Volume)> {
    let volumes = pod
        .spec
        .as_ref()
        .and_then(|spec| spec.volumes.as_deref())
        .unwrap_or_default();
    let mounts = container.volume_mounts.iter().flatten();
    mounts.filter_map(|mount| Some((mount, volumes.iter().find(|v| v.name == mount.name)?)))
}

/// The files of one volume; `None` if it is of a kind that no demo app reads, such as the service
/// account's token.
async fn files(client: &Client, namespace: &str, volume: &Volume) -> Result<Option<Files>> {
    if volume.empty_dir.is_some() {
        return Ok(Some(Files::new()));
    }
    if let Some(source) = &volume.config_map {
        let maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
        let Some(map) = maps.get_opt(&source.name).await? else {
            return missing("configmap", &source.name, source.optional);
        };
        let text = map
            .data
            .unwrap_or_default()
            .into_iter()
            .map(|(k, v)| (k, v.into_bytes()));
        let binary = map
            .binary_data
            .unwrap_or_default()
            .into_iter()
            .map(|(k, v)| (k, v.0));
        return Ok(Some(select(
            text.chain(binary).collect(),
            source.items.as_deref(),
        )));
    }
    if let Some(source) = &volume.secret {
        let name = source.secret_name.as_deref().unwrap_or_default();
        let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
        let Some(secret) = secrets.get_opt(name).await? else {
            return missing("secret", name, source.optional);
        };
        let data = secret
            .data
            .unwrap_or_default()
            .into_iter()
            .map(|(k, v)| (k, v.0));
        return Ok(Some(select(data.collect(), source.items.as_deref())));
    }
    Ok(None)
}

fn missing(kind: &str, name: &str, optional: Option<bool>) -> Result<Option<Files>> {
    if optional == Some(true) {
        Ok(Some(Files::new()))
    } else {
        Err(anyhow!("{kind} \"{name}\" not found"))
    }
}

/// Only the keys listed in `items`, under the paths given there.
fn select(mut files: Files, items: Option<&[KeyToPath]>) -> Files {
    match items {
        None => files,
        Some(items) => items
            .iter()
            .filter_map(|item| Some((item.path.clone(), files.remove(&item.key)?)))
            .collect(),
    }
}

async fn write_all(dir: &Path, files: &Files) -> Result<()> {
    fs::create_dir_all(dir)
        .await
        .with_context(|| format!("making {}", dir.display()))?;
    for (path, content) in files {
        write_file(&dir.join(path), content).await?;
    }
    let mut entries = fs::read_dir(dir).await?;
    while let Some(entry) = entries.next_entry().await? {
        let name = entry.file_name().to_string_lossy().into_owned();
        let kept = files
            .keys()
            .any(|path| path.split('/').next() == Some(name.as_str()));
        if !kept && entry.file_type().await?.is_file() {
            fs::remove_file(entry.path()).await?;
        }
    }
    Ok(())
}

/// By renaming, so that a reader never sees half a file.
async fn write_file(path: &Path, content: &[u8]) -> Result<()> {
    if fs::read(path).await.is_ok_and(|present| present == content) {
        return Ok(());
    }
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir)
            .await
            .with_context(|| format!("making {}", dir.display()))?;
    }
    let mut written = PathBuf::from(path);
    written.add_extension("new");
    fs::write(&written, content)
        .await
        .with_context(|| format!("writing {}", written.display()))?;
    fs::rename(&written, path)
        .await
        .with_context(|| format!("writing {}", path.display()))
}
