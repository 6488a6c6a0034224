//! What selects the pods or the Service: most of it goes on, since revisions' pods keep their labels.

mod budgets;
mod callers;
mod calls;
mod monitors;
mod network;

use kube::api::{ApiResource, DynamicObject};
use serde_json::Value;

use super::gather::Found;
use super::item::Item;
use super::subject::Subject;
use crate::cli::read::{list_of, text};
use crate::observe::labelled::is_in;

/// Why most of it stays.
const SAME_LABELS: &str = "it selects the pods of all revisions, which have the same labels";

/// What becomes of all.
pub(super) fn all(found: &Found, subject: &Subject) -> Vec<Item> {
    let all = [
        budgets::all(found, subject),
        monitors::all(found, subject),
        calls::all(found, subject),
        callers::all(found, subject),
        network::all(found, subject),
    ];
    all.into_iter().flatten().collect()
}

/// The objects of a kind in the Deployment's namespace.
fn here<'a>(
    found: &'a Found,
    subject: &'a Subject,
    kind: &ApiResource,
) -> impl Iterator<Item = &'a DynamicObject> + use<'a> {
    let all = found.objects.of(kind);
    all.filter(|one| is_in(*one, &subject.names.namespace))
}

/// Whether a selector takes something with these labels; none, or an empty one, takes all.
fn selects(selector: Option<&Value>, labels: &Value) -> bool {
    let label = |name: &str| labels.get(name).and_then(Value::as_str);
    let Some(selector) = selector else {
        return true;
    };
    let wanted = selector.get("matchLabels").and_then(Value::as_object);
    let mut wanted = wanted.into_iter().flatten();
    let expressions = list_of(selector, "/matchExpressions");
    wanted.all(|(name, value)| label(name) == value.as_str())
        && expressions.iter().all(|one| {
            let own = text(one, "/key").and_then(label);
            let listed = || {
                let values = list_of(one, "/values");
                own.is_some_and(|own| values.iter().any(|value| value == own))
            };
            match text(one, "/operator") {
                Some("In") => listed(),
                Some("NotIn") => !listed(),
                Some("Exists") => own.is_some(),
                Some("DoesNotExist") => own.is_none(),
                _ => false,
            }
        })
}
