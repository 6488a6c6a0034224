//! When two pod templates are the same.

use serde_json::{Value, json};

use super::config::Config;
use super::hash;

/// The label of strict mode: to switch that on or off starts no rollout.
const ROLE: &str = "/metadata/labels/sluice.dev~1role";

/// Selectors for which nothing written and `{}` differ: none against all.
const SELECTORS: [&str; 3] = ["labelSelector", "namespaceSelector", "selector"];

/// The template without what makes no difference: nulls, empty maps and lists, the creation time, the
/// label of strict mode, and the fields of `ignore` (JSON pointers into the template).
///
/// `kubectl.kubernetes.io/restartedAt` stays: a restart is a change.
#[must_use]
pub fn identity(template: &Value, ignore: &[String]) -> Value {
    let mut template = template.clone();
    remove(&mut template, "/metadata/creationTimestamp");
    // Strict mode is about who reaches the pods, not about what they are.
    remove(&mut template, ROLE);
    for pointer in ignore {
        remove(&mut template, pointer);
    }
    prune(&mut template);
    template
}

/// Whether two templates are the same but for the fields of `ignore`.
#[must_use]
pub fn same(a: &Value, b: &Value, ignore: &[String]) -> bool {
    identity(a, ignore) == identity(b, ignore)
}

/// Names a template alone. It never decides whether two are the same: [`same`] does.
#[must_use]
pub fn template_hash(template: &Value, ignore: &[String]) -> String {
    hash::short(&[&hash::canonical(&identity(template, ignore))])
}

/// Names a template together with the configuration it refers to.
#[must_use]
pub fn revision_hash(template: &Value, ignore: &[String], config: &Config) -> String {
    hash::short(&[
        &hash::canonical(&identity(template, ignore)),
        &hash::canonical(&json!(config)),
    ])
}

/// Removes what a JSON pointer (RFC 6901) points at. An item of a list becomes null instead, so that
/// the pointers behind it keep their meaning.
fn remove(value: &mut Value, pointer: &str) {
    let Some((parent, field)) = pointer.rsplit_once('/') else {
        return;
    };
    match value.pointer_mut(parent) {
        Some(Value::Object(map)) => {
            map.remove(&field.replace("~1", "/").replace("~0", "~"));
        }
        Some(Value::Array(list)) => {
            if let Some(item) = field
                .parse()
                .ok()
                .and_then(|index: usize| list.get_mut(index))
            {
                *item = Value::Null;
            }
        }
        _ => {}
    }
}

/// Drops empty entries of maps, from the leaves up. Items of lists stay: their number has a meaning.
fn prune(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.values_mut().for_each(prune);
            map.retain(|key, value| match value {
                Value::Null => false,
                Value::Array(list) => !list.is_empty(),
                Value::Object(map) => !map.is_empty() || SELECTORS.contains(&key.as_str()),
                _ => true,
            });
        }
        Value::Array(list) => list.iter_mut().for_each(prune),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing, reason = "tests fail by panicking")]

    use sluice_crds::labels;

    use super::*;

    fn template() -> Value {
        json!({
            "metadata": {
                "labels": {"app": "podinfo"},
                "annotations": {"example.com/built-at": "monday"},
            },
            "spec": {"containers": [{"name": "app", "image": "podinfo:1", "resources": {}}]},
        })
    }

    #[test]
    fn what_servers_add_or_leave_out_makes_no_difference() {
        let stored = json!({
            "metadata": {
                "creationTimestamp": null,
                "labels": {"app": "podinfo"},
                "annotations": {"example.com/built-at": "monday"},
            },
            "spec": {
                "containers": [{"name": "app", "image": "podinfo:1", "env": [], "lifecycle": {"preStop": {}}}],
                "securityContext": {},
            },
        });
        assert!(same(&stored, &template(), &[]));
        assert_eq!(template_hash(&stored, &[]), template_hash(&template(), &[]));
    }

    #[test]
    fn strict_mode_makes_no_difference() {
        let mut strict = template();
        strict["metadata"]["labels"][labels::ROLE] = json!(labels::SERVING);
        assert!(same(&strict, &template(), &[]));
        assert_eq!(template_hash(&strict, &[]), template_hash(&template(), &[]));
        strict["metadata"]["labels"] = json!({labels::ROLE: labels::SERVING});
        let mut bare = template();
        bare["metadata"]["labels"] = json!({});
        assert!(same(&strict, &bare, &[]), "an empty map is left");
    }

    #[test]
    fn a_restart_is_a_change() {
        let mut restarted = template();
        restarted["metadata"]["annotations"]["kubectl.kubernetes.io/restartedAt"] = json!("now");
        assert!(!same(&restarted, &template(), &[]));
        assert_ne!(
            template_hash(&restarted, &[]),
            template_hash(&template(), &[])
        );
    }

    #[test]
    fn ignored_fields_make_no_difference_and_others_do() {
        let ignore = vec![
            "/metadata/annotations/example.com~1built-at".to_owned(),
            "/spec/containers/0/image".to_owned(),
            "/spec/nowhere/at/all".to_owned(),
        ];
        let mut other = template();
        other["metadata"]["annotations"] = json!({"example.com/built-at": "tuesday"});
        other["spec"]["containers"][0]["image"] = json!("podinfo:2");
        assert!(same(&other, &template(), &ignore));
        assert!(!same(&other, &template(), &ignore[1..]));
        other["metadata"]
            .as_object_mut()
            .map(|map| map.remove("annotations"));
        assert!(
            same(&other, &template(), &ignore),
            "an annotation that is gone is ignored too"
        );
        other["spec"]["containers"][0]["name"] = json!("other");
        assert!(!same(&other, &template(), &ignore));
    }

    #[test]
    fn an_ignored_item_does_not_move_the_next() {
        let ignore = vec!["/spec/args/0".to_owned(), "/spec/args/1".to_owned()];
        let args = |list: Value| json!({"spec": {"args": list}});
        assert!(same(
            &args(json!(["a", "b", "c"])),
            &args(json!(["x", "y", "c"])),
            &ignore
        ));
        assert!(!same(
            &args(json!(["a", "b", "c"])),
            &args(json!(["a", "b", "d"])),
            &ignore
        ));
    }

    #[test]
    fn an_empty_selector_is_not_an_absent_one() {
        let with = json!({"spec": {"affinity": {"namespaceSelector": {}}}});
        let without = json!({"spec": {"affinity": {}}});
        assert!(!same(&with, &without, &[]));
    }

    #[test]
    fn configuration_is_part_of_a_revision() {
        let config = |hash: &str| Config::from([("app".to_owned(), hash.to_owned())]);
        let hash = |config| revision_hash(&template(), &[], &config);
        assert_ne!(hash(config("a")), hash(config("b")));
        assert_ne!(hash(config("a")), hash(Config::new()));
        assert_eq!(hash(config("a")), hash(config("a")));
    }
}
