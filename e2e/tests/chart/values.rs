//! `values.yaml`, its schema and the table in the docs know the same values.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;

use e2e::{helm, paths};
use serde_json::Value;

use super::is_up_to_date;

const DOC: &str = "docs/installing.md";
const BEGIN: &str = "<!-- made from charts/sluice/values.yaml -->\n";
const END: &str = "<!-- end of what is made -->\n";
/// Helm's own: what a chart above this one sets for all.
const GLOBAL: &str = "global";

/// A value: its path, as in `image.tag`, and the comment above it that begins with `--`.
type Told = (String, String);

fn told(text: &str) -> Vec<Told> {
    let mut told = Vec::new();
    let mut above: Vec<(usize, String)> = Vec::new();
    let mut comment: Option<String> = None;
    for line in text.lines() {
        let bare = line.trim_start();
        if let Some(begun) = bare.strip_prefix("# -- ") {
            comment = Some(begun.to_owned());
        } else if let Some(more) = bare.strip_prefix("# ") {
            if let Some(comment) = &mut comment {
                *comment += " ";
                *comment += more;
            }
        } else if let Some((key, _)) = bare.split_once(':') {
            let indent = line.len() - bare.len();
            above.retain(|(outer, _)| *outer < indent);
            above.push((indent, key.to_owned()));
            if let Some(comment) = comment.take() {
                let path: Vec<_> = above.iter().map(|(_, key)| key.as_str()).collect();
                told.push((path.join("."), comment));
            }
        }
    }
    told
}

fn values() -> (String, Value) {
    let text = fs::read_to_string(helm::chart().join("values.yaml")).unwrap();
    let values = serde_yaml_ng::from_str(&text).unwrap();
    (text, values)
}

#[test]
fn are_those_of_the_schema() {
    let (text, _) = values();
    let told: BTreeSet<_> = told(&text).into_iter().map(|(path, _)| path).collect();
    let schema = fs::read_to_string(helm::chart().join("values.schema.json")).unwrap();
    let schema: Value = serde_json::from_str(&schema).unwrap();
    let mut allowed = BTreeSet::new();
    let mut left = vec![(String::new(), &schema)];
    while let Some((path, node)) = left.pop() {
        let properties = node["properties"].as_object();
        if let Some(properties) = properties.filter(|_| !told.contains(&path)) {
            assert_eq!(
                node["additionalProperties"], false,
                "{path}: misspelt names pass"
            );
            let dot = if path.is_empty() { "" } else { "." };
            let below = properties.iter();
            left.extend(below.map(|(key, node)| (format!("{path}{dot}{key}"), node)));
        } else if path != GLOBAL {
            allowed.insert(path);
        }
    }
    assert_eq!(told, allowed, "in values.yaml, in the schema");
}

#[test]
fn are_those_of_the_docs() {
    let (text, values) = values();
    let mut table = "| value | default | what it does |\n|---|---|---|\n".to_owned();
    for (path, what) in told(&text) {
        let default = values.pointer(&format!("/{}", path.replace('.', "/")));
        let default = default.unwrap().to_string();
        writeln!(table, "| `{path}` | `{default}` | {what} |").unwrap();
    }
    let doc = paths::workspace().join(DOC);
    let page = fs::read_to_string(&doc).unwrap();
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    is_up_to_date(&doc, &format!("{before}{BEGIN}{table}{END}{after}"));
}
