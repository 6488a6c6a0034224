//! Every write to the API server: server-side apply by our own field manager, and deletion.

use std::sync::{Arc, Mutex, PoisonError};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{
    ApiResource, DeleteParams, DynamicObject, Patch, PatchParams, PostParams, Preconditions,
    PropagationPolicy,
};
use kube::{Api, Client, ResourceExt as _};
use serde_json::Value;
use sluice_crds::labels::MANAGER;

use crate::lease::Fenced;
use crate::metrics::Metrics;
use crate::observe::Written;
use crate::observe::written::{Expected, Trace};

/// Why a write failed: what was to be written, and what the API server said.
#[derive(Debug, thiserror::Error)]
#[error("{verb} {kind} {name}: {}", words(source))]
pub struct WriteError {
    verb: &'static str,
    kind: String,
    name: String,
    #[source]
    source: Box<kube::Error>,
}

impl WriteError {
    /// Whether the object is not as it was when the write was decided.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        matches!(self.source.as_ref(), kube::Error::Api(status) if status.code == 409)
    }

    /// Whether the lease ran out before, or meanwhile.
    #[must_use]
    pub fn is_fenced(&self) -> bool {
        matches!(self.source.as_ref(), kube::Error::Service(error) if error.is::<Fenced>())
    }

    /// What the API server said, when it is no matter of waiting: invalid, forbidden by a quota or a
    /// policy, or a webhook that fails.
    #[must_use]
    pub fn refusal(&self) -> Option<String> {
        match self.source.as_ref() {
            kube::Error::Api(status) if matches!(status.code, 400 | 403 | 404 | 422 | 500) => {
                Some(self.to_string())
            }
            _ => None,
        }
    }
}

impl WriteError {
    /// Whether the object is not there any more, or another one has its name.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        matches!(self.source.as_ref(), kube::Error::Api(status) if matches!(status.code, 404 | 409))
    }
}

/// The API server's own words, or why there are none.
fn words(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        other => other.to_string(),
    }
}

/// Writes for one Canary. Each write is noted, so that nothing is decided before the caches show it.
#[derive(Clone)]
pub struct Writer {
    /// For the rare read of what no cache keeps.
    pub client: Client,
    namespace: String,
    expected: Arc<Mutex<Expected>>,
    metrics: Metrics,
}

impl Writer {
    /// A writer for the Canary whose expectations these are.
    #[must_use]
    pub fn new(
        client: Client,
        namespace: String,
        expected: Arc<Mutex<Expected>>,
        metrics: Metrics,
    ) -> Self {
        Self {
            client,
            namespace,
            expected,
            metrics,
        }
    }

    /// Applies an object of ours, or those fields of another's that we own. With a `resourceVersion` only
    /// if it is still as it was: a write that arrives late, of a process that leads no more, does nothing.
    ///
    /// # Errors
    /// When the API server does not take it.
    pub async fn apply(
        &self,
        resource: &ApiResource,
        kind: &'static str,
        object: &Value,
    ) -> Result<(), WriteError> {
        let (name, params, patch) = applying(object);
        let applied = self.api(resource).patch(name, &params, &patch).await;
        let applied = self.counted("apply", resource, name, applied);
        if applied.as_ref().is_err_and(WriteError::is_conflict) {
            let decided_on = object.pointer("/metadata/resourceVersion");
            if let Some(version) = decided_on.and_then(|v| v.as_str()?.parse().ok()) {
                self.expect(kind, name, Trace::Since(version));
            }
        }
        let applied = applied?;
        self.saw(kind, &applied);
        Ok(())
    }

    /// Owns fields of another's object together with whoever does, at their present values. Where one has
    /// another value by now, nothing is written, and that is no error: the caches show it next.
    ///
    /// # Errors
    /// When the API server does not take it.
    pub async fn share(
        &self,
        resource: &ApiResource,
        kind: &'static str,
        object: &Value,
    ) -> Result<(), WriteError> {
        let (name, _, patch) = applying(object);
        let params = PatchParams::apply(MANAGER);
        let shared = self.api(resource).patch(name, &params, &patch).await;
        if matches!(&shared, Err(kube::Error::Api(status)) if status.code == 409) {
            return Ok(());
        }
        let shared = self.counted("share", resource, name, shared)?;
        self.saw(kind, &shared);
        Ok(())
    }

    /// Changes fields of another's object that nobody owns yet, if it is still as the patch says.
    ///
    /// # Errors
    /// When the API server does not take it.
    pub async fn merge(
        &self,
        resource: &ApiResource,
        kind: &'static str,
        name: &str,
        patch: &Value,
    ) -> Result<(), WriteError> {
        let params = PatchParams {
            field_manager: Some(MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let merged = self
            .api(resource)
            .patch(name, &params, &Patch::Merge(patch))
            .await;
        let merged = self.counted("merge", resource, name, merged)?;
        self.saw(kind, &merged);
        Ok(())
    }

    /// Creates an object of ours; one that is there already is no error. For what holds a pod template:
    /// server-side apply refuses some that are valid, with a port or a variable named twice.
    ///
    /// # Errors
    /// When the API server does not take it.
    pub async fn create(
        &self,
        resource: &ApiResource,
        kind: &'static str,
        object: DynamicObject,
    ) -> Result<(), WriteError> {
        let name = object.name_any();
        let params = PostParams {
            field_manager: Some(MANAGER.to_owned()),
            ..PostParams::default()
        };
        let created = self.api(resource).create(&params, &object).await;
        if matches!(&created, Err(kube::Error::Api(status)) if status.reason == "AlreadyExists") {
            return Ok(());
        }
        let created = self.counted("create", resource, &name, created)?;
        self.saw(kind, &created);
        Ok(())
    }

    /// Applies the status of the Canary.
    ///
    /// # Errors
    /// When the API server does not take it.
    pub async fn apply_status(
        &self,
        resource: &ApiResource,
        kind: &'static str,
        object: &Value,
    ) -> Result<(), WriteError> {
        let (name, params, patch) = applying(object);
        let applied = self.api(resource).patch_status(name, &params, &patch).await;
        let applied = self.counted("apply status of", resource, name, applied)?;
        self.saw(kind, &applied);
        Ok(())
    }

    /// Deletes one object and what it owns; one that is gone already is no error. With what is known of it,
    /// only if it is still as it was: neither a namesake that somebody made in the meantime, nor what was
    /// taken into use again by the time that the write of a process arrives that leads no more.
    ///
    /// # Errors
    /// When the API server does not take it.
    pub async fn delete(
        &self,
        resource: &ApiResource,
        kind: &'static str,
        name: &str,
        live: Option<&ObjectMeta>,
    ) -> Result<(), WriteError> {
        let params = deleting(live);
        let deleted = self.api(resource).delete(name, &params).await;
        // A conflict is not as good as gone: whether it is a namesake, something that has changed, or a quarrel
        // inside the API server, it is looked at again, or the object would stay with nobody to come back for it.
        let gone = matches!(&deleted, Err(kube::Error::Api(status)) if status.code == 404);
        if !gone {
            let deleted = self.counted("delete", resource, name, deleted);
            if deleted.as_ref().is_err_and(WriteError::is_conflict) {
                let decided_on = live.and_then(|live| live.resource_version.as_ref());
                if let Some(version) = decided_on.and_then(|text| text.parse().ok()) {
                    self.expect(kind, name, Trace::Since(version));
                }
            }
            deleted?;
        }
        if let Some(uid) = live.and_then(|live| live.uid.clone()) {
            self.expect(kind, name, Trace::Gone(uid));
        }
        Ok(())
    }

    fn api(&self, resource: &ApiResource) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), &self.namespace, resource)
    }

    fn counted<T>(
        &self,
        verb: &'static str,
        resource: &ApiResource,
        name: &str,
        result: Result<T, kube::Error>,
    ) -> Result<T, WriteError> {
        self.metrics.written(&resource.kind, result.is_ok());
        tracing::debug!(
            verb,
            kind = resource.kind,
            name,
            ok = result.is_ok(),
            "write"
        );
        result.map_err(|source| WriteError {
            verb,
            kind: resource.kind.clone(),
            name: name.to_owned(),
            source: Box::new(source),
        })
    }

    fn saw(&self, kind: &'static str, object: &DynamicObject) {
        if let Some(version) = object.resource_version().and_then(|text| text.parse().ok()) {
            self.expect(kind, &object.name_any(), Trace::Version(version));
        }
    }

    fn expect(&self, kind: &'static str, name: &str, trace: Trace) {
        let written = Written {
            kind,
            namespace: self.namespace.clone(),
            name: name.to_owned(),
        };
        self.expected
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .expect(written, trace);
    }
}

/// How to delete an object of which so much is known.
fn deleting(live: Option<&ObjectMeta>) -> DeleteParams {
    DeleteParams {
        propagation_policy: Some(PropagationPolicy::Background),
        preconditions: live.map(|live| Preconditions {
            uid: live.uid.clone(),
            resource_version: live.resource_version.clone(),
        }),
        ..DeleteParams::default()
    }
}

/// Name, parameters and body of a server-side apply by our manager. It takes what it names by force:
/// nobody else has a reason to write these fields.
fn applying(object: &Value) -> (&str, PatchParams, Patch<&Value>) {
    let name = object.pointer("/metadata/name").and_then(Value::as_str);
    let params = PatchParams::apply(MANAGER).force();
    (name.unwrap_or_default(), params, Patch::Apply(object))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deletion_names_what_it_was_decided_upon() {
        let live = ObjectMeta {
            uid: Some("u".to_owned()),
            resource_version: Some("42".to_owned()),
            ..ObjectMeta::default()
        };
        let params = serde_json::to_value(deleting(Some(&live))).unwrap_or_default();
        let known = serde_json::json!({"uid": "u", "resourceVersion": "42"});
        assert_eq!(params.get("preconditions"), Some(&known));
        let background = serde_json::json!("Background");
        assert_eq!(params.get("propagationPolicy"), Some(&background));
        assert_eq!(deleting(None).preconditions, None);
    }
}
