//! What one pod template would change of another, for a person.

use serde_json::Value;

use super::config::Config;
use super::identity::identity;

/// Longer lists are cut: an Event has room for a few.
const MOST: usize = 6;

/// A template with the configuration that it refers to.
#[derive(Clone, Copy)]
pub struct Content<'a> {
    /// The template.
    pub template: &'a Value,
    /// Content hash of each `ConfigMap` that is part of it.
    pub config: &'a Config,
}

/// What `new` would change of `old`, a phrase for each field, but for the fields of `ignore`. Images are told, other
/// values are not: they may be secret.
#[must_use]
pub fn differences(old: Content<'_>, new: Content<'_>, ignore: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    let side = |content: Content<'_>| identity(content.template, ignore);
    walk("", &side(old), &side(new), &mut found);
    let names = old.config.keys().chain(new.config.keys());
    let mut names: Vec<_> = names
        .filter(|name| old.config.get(*name) != new.config.get(*name))
        .collect();
    names.sort();
    names.dedup();
    found.extend(names.into_iter().map(|name| format!("ConfigMap {name}")));
    if found.len() > MOST {
        let more = found.len() - MOST;
        found.truncate(MOST);
        found.push(format!("{more} more"));
    }
    found
}

fn walk(path: &str, old: &Value, new: &Value, found: &mut Vec<String>) {
    match (old, new) {
        _ if old == new => {}
        (Value::Object(before), Value::Object(after)) => {
            let added = after.keys().filter(|key| !before.contains_key(*key));
            for key in before.keys().chain(added) {
                let path = if path.is_empty() {
                    key.clone()
                } else {
                    format!("{path}.{key}")
                };
                let of = |map: &serde_json::Map<String, Value>| map.get(key).cloned();
                let (before, after) = (of(before), of(after));
                walk(
                    &path,
                    &before.unwrap_or_default(),
                    &after.unwrap_or_default(),
                    found,
                );
            }
        }
        (Value::Array(before), Value::Array(after)) if names(before).eq(names(after)) => {
            for (index, (old, new)) in before.iter().zip(after).enumerate() {
                let item = name(old).map_or_else(|| index.to_string(), str::to_owned);
                walk(&format!("{path}[{item}]"), old, new, found);
            }
        }
        (Value::String(before), Value::String(after)) if path.ends_with("].image") => {
            found.push(format!("{path} from {before} to {after}"));
        }
        _ => found.push(path.to_owned()),
    }
}

fn names(items: &[Value]) -> impl Iterator<Item = Option<&str>> {
    items.iter().map(name)
}

fn name(item: &Value) -> Option<&str> {
    item.get("name")?.as_str()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn between(old: &Value, new: &Value) -> Vec<String> {
        let config = Config::new();
        let of = |template| Content {
            template,
            config: &config,
        };
        let ignore = ["/metadata/annotations/built-at".to_owned()];
        differences(of(old), of(new), &ignore)
    }

    #[test]
    fn fields_are_named_and_images_told() {
        let old = json!({
            "metadata": {"labels": {"app": "web"}, "annotations": {"built-at": "monday"}},
            "spec": {"containers": [
                {"name": "app", "image": "web:1", "env": [{"name": "KEY", "value": "secret"}]},
                {"name": "proxy", "image": "proxy:1", "args": ["-v"]},
            ]},
        });
        let new = json!({
            "metadata": {"labels": {"app": "web", "tier": "front"}, "annotations": {"built-at": "tuesday"}},
            "spec": {"containers": [
                {"name": "app", "image": "web:2", "env": [{"name": "KEY", "value": "another"}]},
                {"name": "proxy", "image": "proxy:1", "args": ["-v", "-q"]},
            ], "hostNetwork": true},
        });
        let mut found = between(&old, &new);
        found.sort();
        assert_eq!(
            found,
            [
                "metadata.labels.tier",
                "spec.containers[app].env[KEY].value",
                "spec.containers[app].image from web:1 to web:2",
                "spec.containers[proxy].args",
                "spec.hostNetwork",
            ]
        );
        assert_eq!(between(&old, &old), Vec::<String>::new());
    }

    #[test]
    fn containers_that_come_and_go_are_one_difference() {
        let of = |names: &[&str]| {
            let containers: Vec<_> = names.iter().map(|name| json!({"name": name})).collect();
            json!({"spec": {"containers": containers}})
        };
        assert_eq!(
            between(&of(&["app"]), &of(&["app", "proxy"])),
            ["spec.containers"]
        );
    }

    #[test]
    fn configuration_counts_and_long_lists_are_cut() {
        let labels = |value: &str| {
            let all: serde_json::Map<_, _> =
                (0..9).map(|n| (format!("l{n}"), json!(value))).collect();
            json!({"metadata": {"labels": all}})
        };
        let (old, new) = (labels("a"), labels("b"));
        let found = between(&old, &new);
        assert_eq!(
            (found.len(), found.last().map(String::as_str)),
            (7, Some("3 more"))
        );
        let config = |hash: &str| Config::from([("app".to_owned(), hash.to_owned())]);
        let (before, after) = (config("1"), config("2"));
        let of = |config| Content {
            template: &old,
            config,
        };
        assert_eq!(differences(of(&before), of(&after), &[]), ["ConfigMap app"]);
    }
}
