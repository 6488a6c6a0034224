//! Fields as the API server writes them down: `fieldsV1`, and the patterns that the table names them by.

use std::fmt;

use serde_json::Value;

/// A field: the way to it from the top of an object.
///
/// It reads as in `spec.ports[port=80,protocol=TCP].name` or `metadata.labels[sluice.dev/role]`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Field(Vec<Step>);

impl Field {
    /// Whether this is all labels or all annotations of an object. Who owns that wrote none of them: it is the
    /// empty map, and as with a `.` nobody's alone.
    #[must_use]
    pub fn is_an_empty_map(&self) -> bool {
        matches!(self.0.as_slice(), [Step::Named(metadata), Step::Named(map)]
            if metadata == "metadata" && (map == "labels" || map == "annotations"))
    }
}

/// One step on the way.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Step {
    /// A field of an object, or a key of a map.
    Named(String),
    /// An item of a list that is a map: its keys; or of a list that is a set: its value.
    Item(Value),
    /// An item of another list.
    At(u64),
}

/// Reads a `fieldsV1`: the fields that it says are owned, without the maps and lists around them.
///
/// A `.` says that a map, a list or an item is there, which is nobody's alone: it is passed over.
///
/// # Errors
/// If it is not written as the API server does (sigs.k8s.io/structured-merge-diff, `fieldpath`).
pub fn decode(fields: &Value) -> Result<Vec<Field>, String> {
    let mut found = Vec::new();
    descend(fields, &mut Vec::new(), &mut found)?;
    Ok(found)
}

fn descend(node: &Value, way: &mut Vec<Step>, found: &mut Vec<Field>) -> Result<(), String> {
    let children = node
        .as_object()
        .ok_or_else(|| format!("fieldsV1 holds {node} where an object belongs"))?;
    if children.is_empty() && !way.is_empty() {
        found.push(Field(way.clone()));
    }
    for (key, child) in children {
        if key == "." {
            continue;
        }
        way.push(step(key)?);
        descend(child, way, found)?;
        way.pop();
    }
    Ok(())
}

fn step(key: &str) -> Result<Step, String> {
    let unreadable = || format!("fieldsV1 holds the key {key:?}");
    let (kind, text) = key.split_once(':').ok_or_else(unreadable)?;
    match kind {
        "f" => Ok(Step::Named(text.to_owned())),
        "k" | "v" => serde_json::from_str(text)
            .map(Step::Item)
            .map_err(|_| unreadable()),
        "i" => text.parse().map(Step::At).map_err(|_| unreadable()),
        _ => Err(unreadable()),
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, step) in self.0.iter().enumerate() {
            match step {
                Step::Named(name) if name.chars().all(|c| c.is_ascii_alphanumeric()) => {
                    let dot = if position == 0 { "" } else { "." };
                    write!(f, "{dot}{name}")?;
                }
                Step::Named(name) => write!(f, "[{name}]")?,
                Step::Item(Value::Object(keys)) => {
                    let keys: Vec<_> = keys
                        .iter()
                        .map(|(key, value)| format!("{key}={}", text(value)))
                        .collect();
                    write!(f, "[{}]", keys.join(","))?;
                }
                Step::Item(value) => write!(f, "[{}]", text(value))?,
                Step::At(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

/// A scalar without quotes.
fn text(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

/// Fields by what they begin with, as in `spec`, `spec.replicas`, `metadata.labels[sluice.dev/*]` or
/// `status.conditions[istio.io/*]`. What is in brackets is a key of a map, a value of a set, or the value of
/// one of an item's keys; `*` at its end stands for anything. The empty pattern is all of an object.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Pattern(Vec<Want>);

#[derive(Clone, Debug, Eq, PartialEq)]
enum Want {
    Named(String),
    Key(String),
    Prefix(String),
}

impl Pattern {
    /// Reads one.
    ///
    /// # Errors
    /// If a bracket is not closed, or a name is none.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut wants = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            if let Some(inside) = rest.strip_prefix('[') {
                let (key, after) = inside
                    .split_once(']')
                    .ok_or_else(|| format!("{text}: a bracket is not closed"))?;
                wants.push(match key.strip_suffix('*') {
                    Some(prefix) => Want::Prefix(prefix.to_owned()),
                    None => Want::Key(key.to_owned()),
                });
                rest = after;
                continue;
            }
            let name = rest.strip_prefix('.').unwrap_or(rest);
            let end = name.find(['.', '[']).unwrap_or(name.len());
            let (name, after) = name.split_at(end);
            if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric()) {
                return Err(format!("{text}: {name:?} is no field"));
            }
            wants.push(Want::Named(name.to_owned()));
            rest = after;
        }
        Ok(Self(wants))
    }

    /// Whether a field is one of these.
    #[must_use]
    pub fn holds(&self, field: &Field) -> bool {
        let mut pairs = self.0.iter().zip(&field.0);
        self.0.len() <= field.0.len() && pairs.all(|(want, step)| want.is(step))
    }

    /// How exactly it says what it means: of several that hold, the greatest counts.
    #[must_use]
    pub fn exactness(&self) -> (usize, usize) {
        let exact = |want: &&Want| !matches!(want, Want::Prefix(_));
        (self.0.len(), self.0.iter().filter(exact).count())
    }
}

impl Want {
    fn is(&self, step: &Step) -> bool {
        match (self, step) {
            (Self::Named(wanted), Step::Named(name)) => name == wanted,
            (_, Step::Named(name)) => self.is_key(name),
            (_, Step::Item(Value::Object(keys))) => {
                keys.values().any(|value| self.is_key(&text(value)))
            }
            (_, Step::Item(value)) => self.is_key(&text(value)),
            (_, Step::At(_)) => false,
        }
    }

    fn is_key(&self, key: &str) -> bool {
        match self {
            Self::Named(_) => false,
            Self::Key(wanted) => key == wanted,
            Self::Prefix(prefix) => key.starts_with(prefix),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use serde_json::json;

    use super::*;

    fn read(fields: &Value) -> Vec<String> {
        let fields = decode(fields).unwrap();
        fields.iter().map(Field::to_string).collect()
    }

    /// As the API server writes it for a Service, in part.
    #[test]
    fn every_kind_of_key_is_read() {
        let fields = json!({
            "f:metadata": {
                "f:annotations": {".": {}},
                "f:finalizers": {".": {}, "v:\"sluice.dev/finalizer\"": {}},
                "f:labels": {".": {}, "f:app": {}, "f:sluice.dev/canary": {}},
            },
            "f:spec": {
                "f:externalIPs": {"i:0": {}},
                "f:ports": {
                    ".": {},
                    "k:{\"port\":80,\"protocol\":\"TCP\"}": {".": {}, "f:name": {}, "f:port": {}},
                },
                "f:selector": {},
            },
        });
        let expected = [
            "metadata.finalizers[sluice.dev/finalizer]",
            "metadata.labels.app",
            "metadata.labels[sluice.dev/canary]",
            "spec.externalIPs[0]",
            "spec.ports[port=80,protocol=TCP].name",
            "spec.ports[port=80,protocol=TCP].port",
            "spec.selector",
        ];
        assert_eq!(read(&fields), expected);
        assert_eq!(read(&json!({})), Vec::<String>::new());
    }

    #[test]
    fn an_empty_map_of_labels_is_told_from_labels() {
        let empty = json!({"f:metadata": {"f:annotations": {}, "f:labels": {}}});
        let empty = decode(&empty).unwrap();
        assert_eq!(empty.len(), 2);
        assert!(empty.iter().all(Field::is_an_empty_map));
        let others = json!({"f:metadata": {"f:labels": {"f:app": {}}}, "f:spec": {"f:labels": {}}});
        assert!(!decode(&others).unwrap().iter().any(Field::is_an_empty_map));
    }

    #[test]
    fn what_is_written_otherwise_is_an_error() {
        for fields in [
            json!({"spec": {}}),
            json!({"x:spec": {}}),
            json!({"k:{": {}}),
            json!({"i:first": {}}),
            json!({"f:spec": []}),
        ] {
            assert!(decode(&fields).is_err(), "{fields}");
        }
    }

    fn holds(pattern: &str, fields: &Value) -> bool {
        let (pattern, fields) = (Pattern::parse(pattern).unwrap(), decode(fields).unwrap());
        assert_eq!(fields.len(), 1);
        fields.iter().all(|field| pattern.holds(field))
    }

    #[test]
    fn a_pattern_holds_for_what_begins_with_it() {
        let replicas = json!({"f:spec": {"f:replicas": {}}});
        assert!(holds("", &replicas));
        assert!(holds("spec", &replicas));
        assert!(holds("spec.replicas", &replicas));
        assert!(!holds("status", &replicas));
        assert!(!holds("spec.replicas.more", &replicas));
        let label = json!({"f:metadata": {"f:labels": {"f:sluice.dev/role": {}}}});
        assert!(holds("metadata.labels[sluice.dev/role]", &label));
        assert!(holds("metadata.labels[sluice.dev/*]", &label));
        assert!(!holds("metadata.labels[sluice.dev/rol]", &label));
        assert!(!holds("metadata.annotations[sluice.dev/*]", &label));
        // A name means a field: a key of somebody's map may be called as they like.
        let named = json!({"f:metadata": {"f:labels": {"f:app": {}}}});
        assert!(holds("metadata.labels[app]", &named));
        let item =
            json!({"f:status": {"f:conditions": {"k:{\"type\":\"istio.io/WaypointBound\"}": {}}}});
        assert!(holds("status.conditions[istio.io/*]", &item));
        assert!(!holds("status.conditions[Ready]", &item));
        let value = json!({"f:metadata": {"f:finalizers": {"v:\"sluice.dev/finalizer\"": {}}}});
        assert!(holds("metadata.finalizers[sluice.dev/finalizer]", &value));
        assert!(!holds("metadata.finalizers[other]", &value));
    }

    #[test]
    fn the_longer_pattern_is_the_more_exact_one() {
        let exactness = |text| Pattern::parse(text).unwrap().exactness();
        assert!(exactness("spec.replicas") > exactness("spec"));
        assert!(exactness("spec") > exactness(""));
        assert!(
            exactness("metadata.labels[sluice.dev/role]")
                > exactness("metadata.labels[sluice.dev/*]")
        );
        for wrong in ["metadata.labels[x", "spec..x", ".", "a b"] {
            assert!(Pattern::parse(wrong).is_err(), "{wrong}");
        }
    }
}
