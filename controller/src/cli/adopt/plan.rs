//! All of it together: what changes, the Canary to write, and in which order.

use serde::Serialize;
use serde_json::{Value, json};

use super::Asked;
use super::gather::{Found, Gap};
use super::item::{Fate, Item};
use super::steps::steps;
use super::subject::Subject;
use super::{around, queries, scaling};

/// What an adoption would do.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Plan {
    pub(super) namespace: String,
    pub(super) deployment: String,
    pub(super) service: String,
    /// The names of all revisions, as a regular expression.
    pub(super) revisions: String,
    /// What comes first is to be done first.
    pub(super) items: Vec<Item>,
    /// Kinds of which not all was looked at.
    pub(super) gaps: Vec<Gap>,
    /// The Canary to write, unless there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) canary: Option<Value>,
    pub(super) steps: Vec<String>,
}

impl Plan {
    /// Puts it together.
    ///
    /// # Errors
    /// When there is no such Deployment, nothing tells its Service, or they may not be read.
    pub(super) fn of(found: &Found, asked: &Asked) -> anyhow::Result<Self> {
        let subject = Subject::of(found, asked)?;
        let mut items = scaling::all(found, &subject.names, &subject.canary_name);
        items.extend(around::all(found, &subject));
        items.extend(queries::all(found, &subject.names));
        // In the order in which they were looked for otherwise.
        items.sort_by_key(|item| item.fate);
        Ok(Self {
            revisions: subject.names.revisions(),
            canary: subject.canary.is_none().then(|| canary(&subject, &items)),
            steps: steps(&subject, &items),
            items,
            gaps: found.gaps(),
            namespace: subject.names.namespace,
            deployment: subject.names.deployment,
            service: subject.names.service,
        })
    }
}

/// With an autoscaler it says no size, which Git would put back: Sluice writes that of what serves, once.
fn canary(subject: &Subject, items: &[Item]) -> Value {
    let names = &subject.names;
    let scaled = items.iter().any(|item| item.fate == Fate::ChangeWhenTold);
    let mut canary = json!({
        "apiVersion": "sluice.dev/v1alpha1",
        "kind": "Canary",
        "metadata": {"name": subject.canary_name, "namespace": names.namespace},
        "spec": {
            "targetRef": {"kind": "Deployment", "name": names.deployment},
        },
    });
    if let Some(spec) = canary.get_mut("spec").and_then(Value::as_object_mut) {
        if !scaled {
            spec.insert("replicas".to_owned(), json!(subject.replicas));
        }
        if names.service != names.deployment {
            spec.insert("service".to_owned(), json!({"name": names.service}));
        }
    }
    canary
}
