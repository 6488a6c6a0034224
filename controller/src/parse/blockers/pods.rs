//! Another Service on the same pods: it sends them requests past our route.

use k8s_openapi::api::core::v1::Service;
use kube::ResourceExt as _;
use serde_json::Value;

use crate::observe::Observed;
use crate::observe::observed::parent_name;
use crate::render::service;

/// What to mend, if there is one.
pub(super) fn find(observed: &Observed) -> Option<String> {
    let labels = observed
        .template()?
        .pointer("/metadata/labels")?
        .as_object()?;
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
    let mut others = observed.other_services.iter();
    let other = others.find(|service| selects(service))?;
    Some(format!(
        "Service {} selects the same pods as {}: its callers reach every revision; change its selector",
        other.name_any(),
        parent_name(&observed.canary)
    ))
}
