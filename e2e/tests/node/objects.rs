//! The objects that the checks make, and how they read them.

use std::{future::Future, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use e2e::{cluster::Cluster, process::until};
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{Pod, Service},
    discovery::v1::EndpointSlice,
};
use kube::{
    Api, Client,
    api::{DeleteParams, ListParams},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

/// A Service, and a Deployment whose greeting is a mounted file.
pub(crate) const APP: &str = "
apiVersion: v1
kind: ConfigMap
metadata: {name: app, namespace: shop}
data: {greeting: hello}
---
apiVersion: v1
kind: Service
metadata: {name: app, namespace: shop}
spec:
  selector: {app: app}
  ports: [{name: http, port: 80, targetPort: http}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: app, namespace: shop}
spec:
  replicas: 2
  selector: {matchLabels: {app: app}}
  template:
    metadata: {labels: {app: app}}
    spec:
      containers:
      - name: app
        image: demo:v1
        ports: [{name: http, containerPort: 8080}]
        readinessProbe: {httpGet: {path: /readyz, port: http}}
        volumeMounts: [{name: config, mountPath: /etc/config}]
      volumes: [{name: config, configMap: {name: app}}]
";

/// The configuration of [`APP`].
pub(crate) const APP_CONFIG: &str = "
apiVersion: v1
kind: ConfigMap
metadata: {name: app, namespace: shop}
data: {greeting: hello}
";

/// A pod of its own; `more` is one more line of its container.
pub(crate) fn pod(name: &str, image: &str, more: &str) -> String {
    format!(
        "
apiVersion: v1
kind: Pod
metadata: {{name: {name}, namespace: shop}}
spec:
  containers:
  - name: app
    image: {image}
    ports: [{{name: http, containerPort: 8080}}]
    {more}
"
    )
}

/// The namespace of the checks.
pub(crate) struct Shop<'a> {
    cluster: &'a Cluster,
    client: Client,
}

impl<'a> Shop<'a> {
    pub(crate) fn new(cluster: &'a Cluster) -> Self {
        Self {
            cluster,
            client: cluster.client(),
        }
    }

    pub(crate) async fn apply(&self, yaml: &str) -> Result<()> {
        self.cluster.apply(yaml).await.map(drop)
    }

    fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.client.clone(), "shop")
    }

    pub(crate) async fn get(&self, kind: &str, selector: &str) -> Result<Vec<Value>> {
        let params = ListParams::default().labels(selector);
        match kind {
            "Pod" => list(self.pods().list(&params)).await,
            "EndpointSlice" => {
                let slices: Api<EndpointSlice> = Api::namespaced(self.client.clone(), "shop");
                list(slices.list(&params)).await
            }
            _ => bail!("no {kind} is listed here"),
        }
    }

    pub(crate) async fn pod(&self, name: &str) -> Result<Value> {
        Ok(serde_json::to_value(self.pods().get(name).await?)?)
    }

    /// The waiting state of the pod's container.
    pub(crate) async fn waiting(&self, name: &str) -> Result<Value> {
        let pod = self.pod(name).await?;
        Ok(pod["status"]["containerStatuses"][0]["state"]["waiting"].clone())
    }

    pub(crate) async fn cluster_ip(&self, service: &str) -> Result<String> {
        let services: Api<Service> = Api::namespaced(self.client.clone(), "shop");
        let spec = services.get(service).await?.spec;
        spec.and_then(|spec| spec.cluster_ip)
            .context("no ClusterIP")
    }

    /// Fails until every replica is of the newest template and available.
    pub(crate) async fn rolled_out(&self, name: &str) -> Result<()> {
        let deployments: Api<Deployment> = Api::namespaced(self.client.clone(), "shop");
        let deployment = deployments.get(name).await?;
        let generation = deployment.metadata.generation;
        let status = deployment.status.unwrap_or_default();
        ensure!(status.observed_generation == generation, "not observed");
        ensure!(
            status.updated_replicas == Some(2) && status.available_replicas == Some(2),
            "{status:?}"
        );
        ensure!(status.replicas == Some(2), "{status:?}");
        Ok(())
    }

    pub(crate) async fn delete(&self, name: &str) -> Result<()> {
        self.delete_with_grace(name, 30).await
    }

    /// Deletes a pod and waits until it is gone.
    pub(crate) async fn delete_with_grace(&self, name: &str, seconds: u32) -> Result<()> {
        let params = DeleteParams {
            grace_period_seconds: Some(seconds),
            ..DeleteParams::default()
        };
        self.pods().delete(name, &params).await?;
        until("the pod's end", Duration::from_secs(10), async || {
            ensure!(
                self.pods().get_opt(name).await?.is_none(),
                "it is still there"
            );
            Ok(())
        })
        .await
    }
}

async fn list<K>(
    listing: impl Future<Output = kube::Result<kube::api::ObjectList<K>>>,
) -> Result<Vec<Value>>
where
    K: Serialize + DeserializeOwned + Clone,
{
    let items = listing.await?.items;
    items
        .iter()
        .map(|item| Ok(serde_json::to_value(item)?))
        .collect()
}

pub(crate) fn json_of(body: &[u8]) -> Result<Value> {
    serde_json::from_slice(body).with_context(|| String::from_utf8_lossy(body).into_owned())
}
