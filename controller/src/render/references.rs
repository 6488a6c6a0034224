//! Where a pod template refers to `ConfigMap`s.

use std::collections::BTreeMap;

use serde_json::Value;

/// One place of a template that names a `ConfigMap`.
struct Site {
    /// JSON pointer to the name.
    pointer: String,
    name: String,
    optional: bool,
}

/// The `ConfigMap`s that a template refers to in volumes, `env` and `envFrom`, and whether each may be
/// missing: only if every reference to it says so.
#[must_use]
pub fn references(template: &Value) -> BTreeMap<String, bool> {
    let mut references = BTreeMap::new();
    for site in sites(template) {
        references
            .entry(site.name)
            .and_modify(|optional| *optional &= site.optional)
            .or_insert(site.optional);
    }
    references
}

/// The images of a template, as it writes them.
#[must_use]
pub fn images(template: &Value) -> Vec<String> {
    let lists = ["/spec/containers", "/spec/initContainers"];
    let containers = lists.iter().flat_map(|list| items(template, list));
    let images = containers.filter_map(|(container, _)| container.get("image")?.as_str());
    images.map(str::to_owned).collect()
}

/// Replaces names by those given; references to anything else stay as they are.
pub fn rewrite(template: &mut Value, names: &BTreeMap<String, String>) {
    for site in sites(template) {
        let name = names.get(&site.name);
        if let (Some(name), Some(place)) = (name, template.pointer_mut(&site.pointer)) {
            *place = name.as_str().into();
        }
    }
}

fn sites(template: &Value) -> Vec<Site> {
    let mut found = Vec::new();
    for (volume, at) in items(template, "/spec/volumes") {
        found.extend(site(volume, &at, "/configMap"));
        for (source, below) in items(volume, "/projected/sources") {
            found.extend(site(source, &format!("{at}{below}"), "/configMap"));
        }
    }
    for list in ["/spec/containers", "/spec/initContainers"] {
        for (container, at) in items(template, list) {
            for (variable, below) in items(container, "/env") {
                found.extend(site(
                    variable,
                    &format!("{at}{below}"),
                    "/valueFrom/configMapKeyRef",
                ));
            }
            for (source, below) in items(container, "/envFrom") {
                found.extend(site(source, &format!("{at}{below}"), "/configMapRef"));
            }
        }
    }
    found
}

/// The items of the list at `pointer`, each with its own pointer.
fn items<'a>(value: &'a Value, pointer: &str) -> impl Iterator<Item = (&'a Value, String)> {
    let list = value.pointer(pointer).and_then(Value::as_array);
    let items = list.into_iter().flatten().enumerate();
    items.map(move |(index, item)| (item, format!("{pointer}/{index}")))
}

fn site(value: &Value, at: &str, object: &str) -> Option<Site> {
    let reference = value.pointer(object)?;
    let name = reference
        .get("name")?
        .as_str()
        .filter(|name| !name.is_empty())?;
    Some(Site {
        pointer: format!("{at}{object}/name"),
        name: name.to_owned(),
        optional: reference
            .get("optional")
            .and_then(Value::as_bool)
            .unwrap_or(false),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn template() -> Value {
        json!({"spec": {
            "imagePullSecrets": [{"name": "shared"}],
            "volumes": [
                {"name": "shared", "configMap": {"name": "files"}},
                {"name": "b", "secret": {"secretName": "shared"}},
                {"name": "c", "projected": {"sources": [
                    {"serviceAccountToken": {"path": "token"}},
                    {"configMap": {"name": "kube-root-ca.crt"}},
                    {"configMap": {"name": "license", "optional": true}},
                    {"secret": {"name": "license"}},
                ]}},
            ],
            "initContainers": [
                {"name": "init", "envFrom": [{"configMapRef": {"name": "shared", "optional": true}}]},
            ],
            "containers": [
                {"name": "shared", "env": [
                    {"name": "PLAIN", "value": "shared"},
                    {"name": "LEVEL", "valueFrom": {"configMapKeyRef": {"name": "shared", "key": "level"}}},
                    {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "shared", "key": "token"}}},
                ]},
                {"name": "proxy", "envFrom": [{"secretRef": {"name": "shared"}}]},
            ],
        }})
    }

    #[test]
    fn every_reference_is_found() {
        let expected = [
            ("files", false),
            ("kube-root-ca.crt", false),
            ("license", true),
            ("shared", false),
        ];
        let expected: BTreeMap<_, _> = expected
            .map(|(name, optional)| (name.to_owned(), optional))
            .into();
        assert_eq!(references(&template()), expected);
    }

    #[test]
    fn only_references_to_config_maps_are_renamed_and_all_of_them() {
        let mut rewritten = template();
        let names = [
            ("shared", "shared-1"),
            ("license", "license-1"),
            ("other", "wrong"),
        ];
        rewrite(
            &mut rewritten,
            &names
                .map(|(old, new)| (old.to_owned(), new.to_owned()))
                .into(),
        );
        let mut expected = template();
        for (pointer, name) in [
            (
                "/spec/initContainers/0/envFrom/0/configMapRef/name",
                "shared-1",
            ),
            (
                "/spec/containers/0/env/1/valueFrom/configMapKeyRef/name",
                "shared-1",
            ),
            (
                "/spec/volumes/2/projected/sources/2/configMap/name",
                "license-1",
            ),
        ] {
            if let Some(place) = expected.pointer_mut(pointer) {
                *place = json!(name);
            }
        }
        assert_ne!(expected, template());
        assert_eq!(rewritten, expected);
    }

    #[test]
    fn a_template_of_any_shape_is_survived() {
        for odd in [
            json!(null),
            json!({"spec": []}),
            json!({"spec": {"volumes": {"configMap": 1}}}),
        ] {
            assert!(references(&odd).is_empty());
        }
    }
}
