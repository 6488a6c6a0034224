//! Objects that the API server must take, and objects that it must refuse.
//!
//! `valid/*.yaml` are taken. `invalid/*.yaml` begin with `# error: <text>`; the last object of the
//! file is refused with a message that holds the text, and objects before it are taken. Which of
//! the two happens takes a real API server to tell, and the end-to-end story of bad input asks one;
//! here the files themselves are checked, and that the types read and keep what is valid.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failed unwrap is a failed test"
)]

use std::fs;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sluice_crds::{Canary, CanaryPolicy, ClusterCanaryPolicy, MetricTemplate};

const API_VERSION: &str = "sluice.dev/v1alpha1";

fn files(folder: &str) -> Vec<(PathBuf, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut files: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "yaml")
        })
        .map(|path| (path.clone(), fs::read_to_string(&path).unwrap()))
        .collect();
    files.sort();
    files
}

/// What users copy: every file with an object of ours.
fn examples() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ext| ext == "yaml") {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    found.retain(|(_, text)| text.contains(API_VERSION));
    found
}

fn documents(text: &str) -> Vec<Value> {
    serde_yaml_ng::Deserializer::from_str(text)
        .map(|document| Value::deserialize(document).unwrap())
        .collect()
}

/// Reads a spec by its type and writes it again.
fn through<K: DeserializeOwned + Serialize>(object: &Value) -> Value {
    let typed: K = serde_json::from_value(object.clone()).unwrap();
    serde_json::to_value(typed).unwrap()
}

#[test]
fn the_types_keep_every_field_of_a_valid_object() {
    let mut files = files("tests/valid");
    let examples = examples();
    assert!(examples.len() >= 9, "{} examples", examples.len());
    files.extend(examples);
    let mut read = 0;
    for (path, text) in files {
        for object in documents(&text) {
            // Others' objects, such as the app itself or a Kustomization that waits for ours.
            if object["apiVersion"] != API_VERSION {
                continue;
            }
            let again = match object["kind"].as_str().unwrap() {
                "Canary" => through::<Canary>(&object),
                "CanaryPolicy" => through::<CanaryPolicy>(&object),
                "ClusterCanaryPolicy" => through::<ClusterCanaryPolicy>(&object),
                "MetricTemplate" => through::<MetricTemplate>(&object),
                kind => panic!("{} holds a {kind}", path.display()),
            };
            assert_eq!(again["spec"], object["spec"], "{}", path.display());
            read += 1;
        }
    }
    assert!(read >= 20, "{read} objects read");
}

#[test]
fn every_invalid_object_says_which_error_it_must_get() {
    let files = files("tests/invalid");
    assert!(files.len() >= 24, "{} files", files.len());
    for (path, text) in files {
        let path = path.display();
        let wanted = text
            .lines()
            .next()
            .and_then(|line| line.strip_prefix("# error: "));
        assert!(wanted.is_some_and(|error| !error.is_empty()), "{path}");
        for object in documents(&text) {
            assert_eq!(object["apiVersion"], API_VERSION, "{path}");
            assert!(object["metadata"]["name"].is_string(), "{path}");
            assert!(object["spec"].is_object(), "{path}");
        }
    }
}
