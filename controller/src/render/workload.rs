//! The Deployment of a revision.

use kube::api::DynamicObject;
use serde_json::{Map, Value, json};
use sluice_crds::labels;

use super::snapshot::Snapshot;
use super::{config, own_labels, references};

/// Put on pods by the Deployment controller, for its own use.
const POD_TEMPLATE_HASH: &str = "pod-template-hash";

/// Fields of a Deployment's spec that are not the template's and that users set on purpose.
const FROM_TARGET: [&str; 2] = ["minReadySeconds", "progressDeadlineSeconds"];

/// An apps/v1 Deployment of so many pods with the template of a snapshot.
///
/// The template is the user's own, with two labels more and with references to the copies of its
/// configuration. Its labels stay, since the user's Service selects by them; the Deployment itself has
/// none but ours.
///
/// Create it by POST; later only `spec.replicas` changes. Server-side apply refuses what users may
/// have created without it: two ports of one number, or one `env` name twice.
#[must_use]
pub fn deployment(
    namespace: &str,
    canary: &str,
    snapshot: &Snapshot<'_>,
    replicas: u32,
    target: Option<&DynamicObject>,
) -> Value {
    let revision = &snapshot.revision;
    let mut deployment = json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": revision.as_str(),
            "namespace": namespace,
            "labels": own_labels(canary, Some(revision)),
        },
        "spec": {
            "replicas": replicas,
            "revisionHistoryLimit": 0,
            "selector": {"matchLabels": {labels::REVISION: revision.as_str()}},
            // The template never changes; should somebody change it by hand, no pod goes early.
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": 0}},
            "template": pod_template(canary, snapshot),
        },
    });
    let source = target.and_then(|target| target.data.get("spec"));
    if let (Some(source), Some(Value::Object(spec))) = (source, deployment.get_mut("spec")) {
        for field in FROM_TARGET {
            if let Some(value) = source.get(field).filter(|value| value.is_number()) {
                spec.insert(field.to_owned(), value.clone());
            }
        }
    }
    deployment
}

fn pod_template(canary: &str, snapshot: &Snapshot<'_>) -> Value {
    let mut template = snapshot.template.clone();
    references::rewrite(&mut template, &config::copy_names(canary, &snapshot.config));
    if let Value::Object(template) = &mut template {
        let mut metadata = take(template, "metadata");
        metadata.remove("creationTimestamp");
        let mut pod_labels = take(&mut metadata, "labels");
        pod_labels.remove(POD_TEMPLATE_HASH);
        // Put on pods one by one, while their revision serves.
        pod_labels.remove(labels::ROLE);
        pod_labels.insert(labels::CANARY.to_owned(), canary.into());
        pod_labels.insert(
            labels::REVISION.to_owned(),
            snapshot.revision.as_str().into(),
        );
        metadata.insert("labels".to_owned(), pod_labels.into());
        template.insert("metadata".to_owned(), metadata.into());
    }
    template
}

fn take(parent: &mut Map<String, Value>, field: &str) -> Map<String, Value> {
    match parent.remove(field) {
        Some(Value::Object(map)) => map,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use super::super::config::{Config, copy_names};
    use super::super::snapshot::{read_snapshot, snapshot};
    use super::*;

    fn source() -> Value {
        json!({
            "metadata": {
                "creationTimestamp": null,
                "labels": {
                    "app": "podinfo",
                    "app.kubernetes.io/instance": "shop",
                    "pod-template-hash": "6d5c7",
                    "sluice.dev/role": "serving",
                },
                "annotations": {"sidecar.istio.io/inject": "false"},
            },
            "spec": {
                "containers": [{
                    "name": "app", "image": "podinfo:1",
                    "envFrom": [{"configMapRef": {"name": "app"}}],
                    "aFieldOfTheFuture": {"x": 1},
                }],
            },
        })
    }

    fn rendered(target: Option<&DynamicObject>) -> Value {
        let config = Config::from([("app".to_owned(), "bcdf".to_owned())]);
        let stored = snapshot(
            "shop",
            "podinfo",
            &"podinfo-1".into(),
            &source(),
            "hash",
            &config,
        );
        deployment(
            "shop",
            "podinfo",
            &read_snapshot(&stored).unwrap(),
            3,
            target,
        )
    }

    #[test]
    fn the_template_is_the_users_with_our_labels_and_copies() {
        let config = Config::from([("app".to_owned(), "bcdf".to_owned())]);
        let copy = copy_names("podinfo", &config).into_values().next();
        assert_eq!(
            rendered(None),
            json!({
                "apiVersion": "apps/v1", "kind": "Deployment",
                "metadata": {
                    "name": "podinfo-1", "namespace": "shop",
                    "labels": {
                        "sluice.dev/canary": "podinfo", "sluice.dev/revision": "podinfo-1",
                        "app.kubernetes.io/managed-by": "sluice",
                    },
                },
                "spec": {
                    "replicas": 3,
                    "revisionHistoryLimit": 0,
                    "selector": {"matchLabels": {"sluice.dev/revision": "podinfo-1"}},
                    "strategy": {
                        "type": "RollingUpdate",
                        "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": 0},
                    },
                    "template": {
                        "metadata": {
                            "labels": {
                                "app": "podinfo", "app.kubernetes.io/instance": "shop",
                                "sluice.dev/canary": "podinfo", "sluice.dev/revision": "podinfo-1",
                            },
                            "annotations": {"sidecar.istio.io/inject": "false"},
                        },
                        "spec": {
                            "containers": [{
                                "name": "app", "image": "podinfo:1",
                                "envFrom": [{"configMapRef": {"name": copy}}],
                                "aFieldOfTheFuture": {"x": 1},
                            }],
                        },
                    },
                },
            })
        );
    }

    #[test]
    fn deadlines_are_the_targets() {
        let target: DynamicObject = serde_json::from_value(json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "podinfo", "labels": {"argocd.argoproj.io/instance": "shop"}},
            "spec": {"replicas": 9, "minReadySeconds": 7, "progressDeadlineSeconds": 90, "paused": true},
        }))
        .unwrap();
        let (with, without) = (rendered(Some(&target)), rendered(None));
        assert_eq!(with.pointer("/spec/minReadySeconds"), Some(&json!(7)));
        assert_eq!(
            with.pointer("/spec/progressDeadlineSeconds"),
            Some(&json!(90))
        );
        assert_eq!(with.pointer("/spec/replicas"), Some(&json!(3)));
        assert_eq!(with.pointer("/spec/paused"), None);
        assert_eq!(with.get("metadata"), without.get("metadata"));
    }
}
