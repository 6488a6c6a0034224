//! What others do beside Sluice: objects of kinds known by name alone.

use anyhow::{Context, Result};
use kube::api::{Api, DeleteParams, DynamicObject};
use kube::core::{ApiResource, GroupVersionKind};

use super::Scene;

impl Scene<'_> {
    /// Applies YAML as somebody else. `NAMESPACE` stands for the scene's.
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn others(&self, yaml: &str) -> Result<()> {
        let yaml = yaml.replace("NAMESPACE", &self.namespace);
        self.stage.cluster.apply(&yaml).await?;
        Ok(())
    }

    /// Deletes an object of a kind such as `gateway.networking.k8s.io/v1/GRPCRoute`.
    ///
    /// # Errors
    /// When there is no such object.
    pub async fn delete(&self, kind: &str, name: &str) -> Result<()> {
        let params = DeleteParams::default();
        let deleted = self.of_kind(kind)?.delete(name, &params).await;
        deleted.with_context(|| format!("deleting {kind} {name}"))?;
        Ok(())
    }

    /// The objects of a kind such as `v1/Service` or `networking.istio.io/v1/DestinationRule`.
    ///
    /// # Errors
    /// When that names no kind.
    pub fn of_kind(&self, kind: &str) -> Result<Api<DynamicObject>> {
        let mut parts = kind.rsplit('/');
        let (name, version) = parts
            .next()
            .zip(parts.next())
            .context("GROUP/VERSION/KIND")?;
        let gvk = GroupVersionKind::gvk(parts.next().unwrap_or_default(), version, name);
        Ok(self.dynamic(&ApiResource::from_gvk(&gvk)))
    }
}
