//! Compares an object's `managedFields` with the table.

use std::fmt;
use std::sync::LazyLock;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::field::{Field, Pattern, decode};
use super::owner::Owner;
use super::table::{ROWS, Row};
use super::whose::Whose;

/// An object with its field managers.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Its kind.
    pub kind: &'static str,
    /// Whose it is.
    pub whose: Whose,
    /// Its name and its `managedFields`; the rest is not looked at.
    pub metadata: ObjectMeta,
}

/// A field that is owned by whom the table does not say.
#[derive(Clone, Debug)]
pub struct Violation {
    /// The object, as in `Service shop/podinfo`.
    pub object: String,
    /// The field; of a `managedFields` that cannot be read, why.
    pub field: String,
    /// Its field manager.
    pub manager: String,
    /// The row that is about the field, if there is one.
    pub row: Option<&'static Row>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            object,
            field,
            manager,
            row,
        } = self;
        let who = Owner::of(manager).map_or("nobody of the table", Owner::name);
        write!(
            f,
            "{object}: {field} is owned by the field manager {manager:?} ({who}), "
        )?;
        match row {
            Some(row) => {
                write!(f, "and its owner is {}", row.owner.name())?;
                for (also, when) in row.also {
                    write!(f, ", or {} ({when})", also.name())?;
                }
                Ok(())
            }
            None => write!(f, "and nobody is to own such a field of such an object"),
        }
    }
}

/// The table's rows with their patterns, read.
static PATTERNS: LazyLock<Vec<(&'static Row, Vec<Pattern>)>> = LazyLock::new(|| {
    let read = |row: &'static Row| {
        // A test holds that all of them can be read.
        let patterns = row
            .fields
            .iter()
            .filter_map(|text| Pattern::parse(text).ok());
        (row, patterns.collect())
    };
    ROWS.iter().map(read).collect()
});

/// The row that is about a field of an object: the most exact one.
fn row(kind: &str, whose: Whose, field: &Field) -> Option<&'static Row> {
    let about = PATTERNS
        .iter()
        .filter(|(row, _)| row.whose == whose && row.kinds.contains(&kind));
    let holding = about.flat_map(|(row, patterns)| {
        let holds = patterns.iter().filter(|pattern| pattern.holds(field));
        holds.map(|pattern| (*row, pattern.exactness()))
    });
    holding
        .max_by_key(|(_, exactness)| *exactness)
        .map(|(row, _)| row)
}

/// What of an object is owned by somebody else than the table says.
#[must_use]
pub fn violations(seen: &Seen) -> Vec<Violation> {
    let name = seen.metadata.name.as_deref().unwrap_or_default();
    let namespace = seen.metadata.namespace.as_deref();
    let place = namespace.map_or_else(String::new, |namespace| format!("{namespace}/"));
    let object = format!("{} {place}{name}", seen.kind);
    let mut found = Vec::new();
    for entry in seen.metadata.managed_fields.iter().flatten() {
        let manager = entry.manager.clone().unwrap_or_default();
        let violation = |field: String, row| Violation {
            object: object.clone(),
            field,
            manager: manager.clone(),
            row,
        };
        let fields = match entry.fields_v1.as_ref().map(|fields| decode(&fields.0)) {
            None => continue,
            Some(Ok(fields)) => fields,
            Some(Err(error)) => {
                found.push(violation(error, None));
                continue;
            }
        };
        let owner = Owner::of(&manager);
        for field in fields.into_iter().filter(|field| !field.is_an_empty_map()) {
            let row = row(seen.kind, seen.whose, &field);
            let allowed = row.zip(owner).is_some_and(|(row, owner)| row.allows(owner));
            if !allowed {
                found.push(violation(field.to_string(), row));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        clippy::indexing_slicing,
        reason = "a failed unwrap is a failed test"
    )]

    use std::collections::BTreeSet;

    use serde_json::{Value, json};

    use super::*;

    /// An object of Git's, or of Sluice's, whose fields are managed as said.
    fn seen(kind: &'static str, labels: &Value, managed: &[(&str, Value)]) -> Seen {
        let entries: Vec<_> = managed
            .iter()
            .map(|(manager, fields)| {
                json!({
                    "manager": manager, "operation": "Apply", "apiVersion": "v1",
                    "fieldsType": "FieldsV1", "fieldsV1": fields,
                })
            })
            .collect();
        let metadata: ObjectMeta = serde_json::from_value(json!({
            "name": "podinfo", "namespace": "shop", "labels": labels, "managedFields": entries,
        }))
        .unwrap();
        Seen {
            kind,
            whose: Whose::is(kind, &metadata),
            metadata,
        }
    }

    fn said(seen: &Seen) -> Vec<String> {
        violations(seen).iter().map(Violation::to_string).collect()
    }

    fn ours() -> Value {
        json!({
            "sluice.dev/canary": "podinfo", "sluice.dev/revision": "podinfo-1",
            "app.kubernetes.io/managed-by": "sluice",
        })
    }

    #[test]
    fn what_the_table_says_is_no_violation() {
        let service = seen(
            "Service",
            &json!({"app": "podinfo"}),
            &[
                (
                    "argocd-controller",
                    json!({
                        "f:metadata": {
                            "f:annotations": {"f:argocd.argoproj.io/tracking-id": {}},
                            "f:labels": {"f:app": {}},
                        },
                        "f:spec": {"f:selector": {}},
                    }),
                ),
                (
                    "istio-ambient-service",
                    json!({"f:status": {"f:conditions": {
                        "k:{\"type\":\"istio.io/WaypointBound\"}": {".": {}, "f:status": {}},
                    }}}),
                ),
                // By hand, until Argo CD puts it back.
                ("kubectl-edit", json!({"f:spec": {"f:sessionAffinity": {}}})),
            ],
        );
        assert_eq!(said(&service), Vec::<String>::new());
    }

    #[test]
    fn a_label_of_sluices_on_gits_service_is_found() {
        let label = json!({"f:metadata": {"f:labels": {"f:sluice.dev/role": {}}}});
        let git = json!({"f:spec": {"f:selector": {}}});
        let service = seen("Service", &json!({}), &[("e2e", git), ("sluice", label)]);
        let expected = "Service shop/podinfo: metadata.labels[sluice.dev/role] is owned by the field \
                        manager \"sluice\" (Sluice), and its owner is Git";
        assert_eq!(said(&service), [expected]);
    }

    #[test]
    fn the_same_service_passed_off_as_sluices_is_found_all_the_same() {
        let label = json!({"f:metadata": {"f:labels": {"f:sluice.dev/canary": {}}}});
        let git = json!({"f:spec": {"f:selector": {}}});
        let service = seen("Service", &ours(), &[("sluice", label), ("e2e", git)]);
        let expected = "Service shop/podinfo: spec.selector is owned by the field manager \"e2e\" \
                        (Git), and its owner is Sluice";
        assert_eq!(said(&service), [expected]);
    }

    #[test]
    fn a_tracking_label_on_a_revision_is_found_whoever_wrote_it() {
        let label = json!({"f:metadata": {
            "f:annotations": {"f:argocd.argoproj.io/tracking-id": {}},
            "f:labels": {"f:app.kubernetes.io/instance": {}, "f:sluice.dev/canary": {}},
        }});
        for manager in ["sluice", "argocd-controller"] {
            let managed = [(manager, label.clone())];
            let said = said(&seen("Deployment", &ours(), &managed));
            let tracked = |what: &str| {
                said.iter()
                    .any(|line| line.contains(what) && line.contains("nobody is to own"))
            };
            assert!(
                tracked("metadata.annotations[argocd.argoproj.io/tracking-id]"),
                "{said:?}"
            );
            assert!(
                tracked("metadata.labels[app.kubernetes.io/instance]"),
                "{said:?}"
            );
            // And the label of Sluice's own is Sluice's alone.
            let expected = if manager == "sluice" { 2 } else { 3 };
            assert_eq!(said.len(), expected, "{said:?}");
        }
    }

    #[test]
    fn the_size_of_a_target_is_shared_and_nothing_else_of_it() {
        let size = json!({"f:spec": {"f:replicas": {}}});
        let owners = ["sluice", "e2e", "kubectl", "kube-controller-manager"];
        let managed: Vec<_> = owners.map(|owner| (owner, size.clone())).into();
        assert_eq!(
            said(&seen("Deployment", &json!({}), &managed)),
            Vec::<String>::new()
        );
        let git = json!({"f:spec": {"f:template": {}}});
        let paused = json!({"f:spec": {"f:paused": {}, "f:replicas": {}}});
        let managed_wrongly = [("e2e", git), ("sluice", paused)];
        let found = said(&seen("Deployment", &json!({}), &managed_wrongly));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains("spec.paused"), "{found:?}");
        // Of a revision it is Sluice's alone.
        let found = said(&seen("Deployment", &ours(), &managed));
        assert_eq!(found.len(), 3, "{found:?}");
    }

    #[test]
    fn a_manager_without_a_name_and_an_unreadable_entry_are_found() {
        let spec = json!({"f:spec": {"f:holderIdentity": {}}});
        let found = said(&seen("Lease", &json!({}), &[("unknown", spec)]));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(
            found[0].contains("\"unknown\" (nobody of the table)"),
            "{found:?}"
        );
        let found = said(&seen(
            "Lease",
            &json!({}),
            &[("sluice", json!({"spec": {}}))],
        ));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains("fieldsV1 holds"), "{found:?}");
    }

    #[test]
    fn an_autoscaler_of_sluices_is_nobodys() {
        let spec = json!({"f:spec": {"f:minReplicas": {}}});
        let found = said(&seen(
            "HorizontalPodAutoscaler",
            &ours(),
            &[("sluice", spec)],
        ));
        assert_eq!(found.len(), 1, "{found:?}");
    }

    #[test]
    fn the_table_can_be_read_and_each_pattern_stands_in_one_row() {
        let mut all = BTreeSet::new();
        for row in ROWS {
            assert!(!row.kinds.is_empty() && !row.fields.is_empty(), "{row:?}");
            assert!(
                row.also.iter().all(|(also, _)| *also != row.owner),
                "{row:?}"
            );
            for field in row.fields {
                Pattern::parse(field).unwrap();
                for kind in row.kinds {
                    assert!(
                        all.insert((row.whose, kind, field)),
                        "twice: {kind} {field}"
                    );
                }
            }
        }
    }
}
