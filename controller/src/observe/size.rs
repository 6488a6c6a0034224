//! Who says the size of a Deployment: what of that a cache keeps, and what it tells.
//!
//! The API server notes which manager owns which field (kubernetes.io, "Server-Side Apply", "Field management").
//! Server-side apply says the size as long as its manager owns it. `kubectl apply` and Argo CD by client-side apply
//! note the manifest itself in an annotation, and say the size as long as it is in there: whoever drops it merges a
//! null, for which the API server puts its default of 1, and owns that.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{FieldsV1, ManagedFieldsEntry};
use kube::api::DynamicObject;
use serde_json::{Value, json};
use sluice_core::Writer;
use sluice_crds::labels;

/// Where client-side apply notes the manifest that it applied last.
const MANIFEST: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// The size, among the fields of a manager.
const OWN_SIZE: &str = "/f:spec/f:replicas";

/// That annotation, among the fields of a manager.
const OWN_MANIFEST: &str =
    "/f:metadata/f:annotations/f:kubectl.kubernetes.io~1last-applied-configuration";

/// Keeps of a Deployment's managers those who say its size, and of its last manifest the size alone.
pub fn trim(deployment: &mut DynamicObject) {
    let entries = deployment.metadata.managed_fields.take();
    let kept: Vec<_> = entries.into_iter().flatten().filter_map(trimmed).collect();
    deployment.metadata.managed_fields = Some(kept);
    let annotations = deployment.metadata.annotations.as_mut();
    if let Some(manifest) = annotations.and_then(|all| all.get_mut(MANIFEST)) {
        let said = size_in(manifest);
        *manifest = json!({"spec": {"replicas": said}}).to_string();
    }
}

fn trimmed(mut entry: ManagedFieldsEntry) -> Option<ManagedFieldsEntry> {
    let fields = entry.fields_v1.take()?.0;
    let has = |path| fields.pointer(path).is_some();
    let (size, manifest) = (has(OWN_SIZE), has(OWN_MANIFEST));
    let kept = match (size, manifest) {
        (false, false) => return None,
        (true, false) => json!({"f:spec": {"f:replicas": {}}}),
        (false, true) => json!({"f:metadata": {"f:annotations": {format!("f:{MANIFEST}"): {}}}}),
        (true, true) => json!({
            "f:spec": {"f:replicas": {}},
            "f:metadata": {"f:annotations": {format!("f:{MANIFEST}"): {}}},
        }),
    };
    entry.fields_v1 = Some(FieldsV1(kept));
    Some(entry)
}

/// Whether Sluice owns the size, alone or with others.
#[must_use]
pub fn is_ours(deployment: &DynamicObject) -> bool {
    let mut entries = entries(deployment);
    entries.any(|entry| has(entry, OWN_SIZE) && by(entry, labels::MANAGER))
}

/// Who else says the size; of several, who keeps it in a manifest, who writes the whole object, and who wrote last.
#[must_use]
pub fn writer(deployment: &DynamicObject) -> Option<Writer> {
    let client_side = client_side(deployment);
    if let Some((applier, Some(size))) = client_side {
        return Some(said_by(applier, Some(size)));
    }
    // It dropped the size, and owns what the API server put there.
    let dropped = |entry: &ManagedFieldsEntry| {
        client_side.is_some_and(|(applier, size)| size.is_none() && applier == entry)
    };
    let others = entries(deployment)
        .filter(|entry| has(entry, OWN_SIZE) && !by(entry, labels::MANAGER) && !dropped(entry));
    let latest =
        others.max_by_key(|entry| (applies(entry), is_whole(entry), entry.time.clone()))?;
    // Whoever changes the value takes the field from who applied it.
    let kept = size_of(&deployment.data).filter(|_| applies(latest));
    Some(said_by(latest, kept))
}

/// Who applied a manifest from the client, and the size that is in it.
fn client_side(deployment: &DynamicObject) -> Option<(&ManagedFieldsEntry, Option<u32>)> {
    let annotations = deployment.metadata.annotations.as_ref()?;
    let manifest = annotations.get(MANIFEST)?;
    // Whoever went over to server-side apply may have left it behind.
    let own = |entry: &&ManagedFieldsEntry| {
        has(entry, OWN_MANIFEST) && is_whole(entry) && !applies(entry)
    };
    let applier = entries(deployment).find(own)?;
    Some((applier, size_in(manifest)))
}

fn said_by(entry: &ManagedFieldsEntry, kept: Option<u32>) -> Writer {
    Writer {
        manager: entry.manager.clone().unwrap_or_default(),
        manifest: is_whole(entry),
        kept,
    }
}

fn size_in(manifest: &str) -> Option<u32> {
    size_of(&serde_json::from_str(manifest).ok()?)
}

fn size_of(deployment: &Value) -> Option<u32> {
    let size = deployment.pointer("/spec/replicas")?.as_u64()?;
    Some(u32::try_from(size).unwrap_or(u32::MAX))
}

fn entries(deployment: &DynamicObject) -> impl Iterator<Item = &ManagedFieldsEntry> {
    deployment.metadata.managed_fields.iter().flatten()
}

fn has(entry: &ManagedFieldsEntry, path: &str) -> bool {
    let fields = entry.fields_v1.as_ref();
    fields.is_some_and(|fields| fields.0.pointer(path).is_some())
}

fn by(entry: &ManagedFieldsEntry, manager: &str) -> bool {
    entry.manager.as_deref() == Some(manager)
}

/// Whether it is about the whole object, and not about its scale alone.
fn is_whole(entry: &ManagedFieldsEntry) -> bool {
    entry.subresource.as_deref().is_none_or(str::is_empty)
}

/// Whether it is by server-side apply of the object.
fn applies(entry: &ManagedFieldsEntry) -> bool {
    is_whole(entry) && entry.operation.as_deref() == Some("Apply")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use super::*;

    /// A manager as the API server notes it: what it did, and to what.
    fn entry(manager: &str, operation: &str, second: u32, fields: &Value) -> Value {
        json!({
            "manager": manager, "operation": operation, "apiVersion": "apps/v1", "fieldsType": "FieldsV1",
            "time": format!("2026-01-01T00:00:{second:02}Z"), "fieldsV1": fields,
        })
    }

    fn size() -> Value {
        json!({"f:spec": {"f:replicas": {}, "f:template": {}}})
    }

    fn manifest_and(spec: &Value) -> Value {
        let annotation = format!("f:{MANIFEST}");
        json!({"f:metadata": {"f:annotations": {".": {}, annotation: {}}}, "f:spec": spec})
    }

    fn scaled(manager: &str, second: u32) -> Value {
        let mut scaled = entry(
            manager,
            "Update",
            second,
            &json!({"f:spec": {"f:replicas": {}}}),
        );
        scaled["subresource"] = json!("scale");
        scaled
    }

    /// What is told of a Deployment with these managers, as a cache has it.
    fn told(manifest: Option<&str>, managers: &[Value]) -> Option<(String, bool, Option<u32>)> {
        let annotations = manifest.map(|text| json!({MANIFEST: text}));
        let mut deployment: DynamicObject = serde_json::from_value(json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "shop", "annotations": annotations, "managedFields": managers},
            "spec": {"replicas": 3},
        }))
        .unwrap();
        let whole = writer(&deployment);
        trim(&mut deployment);
        assert_eq!(
            writer(&deployment),
            whole,
            "trimmed, it tells something else"
        );
        whole.map(|writer| (writer.manager, writer.manifest, writer.kept))
    }

    /// A manager that writes the whole object, or not, and the size that it keeps.
    fn by(manager: &str, manifest: bool, kept: Option<u32>) -> (String, bool, Option<u32>) {
        (manager.to_owned(), manifest, kept)
    }

    const WITH: &str = r#"{"kind":"Deployment","spec":{"replicas":3,"template":{}}}"#;
    const WITHOUT: &str = r#"{"kind":"Deployment","spec":{"template":{}}}"#;

    #[test]
    fn server_side_apply_keeps_the_size_as_long_as_it_owns_it() {
        let flux = |fields: Value| entry("kustomize-controller", "Apply", 1, &fields);
        let kept = Some(by("kustomize-controller", true, Some(3)));
        assert_eq!(told(None, &[flux(size())]), kept);
        let ours = entry("sluice", "Apply", 2, &json!({"f:spec": {"f:replicas": {}}}));
        let both = [flux(size()), ours.clone()];
        assert_eq!(told(None, &both), kept);
        let dropped = [flux(json!({"f:spec": {"f:template": {}}})), ours];
        assert_eq!(told(None, &dropped), None);
    }

    #[test]
    fn client_side_apply_keeps_the_size_as_long_as_its_manifest_says_it() {
        let applied = |spec: Value| entry("argocd-controller", "Update", 1, &manifest_and(&spec));
        let kept = Some(by("argocd-controller", true, Some(3)));
        let owned = || json!({"f:replicas": {}, "f:template": {}});
        assert_eq!(told(Some(WITH), &[applied(owned())]), kept);
        // An autoscaler changed it since: the next apply puts it back.
        let scaled = [
            applied(json!({"f:template": {}})),
            scaled("kube-controller-manager", 2),
        ];
        assert_eq!(told(Some(WITH), &scaled), kept);
        // Merging a null made it 1, and whoever did so owns that.
        assert_eq!(told(Some(WITHOUT), &[applied(owned())]), None);
    }

    #[test]
    fn who_went_over_to_server_side_apply_leaves_a_manifest_behind() {
        let now = entry(
            "argocd-controller",
            "Apply",
            2,
            &json!({"f:spec": {"f:template": {}}}),
        );
        let by_hand = scaled("kubectl", 1);
        let told = told(Some(WITH), &[now, by_hand]);
        assert_eq!(told, Some(by("kubectl", false, None)));
    }

    #[test]
    fn what_a_hand_or_an_autoscaler_wrote_is_kept_by_nobody() {
        let created = entry("kubectl-create", "Update", 1, &size());
        let told_of = |managers: &[Value]| told(None, managers);
        let whole = Some(by("kubectl-create", true, None));
        assert_eq!(told_of(std::slice::from_ref(&created)), whole);
        let by_scale = |manager| Some(by(manager, false, None));
        assert_eq!(told_of(&[scaled("kubectl", 2)]), by_scale("kubectl"));
        // Who writes the object comes before who scales it.
        let both = [scaled("kube-controller-manager", 2), created];
        assert_eq!(told_of(&both), whole);
        // Server-side apply of the scale alone is a hand's, too.
        let mut applied = scaled("keda", 1);
        applied["operation"] = json!("Apply");
        assert_eq!(told_of(&[applied]), by_scale("keda"));
        assert_eq!(told_of(&[]), None);
    }

    #[test]
    fn whether_the_size_is_ours_is_told_by_the_size_alone() {
        let of = |fields: &Value| {
            let mut deployment: DynamicObject = serde_json::from_value(json!({
                "apiVersion": "apps/v1", "kind": "Deployment",
                "metadata": {"name": "shop", "managedFields": [entry("sluice", "Apply", 1, fields)]},
            }))
            .unwrap();
            trim(&mut deployment);
            is_ours(&deployment)
        };
        assert!(of(&size()));
        assert!(!of(&json!({"f:metadata": {}})));
    }
}
