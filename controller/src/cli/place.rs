//! The Canary that a person names.

use anyhow::{Context as _, bail};
use kube::Client;
use kube::api::{Api, DynamicObject, ListParams};
use sluice_crds::{Canary, labels};

use crate::observe::kinds;

/// A Canary by name, and the cluster that it is in.
pub(super) struct Place {
    pub(super) client: Client,
    pub(super) namespace: String,
    pub(super) name: String,
}

impl Place {
    /// Reads NAMESPACE/NAME; without a namespace that of the kubeconfig's context is meant.
    pub(super) async fn named(text: &str) -> anyhow::Result<Self> {
        let client = Client::try_default()
            .await
            .context("no kubeconfig that can be used; KUBECONFIG names one")?;
        let (namespace, name) = match text.split_once('/') {
            Some((namespace, name)) => (namespace.to_owned(), name),
            None => (client.default_namespace().to_owned(), text),
        };
        if name.is_empty() || name.contains('/') || namespace.is_empty() {
            bail!("{text}: a Canary is NAMESPACE/NAME");
        }
        let name = name.to_owned();
        Ok(Self {
            client,
            namespace,
            name,
        })
    }

    /// The Canaries beside it, and itself.
    pub(super) fn canaries(&self) -> Api<Canary> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    pub(super) async fn canary(&self) -> anyhow::Result<Canary> {
        let found = self.canaries().get(&self.name).await;
        found.with_context(|| format!("Canary {}/{}", self.namespace, self.name))
    }

    /// The snapshots of its revisions.
    pub(super) async fn snapshots(&self) -> anyhow::Result<Vec<DynamicObject>> {
        let kind = kinds::pod_template();
        let api: Api<DynamicObject> =
            Api::namespaced_with(self.client.clone(), &self.namespace, &kind);
        let of_it = ListParams::default().labels(&format!("{}={}", labels::CANARY, self.name));
        let list = api.list(&of_it).await;
        let list = list.context("the snapshots of its revisions, which are PodTemplates")?;
        Ok(list.items)
    }
}
