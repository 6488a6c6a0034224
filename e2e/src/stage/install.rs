//! Taking Sluice off the cluster, and putting it back.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::authorization::v1::SubjectAccessReview;
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding};
use kube::Api;
use kube::api::{DeleteParams, PostParams};
use serde::Deserialize as _;
use serde_json::{Value, json};

use super::controller::{ACCOUNT, NAMESPACE};
use super::{Stage, USER, eventually};
use crate::cluster::Cluster;
use crate::paths;

/// The kinds of objects that give an account its rights.
const GRANTS: [&str; 6] = [
    "Namespace",
    "ServiceAccount",
    "ClusterRole",
    "ClusterRoleBinding",
    "Role",
    "RoleBinding",
];
/// How long the API server takes to forget a namespace with little in it, or to learn of new rights.
const PATIENCE: Duration = Duration::from_secs(30);

impl Stage {
    /// Kills Sluice and deletes what [`rights`] made. The kinds stay, as with any uninstall.
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn uninstall(&self) -> Result<()> {
        self.controller.kill().await?;
        let client = self.cluster.client();
        let params = DeleteParams::default();
        let bindings: Api<ClusterRoleBinding> = Api::all(client.clone());
        bindings.delete(ACCOUNT, &params).await?;
        let roles: Api<ClusterRole> = Api::all(client.clone());
        roles.delete(ACCOUNT, &params).await?;
        let namespaces: Api<Namespace> = Api::all(client);
        namespaces.delete(NAMESPACE, &params).await?;
        eventually("no namespace of Sluice", PATIENCE, async || {
            let left = namespaces.get_opt(NAMESPACE).await?;
            Ok(left.map_or(Ok(()), |left| Err(format!("{:?}", left.status))))
        })
        .await
    }

    /// Installs it again.
    ///
    /// # Errors
    /// When the API server refuses, or Sluice does not become ready.
    pub async fn install(&self) -> Result<()> {
        grant(&self.cluster).await?;
        // A new account has a new token; the file is the one that Sluice reads.
        let cluster = &self.cluster;
        cluster
            .kubeconfig_for_service_account(NAMESPACE, ACCOUNT)
            .await?;
        let reviews: Api<SubjectAccessReview> = Api::all(cluster.client());
        let review: SubjectAccessReview = serde_json::from_value(json!({"spec": {
            "user": USER,
            "resourceAttributes": {"group": "sluice.dev", "resource": "canaries", "verb": "list"},
        }}))?;
        eventually("the rights in force", PATIENCE, async || {
            let answer = reviews.create(&PostParams::default(), &review).await?;
            let status = answer.status.unwrap_or_default();
            Ok(if status.allowed {
                Ok(())
            } else {
                Err("not yet")
            })
        })
        .await?;
        self.controller.restart().await
    }
}

/// What the chart grants: the namespace, account, roles and bindings of `deploy/sluice.yaml`, which a test compares
/// with the chart. The Deployment is left out: the stage runs the program itself.
///
/// # Errors
/// When the file is not there, or grants nothing.
pub fn rights() -> Result<Vec<Value>> {
    let path = paths::workspace().join("deploy/sluice.yaml");
    let text =
        std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    let mut granted = Vec::new();
    for document in serde_yaml_ng::Deserializer::from_str(&text) {
        let object = Value::deserialize(document)?;
        let kind = object.get("kind").and_then(Value::as_str);
        if kind.is_some_and(|kind| GRANTS.contains(&kind)) {
            granted.push(object);
        }
    }
    ensure!(
        granted.len() >= GRANTS.len(),
        "{} grants nothing",
        path.display()
    );
    Ok(granted)
}

/// Applies [`rights`].
pub(super) async fn grant(cluster: &Cluster) -> Result<()> {
    // JSON is YAML.
    let objects: Vec<String> = rights()?.iter().map(Value::to_string).collect();
    cluster.apply(&objects.join("\n---\n")).await?;
    Ok(())
}
