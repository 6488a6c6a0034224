//! The image is one static program: what the `Dockerfile` takes for granted and no test here can build.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use e2e::paths;
use serde_json::Value;

/// What links to code that is not Rust: ring's own C and assembler, which its build compiles itself, with no other
/// library. OpenSSL, zlib and the like would have a name here.
const LINKED: [&str; 1] = ["ring"];

#[test]
fn needs_no_library_of_the_system() {
    let cargo = std::env::var_os("CARGO").unwrap();
    let output = Command::new(cargo)
        .args(["metadata", "--format-version=1", "--locked", "--offline"])
        .args(["--filter-platform", "x86_64-unknown-linux-musl"])
        .current_dir(paths::workspace())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let packages: BTreeMap<_, _> = list(&metadata["packages"])
        .into_iter()
        .map(|package| (text(&package["id"]), package))
        .collect();
    let nodes: BTreeMap<_, _> = list(&metadata["resolve"]["nodes"])
        .into_iter()
        .map(|node| (text(&node["id"]), node))
        .collect();
    let sluice = packages
        .iter()
        .find(|(_, package)| package["name"] == "sluice");
    let mut left = vec![sluice.unwrap().0.clone()];
    let mut seen = BTreeSet::new();
    while let Some(id) = left.pop() {
        if !seen.insert(id.clone()) {
            continue;
        }
        for dependency in list(&nodes[&id]["deps"]) {
            // Without a kind it is a normal one; tests and build scripts stay out of the image.
            let kinds = list(&dependency["dep_kinds"]);
            if kinds.iter().any(|kind| kind["kind"].is_null()) {
                left.push(text(&dependency["pkg"]));
            }
        }
    }
    assert!(seen.len() > 100, "{} packages", seen.len());
    let linked: BTreeSet<_> = seen
        .iter()
        .filter(|id| !packages[*id]["links"].is_null())
        .map(|id| text(&packages[id]["name"]))
        .filter(|name| !ONLY_A_NAME.contains(&name.as_str()))
        .collect();
    assert_eq!(linked, LINKED.map(str::to_owned).into());
}

/// Crates that say `links` only so that there is one of them.
const ONLY_A_NAME: [&str; 2] = ["k8s-openapi", "prettyplease"];
