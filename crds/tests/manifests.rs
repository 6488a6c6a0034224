//! The committed manifests are those that the types make, and hold what a manifest must.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failed unwrap is a failed test"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;
use sluice_crds::PolicySpec;
use sluice_crds::manifest::{self, COMMAND};

/// What each type of schema needs, so that the API server can bound the cost of a rule over it.
const LIMITS: [(&str, &str); 2] = [("string", "maxLength"), ("array", "maxItems")];

#[test]
fn committed_manifests_are_up_to_date() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("manifests");
    let mut made = BTreeSet::new();
    for manifest in manifest::all().unwrap() {
        let committed = fs::read_to_string(folder.join(&manifest.file_name)).unwrap_or_default();
        assert!(
            committed == manifest.yaml,
            "{} is not what the types make. Run:\n  {COMMAND}",
            manifest.file_name
        );
        made.insert(manifest.file_name);
    }
    let committed: BTreeSet<_> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(committed, made, "the folder holds other files");
}

/// Calls `visit` with the path and schema of every property below `schema`.
fn each_property(schema: &Value, path: &str, visit: &mut impl FnMut(&str, &Value)) {
    if let Some(items) = schema.get("items") {
        each_property(items, &format!("{path}[]"), visit);
    }
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
        return;
    };
    for (name, property) in properties {
        let path = format!("{path}.{name}");
        visit(&path, property);
        each_property(property, &path, visit);
    }
}

fn each_schema(mut visit: impl FnMut(&str, &Value)) {
    for manifest in manifest::all().unwrap() {
        let crd: Value = serde_yaml_ng::from_str(&manifest.yaml).unwrap();
        let kind = crd["spec"]["names"]["kind"].as_str().unwrap();
        let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        each_property(schema, kind, &mut visit);
    }
}

#[test]
fn kubectl_explain_has_a_text_for_every_field() {
    each_schema(|path, property| {
        let text = property["description"].as_str().unwrap_or_default();
        assert!(!text.is_empty(), "{path} has no description");
        assert!(!text.contains('`'), "{path} has Markdown: {text}");
    });
}

#[test]
fn there_are_no_floats_and_no_nulls() {
    each_schema(|path, property| {
        assert_ne!(property["type"], "number", "{path}");
        assert!(property.get("nullable").is_none(), "{path}");
    });
}

#[test]
fn every_list_and_text_of_a_spec_has_a_limit() {
    each_schema(|path, property| {
        if !path.contains(".spec") || property.get("enum").is_some() {
            return;
        }
        for schema in [Some(property), property.get("items")]
            .into_iter()
            .flatten()
        {
            for (kind, limit) in LIMITS {
                let limited = schema.get(limit).is_some() || schema.get("enum").is_some();
                assert!(
                    schema["type"] != kind || limited,
                    "{path} needs a {limit}: the API server charges a rule by the longest value"
                );
            }
        }
    });
}

#[test]
fn every_rule_has_a_message_of_one_line() {
    each_schema(|path, property| {
        let rules = property["x-kubernetes-validations"].as_array();
        for rule in rules.into_iter().flatten() {
            let message = rule["message"].as_str().unwrap_or_default();
            assert!(
                !message.is_empty() && !message.contains('\n'),
                "{path}: {rule}"
            );
        }
    });
}

#[test]
fn the_built_in_values_are_those_that_the_texts_name() {
    let built_in = serde_json::to_value(PolicySpec::built_in()).unwrap();
    let mut named = BTreeSet::new();
    each_schema(|path, property| {
        let Some(field) = path.strip_prefix("Canary.spec.") else {
            return;
        };
        let value = match &built_in[field] {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            _ => return,
        };
        let text = property["description"].as_str().unwrap();
        assert!(
            text.ends_with(&format!("Without it: {value}.")),
            "{path} is {value} when left out, and its text says: {text}"
        );
        named.insert(field.to_owned());
    });
    assert_eq!(named.len(), 7, "{named:?}");
}
