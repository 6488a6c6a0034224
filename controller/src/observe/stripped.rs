//! Objects of revisions whose labels somebody took away. They are known by their names and by what is in
//! them that only Sluice writes; otherwise they would stay for ever, with nobody to remove them.

use k8s_openapi::api::core::v1::Service;
use kube::ResourceExt as _;
use kube::api::DynamicObject;
use sluice_crds::labels;

use crate::render::snapshot::TEMPLATE_HASH;

/// Whether it selects the pods of the revision that it is named after, and nothing else.
#[must_use]
pub fn is_service(service: &Service) -> bool {
    let selector = service
        .spec
        .as_ref()
        .and_then(|spec| spec.selector.as_ref());
    selector.is_some_and(|selector| {
        selector.len() == 1 && selector.get(labels::REVISION) == Some(&service.name_any())
    })
}

/// The same for a Deployment, whose selector nobody can change.
#[must_use]
pub fn is_workload(deployment: &DynamicObject) -> bool {
    let selector = deployment.data.pointer("/spec/selector/matchLabels");
    selector == Some(&serde_json::json!({labels::REVISION: deployment.name_any()}))
}

/// Whether the hash of its template is noted on it.
#[must_use]
pub fn is_snapshot(template: &DynamicObject) -> bool {
    template.annotations().contains_key(TEMPLATE_HASH)
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json};

    use super::*;
    use crate::render::service::service;

    #[test]
    fn what_was_rendered_is_known_without_its_labels() -> serde_json::Result<()> {
        let parent = from_value(json!({"spec": {"ports": [{"port": 80}]}}))?;
        let rendered = service("shop", "podinfo", &"podinfo-bcdfghjk".into(), &parent, None);
        let mut made: Service = from_value(rendered)?;
        made.metadata.labels = None;
        assert!(is_service(&made));
        made.metadata.name = Some("another".to_owned());
        assert!(!is_service(&made));

        let mut deployment: DynamicObject = from_value(json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "podinfo-bcdfghjk"},
            "spec": {"selector": {"matchLabels": {"sluice.dev/revision": "podinfo-bcdfghjk"}}},
        }))?;
        assert!(is_workload(&deployment));
        deployment.metadata.name = Some("podinfo".to_owned());
        assert!(!is_workload(&deployment) && !is_snapshot(&deployment));
        Ok(())
    }
}
