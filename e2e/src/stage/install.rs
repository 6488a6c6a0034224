//! Taking Sluice off the cluster, and putting it back.

use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::authorization::v1::SubjectAccessReview;
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding};
use kube::Api;
use kube::api::{DeleteParams, PostParams};
use serde_json::json;

use super::controller::{ACCOUNT, NAMESPACE};
use super::{Stage, USER, eventually};
use crate::cluster::Cluster;
use crate::paths;

/// How long the API server takes to forget a namespace with little in it, or to learn of new rights.
const PATIENCE: Duration = Duration::from_secs(30);

impl Stage {
    /// Kills Sluice and deletes what `deploy/rbac.yaml` made. The kinds stay, as with any uninstall.
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

/// Applies `deploy/rbac.yaml`.
pub(super) async fn grant(cluster: &Cluster) -> Result<()> {
    let path = paths::workspace().join("deploy/rbac.yaml");
    let rbac =
        std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    cluster.apply(&rbac).await?;
    Ok(())
}
