//! What a person does by hand: to a Canary, and to the route behind Sluice's back.

use anyhow::{Context, Result};
use kube::ResourceExt as _;
use kube::api::{Api, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Value, json};
use sluice_crds::Canary;

use super::Scene;

/// The field manager of an edit by hand.
pub const EDITOR: &str = "kubectl-edit";

impl Scene<'_> {
    /// Changes fields of a Canary; `null` removes one (JSON merge patch).
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn patch(&self, name: &str, patch: &Value) -> Result<()> {
        let params = PatchParams {
            field_manager: Some(EDITOR.to_owned()),
            ..PatchParams::default()
        };
        self.api::<Canary>()
            .patch(name, &params, &Patch::Merge(patch))
            .await
            .with_context(|| format!("patching Canary {name}"))?;
        Ok(())
    }

    /// `kubectl scale`: writes a Canary's scale subresource.
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn scale(&self, name: &str, replicas: i32) -> Result<()> {
        let patch = json!({"spec": {"replicas": replicas}});
        let params = PatchParams {
            field_manager: Some("kubectl".to_owned()),
            ..PatchParams::default()
        };
        self.api::<Canary>()
            .patch_scale(name, &params, &Patch::Merge(&patch))
            .await
            .with_context(|| format!("scaling Canary {name}"))?;
        Ok(())
    }

    /// Gives an order: one of the annotations of [`sluice_crds::annotations`].
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn order(&self, name: &str, annotation: &str, value: &str) -> Result<()> {
        let annotations = json!({annotation: value});
        self.patch(name, &json!({"metadata": {"annotations": annotations}}))
            .await
    }

    /// Sets `spec.suspend`.
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn suspend(&self, name: &str, suspend: bool) -> Result<()> {
        self.patch(name, &json!({"spec": {"suspend": suspend}}))
            .await
    }

    /// Gives each backend of a Canary's route the weight that `weight` says, as [`EDITOR`].
    ///
    /// # Errors
    /// When there is no route, or the API server refuses.
    pub async fn edit_route(&self, canary: &str, weight: impl Fn(&str) -> u32) -> Result<()> {
        let routes = self.routes(canary).await?;
        let mut route = routes.into_iter().next().context("no route")?;
        let rules = route.data.pointer_mut("/spec/rules");
        let rules = rules.and_then(Value::as_array_mut).into_iter().flatten();
        let backends = rules.filter_map(|rule| rule.get_mut("backendRefs")?.as_array_mut());
        for backend in backends.flatten() {
            let name = backend.get("name").and_then(Value::as_str);
            let weight = weight(name.context("a backend without a name")?);
            let backend = backend.as_object_mut().context("a backend is an object")?;
            backend.insert("weight".to_owned(), weight.into());
        }
        let gvk = GroupVersionKind::gvk("gateway.networking.k8s.io", "v1", "HTTPRoute");
        let kind = ApiResource::from_gvk(&gvk);
        let api: Api<DynamicObject> = Api::namespaced_with(self.client(), &self.namespace, &kind);
        let params = PostParams {
            field_manager: Some(EDITOR.to_owned()),
            ..PostParams::default()
        };
        api.replace(&route.name_any(), &params, &route).await?;
        Ok(())
    }
}
