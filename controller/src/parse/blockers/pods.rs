//! Another Service on the same pods: it sends them requests past our route.

use k8s_openapi::api::core::v1::Service;
use kube::ResourceExt as _;
use serde_json::Value;

use crate::observe::Observed;
use crate::observe::observed::parent_name;
use crate::render::service;

/// What to mend, for each.
pub(super) fn find(observed: &Observed) -> Vec<String> {
    let template = observed.template();
    let labels = template.and_then(|template| template.pointer("/metadata/labels")?.as_object());
    let Some(labels) = labels else {
        return Vec::new();
    };
    let selects = |service: &Service| {
        let selector = service
            .spec
            .as_ref()
            .and_then(|spec| spec.selector.as_ref());
        // By role it reaches what serves, and nothing else.
        !service::selects_role(Some(service))
            && selector.is_some_and(|selector| {
                !selector.is_empty()
                    && selector.iter().all(|(name, value)| {
                        labels.get(name).and_then(Value::as_str) == Some(value.as_str())
                    })
            })
    };
    let others = observed.other_services.iter();
    let others = others.filter(|service| selects(service));
    let told = others.map(|other| {
        format!(
            "Service {} selects the same pods as {}: its callers reach every revision; change its selector",
            other.name_any(),
            parent_name(&observed.canary)
        )
    });
    told.collect()
}
