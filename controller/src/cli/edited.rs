//! Objects of tests, as YAML, and what a case changes of them.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

use serde::Deserialize as _;
use serde_json::Value;

/// The documents of a text.
pub(super) fn documents(yaml: &str) -> Vec<Value> {
    let documents = serde_yaml_ng::Deserializer::from_str(yaml);
    let all = documents.map(|document| Value::deserialize(document).unwrap());
    all.filter(|one| !one.is_null()).collect()
}

/// Merges documents into those of the same kind, namespace and name, or adds them. `$delete: true` takes one away.
pub(super) fn edit(objects: &mut Vec<Value>, yaml: &str) {
    for mut edit in documents(yaml) {
        let place = |object: &Value| {
            [
                "/kind",
                "/metadata/namespace",
                "/metadata/name",
                "/groupVersion",
            ]
            .map(|path| object.pointer(path).cloned())
        };
        let found = objects.iter().position(|one| place(one) == place(&edit));
        let delete = edit.as_object_mut().unwrap().remove("$delete").is_some();
        match found {
            Some(index) if delete => {
                objects.remove(index);
            }
            Some(index) => merge(&mut objects[index], &edit),
            None if delete => panic!("there is no {edit}"),
            None => objects.push(edit),
        }
    }
}

/// RFC 7386.
fn merge(into: &mut Value, patch: &Value) {
    let (Some(fields), Some(patch)) = (into.as_object_mut(), patch.as_object()) else {
        *into = patch.clone();
        return;
    };
    for (name, value) in patch {
        if value.is_null() {
            fields.remove(name);
        } else {
            merge(fields.entry(name).or_insert(Value::Null), value);
        }
    }
}
