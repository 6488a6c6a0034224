//! The files of the examples: manifests, and what is not one.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize as _;
use serde_json::Value;

use super::{called, examples};

/// Files by these names, or that end so, are read by programs other than the API server.
const NO_MANIFESTS: [&str; 3] = ["values.yaml", "collector.yaml", "names.yaml"];
const KUSTOMIZATION: &str = "kustomization.yaml";

/// An object, and the file that it is from: for what Kustomize makes, `kustomization.yaml`.
pub(super) struct Manifest {
    pub(super) file: String,
    pub(super) object: Value,
}

impl Manifest {
    pub(super) fn text(&self, pointer: &str) -> Option<&str> {
        self.object.pointer(pointer).and_then(Value::as_str)
    }

    pub(super) fn is(&self, kind: &str) -> bool {
        self.text("/kind") == Some(kind)
    }

    /// As a person would call it.
    pub(super) fn title(&self) -> String {
        let text = |pointer| self.text(pointer).unwrap_or_default();
        let (file, kind, name) = (&self.file, text("/kind"), text("/metadata/name"));
        format!("{file}: {kind} {name}")
    }
}

/// Every YAML file, in order.
pub(super) fn yaml() -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![examples()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ext| ext == "yaml") {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

/// Every object that somebody applies.
pub(super) fn manifests(kubectl: &Path) -> Result<Vec<Manifest>> {
    let mut manifests = Vec::new();
    for path in yaml()? {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let folder = path.parent().context("a file without a folder")?;
        let text = if name == KUSTOMIZATION {
            kustomize(kubectl, folder)?
        } else if folder.join(KUSTOMIZATION).exists()
            || NO_MANIFESTS.iter().any(|end| name.ends_with(end))
        {
            continue;
        } else {
            read(&path)?
        };
        let file = called(&path);
        for object in documents(&text).with_context(|| file.clone())? {
            ensure!(
                object["apiVersion"].is_string() && object["kind"].is_string(),
                "{file} holds something that is no object"
            );
            let file = file.clone();
            manifests.push(Manifest { file, object });
        }
    }
    Ok(manifests)
}

/// A file, by its path or by its name below `examples/`.
pub(super) fn read(path: impl AsRef<Path>) -> Result<String> {
    let path = examples().join(path);
    fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))
}

/// A file of one document.
pub(super) fn value(path: impl AsRef<Path>) -> Result<Value> {
    Ok(serde_yaml_ng::from_str(&read(path)?)?)
}

pub(super) fn documents(yaml: &str) -> Result<Vec<Value>> {
    serde_yaml_ng::Deserializer::from_str(yaml)
        .map(|document| Value::deserialize(document).context("reading YAML"))
        .filter(|document| !matches!(document, Ok(Value::Null)))
        .collect()
}

/// Runs a program that only prints.
pub(super) fn run(command: &mut Command) -> Result<String> {
    let output = command
        .output()
        .with_context(|| format!("starting {command:?}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "{command:?}: {said}{}",
        String::from_utf8_lossy(&output.stdout)
    );
    Ok(String::from_utf8(output.stdout)?)
}

fn kustomize(kubectl: &Path, folder: &Path) -> Result<String> {
    run(Command::new(kubectl).arg("kustomize").arg(folder))
}
