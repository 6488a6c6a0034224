//! git-sync, as users run it: `deploy/git-sync.yaml`, filled in and applied. Its pod is a process of its own, which
//! reaches the API server as its own account.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::rbac::v1::{ClusterRole, PolicyRule};
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, DynamicObject, ListParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde::Deserialize as _;
use serde_json::{Value, json};

use super::controller::NAMESPACE;
use super::look::{address, is_ready};
use super::{Stage, eventually};
use crate::paths;

const NAME: &str = "sluice-git-sync";
/// The Secret that the manifest names.
const SECRET: &str = "sluice-git";
const PODS: &str = "app.kubernetes.io/name=sluice-git-sync";
/// For a pod to start, to fill its caches, and to read the branch.
const START: Duration = Duration::from_mins(1);

/// A running git-sync.
pub struct GitSync<'a> {
    stage: &'a Stage,
}

impl Stage {
    /// Starts it for a repository, with the files of its Secret, and waits until it has read the branch.
    ///
    /// # Errors
    /// When the API server refuses, or it does not become ready.
    pub async fn git_sync(&self, repository: &str, secret: &[(&str, &str)]) -> Result<GitSync<'_>> {
        let files: BTreeMap<_, _> = secret.iter().copied().collect();
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "stringData": files,
            "metadata": {"name": SECRET, "namespace": NAMESPACE},
        });
        self.cluster.apply(&secret.to_string()).await?;
        let (deployments, others): (Vec<_>, Vec<_>) = manifests()?
            .into_iter()
            .partition(|object| is(object, "Deployment"));
        for object in others {
            self.cluster.apply(&object.to_string()).await?;
        }
        let account = self.cluster.kubeconfig_for_service_account(NAMESPACE, NAME);
        let kubeconfig = account.await?.display().to_string();
        for mut object in deployments {
            fill_in(&mut object, repository, &kubeconfig)?;
            self.cluster.apply(&object.to_string()).await?;
        }
        let sync = GitSync { stage: self };
        sync.ready().await?;
        Ok(sync)
    }
}

/// What a person fills in; and what is otherwise here, where all pods share a network and files: see [`crate::node`].
fn fill_in(deployment: &mut Value, repository: &str, kubeconfig: &str) -> Result<()> {
    let env = deployment.pointer_mut("/spec/template/spec/containers/0/env");
    let env = env.and_then(Value::as_array_mut).context("no env")?;
    env.push(json!({"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}));
    for (name, value) in [
        ("SLUICE_GIT_REPOSITORY", repository),
        ("SLUICE_GIT_CREDENTIALS_DIR", "$(POD_ROOT)/etc/sluice-git"),
        ("SLUICE_GIT_DIRECTORY", "$(POD_ROOT)/var/lib/sluice/git"),
        ("HOME", "$(POD_ROOT)/tmp"),
        ("SLUICE_ADMIN_ADDRESS", "$(POD_IP):8080"),
        ("KUBECONFIG", kubeconfig),
        // The machine's own settings of git are not in the image.
        ("GIT_CONFIG_NOSYSTEM", "1"),
    ] {
        env.retain(|variable| variable.get("name") != Some(&json!(name)));
        env.push(json!({"name": name, "value": value}));
    }
    Ok(())
}

impl GitSync<'_> {
    /// git-sync, as the audit log names it.
    pub const USER: &'static str = "system:serviceaccount:sluice-system:sluice-git-sync";

    /// What its role grants.
    ///
    /// # Errors
    /// When the manifest has no role.
    pub fn rules() -> Result<Vec<PolicyRule>> {
        let role = manifests()?
            .into_iter()
            .find(|object| is(object, "ClusterRole"));
        let role: ClusterRole = serde_json::from_value(role.context("no ClusterRole")?)?;
        role.rules.context("no rules")
    }

    async fn ready(&self) -> Result<()> {
        let deployments: Api<Deployment> = Api::namespaced(self.stage.cluster.client(), NAMESPACE);
        eventually("git-sync ready", START, async || {
            let deployment = deployments.get(NAME).await?;
            let status = deployment.status.unwrap_or_default();
            let counts = [
                status.replicas,
                status.updated_replicas,
                status.ready_replicas,
            ];
            let current = status.observed_generation == deployment.metadata.generation;
            let pods = self.pods().await?;
            let alone = pods.len() == 1 && pods.iter().all(is_ready);
            if current && alone && counts == [Some(1); 3] {
                return Ok(Ok(()));
            }
            let seen = pods.iter().filter_map(|pod| pod.status.as_ref());
            let seen: Vec<_> = seen.map(|status| &status.container_statuses).collect();
            Ok(Err(format!("{counts:?} {seen:?}")))
        })
        .await
    }

    async fn pods(&self) -> Result<Vec<Pod>> {
        let pods: Api<Pod> = Api::namespaced(self.stage.cluster.client(), NAMESPACE);
        Ok(pods.list(&ListParams::default().labels(PODS)).await?.items)
    }

    /// Another pod takes the place of the present one, whose copy of the repository goes with it.
    ///
    /// # Errors
    /// When it does not become ready.
    pub async fn replace(&self) -> Result<()> {
        let pods: Api<Pod> = Api::namespaced(self.stage.cluster.client(), NAMESPACE);
        let before: Vec<_> = self
            .pods()
            .await?
            .iter()
            .map(ResourceExt::name_any)
            .collect();
        for name in &before {
            pods.delete(name, &DeleteParams::default()).await?;
        }
        eventually("the pod is gone", START, async || {
            let now = self.pods().await?;
            let left = now.iter().filter(|pod| before.contains(&pod.name_any()));
            let left: Vec<_> = left.map(ResourceExt::name_any).collect();
            Ok(if left.is_empty() {
                Ok(())
            } else {
                Err(format!("{left:?}"))
            })
        })
        .await?;
        self.ready().await
    }

    /// A series of its metrics, by name and labels as they are written; 0 when it is not there.
    ///
    /// # Errors
    /// When no pod of it answers.
    pub async fn metric(&self, series: &str) -> Result<f64> {
        let pods = self.pods().await?;
        let pod = pods
            .iter()
            .find(|pod| is_ready(pod))
            .context("no ready pod")?;
        let answer = reqwest::get(format!("http://{}/metrics", address(pod)?)).await?;
        let page = answer.error_for_status()?.text().await?;
        let value = page
            .lines()
            .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        Ok(value.map_or(Ok(0.0), str::parse)?)
    }

    /// Deletes all that was applied, and waits until its pod has ended.
    ///
    /// # Errors
    /// When the API server refuses, or it does not end.
    pub async fn remove(self) -> Result<()> {
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": SECRET, "namespace": NAMESPACE},
        });
        for object in manifests()?.into_iter().rev().chain([secret]) {
            self.delete(serde_json::from_value(object)?).await?;
        }
        eventually("no pod of git-sync", START, async || {
            let left = self.pods().await?.len();
            Ok(if left == 0 { Ok(()) } else { Err(left) })
        })
        .await
    }

    async fn delete(&self, object: DynamicObject) -> Result<()> {
        let types = object.types.as_ref().context("an object without a kind")?;
        let kind = ApiResource::from_gvk(&GroupVersionKind::try_from(types)?);
        let client = self.stage.cluster.client();
        let api: Api<DynamicObject> = match object.namespace() {
            Some(namespace) => Api::namespaced_with(client, &namespace, &kind),
            None => Api::all_with(client, &kind),
        };
        api.delete(&object.name_any(), &DeleteParams::default())
            .await?;
        Ok(())
    }
}

fn is(object: &Value, kind: &str) -> bool {
    object.get("kind").and_then(Value::as_str) == Some(kind)
}

/// The objects of `deploy/git-sync.yaml`, which a test compares with the chart.
fn manifests() -> Result<Vec<Value>> {
    let path = paths::workspace().join("deploy/git-sync.yaml");
    let text =
        std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    let documents = serde_yaml_ng::Deserializer::from_str(&text);
    let objects: Result<Vec<_>, _> = documents.map(Value::deserialize).collect();
    Ok(objects?
        .into_iter()
        .filter(|object| !object.is_null())
        .collect())
}
