//! `docs/api.md` tells every field, and is made from the schemas. `SLUICE_BLESS=1` writes it anew.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failed unwrap is a failed test"
)]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde_json::Value;
use sluice_crds::manifest;

const COMMAND: &str = "SLUICE_BLESS=1 cargo test -p sluice-crds --test reference";

#[test]
fn the_reference_is_what_the_schemas_say() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/api.md");
    let made = page();
    if std::env::var_os("SLUICE_BLESS").is_some() {
        fs::write(&path, &made).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == made, "docs/api.md is old. Run:\n  {COMMAND}");
}

fn page() -> String {
    let schemas = schemas();
    let policy = &schemas["CanaryPolicy"]["properties"]["spec"];
    let canary = &schemas["Canary"]["properties"];
    let template = &schemas["MetricTemplate"]["properties"]["spec"];
    let mut page = format!(
        "# The API: `sluice.dev/v1alpha1`\n\n<!-- made by: {COMMAND} -->\n\n\
         Every field; `kubectl explain canaries.sluice.dev.spec` tells the same of the version that is installed. Fields \
         in **bold** must be there.\n"
    );
    let alone = |name: &str| policy["properties"].get(name).is_none();
    let all = |_: &str| true;
    section(&mut page, "Canary: spec", canary, "spec", &alone);
    page += "\nAnd each section of a policy but `maxConcurrent`, which then holds in place of the policy's, whole.\n";
    let spec = &schemas["CanaryPolicy"]["properties"];
    let title = "CanaryPolicy and ClusterCanaryPolicy: spec";
    section(&mut page, title, spec, "spec", &all);
    let _ = writeln!(page, "\n## MetricTemplate: spec\n");
    let _ = writeln!(page, "{}\n", text(template));
    table(&mut page, template, &all);
    section(&mut page, "Canary: status", canary, "status", &all);
    page
}

fn section(page: &mut String, title: &str, of: &Value, name: &str, wanted: &dyn Fn(&str) -> bool) {
    let _ = writeln!(page, "\n## {title}\n\n{}\n", text(&of[name]));
    table(page, &of[name], wanted);
}

fn table(page: &mut String, schema: &Value, wanted: &dyn Fn(&str) -> bool) {
    *page += "| field | type | what it says |\n|---|---|---|\n";
    rows(page, schema, "", wanted);
}

fn rows(page: &mut String, schema: &Value, above: &str, wanted: &dyn Fn(&str) -> bool) {
    let required: Vec<_> = schema["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let properties = schema["properties"].as_object();
    for (name, property) in properties.into_iter().flatten() {
        if !wanted(name) {
            continue;
        }
        let path = format!("{above}{name}");
        let field = if required.contains(&name.as_str()) {
            format!("**`{path}`**")
        } else {
            format!("`{path}`")
        };
        let _ = writeln!(
            page,
            "| {field} | {} | {} |",
            kind(property),
            text(property)
        );
        rows(page, property, &format!("{path}."), &|_| true);
        rows(page, &property["items"], &format!("{path}[]."), &|_| true);
    }
}

/// As `string`, or `list of object`.
fn kind(property: &Value) -> String {
    let name = |schema: &Value| schema["type"].as_str().unwrap_or("any").to_owned();
    match property.get("items") {
        Some(items) => format!("list of {}", name(items)),
        None => name(property),
    }
}

/// The description, with the values that may be chosen, of an item if it is a list, for a cell of a table.
fn text(property: &Value) -> String {
    let mut text = property["description"].as_str().unwrap().to_owned();
    let choices = property.get("enum").or(property["items"].get("enum"));
    if let Some(values) = choices.and_then(Value::as_array) {
        let values: Vec<_> = values.iter().filter_map(Value::as_str).collect();
        let _ = write!(text, " One of: {}.", values.join(", "));
    }
    text.replace('|', "\\|").replace('\n', " ")
}

fn schemas() -> BTreeMap<String, Value> {
    manifest::all()
        .unwrap()
        .iter()
        .map(|manifest| {
            let crd: Value = serde_yaml_ng::from_str(&manifest.yaml).unwrap();
            let kind = crd["spec"]["names"]["kind"].as_str().unwrap().to_owned();
            let schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone();
            (kind, schema)
        })
        .collect()
}
