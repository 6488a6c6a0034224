//! What has the pods scraped.

use kube::ResourceExt as _;
use kube::api::DynamicObject;
use serde_json::{Value, json};
use sluice_crds::labels;

use super::{SAME_LABELS, selects};
use crate::cli::adopt::gather::Found;
use crate::cli::adopt::item::{Fate, Item, Object};
use crate::cli::adopt::kinds::{pod_monitor, service_monitor};
use crate::cli::adopt::subject::Subject;
use crate::cli::read::list_of;
use crate::render::service::{self, selects_role};

pub(super) fn all(found: &Found, subject: &Subject) -> Vec<Item> {
    let watched = |one: &&DynamicObject| watches(one, &subject.names.namespace);
    let of_pods = found.objects.of(&pod_monitor()).filter(watched);
    let of_pods = of_pods
        .filter(|one| selects(one.data.pointer("/spec/selector"), &subject.labels))
        .map(|one| Item::new(Fate::Stays, Object::of(one), SAME_LABELS));
    let of_services = found.objects.of(&service_monitor()).filter(watched);
    let of_services = of_services.filter_map(|one| of_service(one, subject));
    of_pods.chain(of_services).collect()
}

/// Whether a monitor looks into a namespace.
fn watches(monitor: &DynamicObject, namespace: &str) -> bool {
    let any = monitor.data.pointer("/spec/namespaceSelector/any") == Some(&Value::Bool(true));
    let named = list_of(&monitor.data, "/spec/namespaceSelector/matchNames");
    let own = monitor.namespace().as_deref() == Some(namespace);
    any || named.iter().any(|name| name == namespace) || (own && named.is_empty())
}

fn of_service(monitor: &DynamicObject, subject: &Subject) -> Option<Item> {
    let place = Object::of(monitor);
    let selector = monitor.data.pointer("/spec/selector");
    let own = subject.service.metadata.labels.as_ref();
    if !selects(selector, &json!(own.cloned().unwrap_or_default())) {
        return None;
    }
    if selects(selector, &labels_of_revisions(subject)) {
        let why = "it selects revisions' Services as well: every pod would be scraped twice, and sums would double";
        let without = json!({"key": labels::REVISION, "operator": "DoesNotExist"});
        let mut narrow = selector.cloned().unwrap_or_else(|| json!({}));
        let mut expressions = list_of(&narrow, "/matchExpressions").to_vec();
        expressions.push(without);
        if let Some(fields) = narrow.as_object_mut() {
            fields.insert("matchExpressions".to_owned(), expressions.into());
        }
        let [from, to] = [selector.unwrap_or(&Value::Null), &narrow]
            .map(|selector| yaml(&json!({"selector": selector})));
        return Some(Item::new(Fate::Change, place, why).with(from, to));
    }
    if selects_role(Some(&subject.service)) {
        let why = "in strict mode the Service selects the pods of what serves alone: a candidate would not be scraped";
        let to = yaml(&of_pods(monitor, subject));
        let whose = json!({"name": place.name, "namespace": place.namespace});
        let from = yaml(&json!({"kind": place.kind, "metadata": whose}));
        return Some(Item::new(Fate::Change, place, why).with(from, to));
    }
    let why = "your Service goes on to select the pods of all revisions: job and service are as they were, and pod \
               tells revisions apart";
    Some(Item::new(Fate::Stays, place, why))
}

fn labels_of_revisions(subject: &Subject) -> Value {
    let names = &subject.names;
    let revision = names.any_revision();
    let service = service::service(
        &names.namespace,
        &subject.canary_name,
        &revision,
        &subject.service,
        None,
    );
    let labels = service.pointer("/metadata/labels");
    labels.cloned().unwrap_or_default()
}

/// The same scrape by the pods' labels, under the same job and service.
fn of_pods(monitor: &DynamicObject, subject: &Subject) -> Value {
    let mut spec = monitor.data.get("spec").cloned().unwrap_or_default();
    let selector = subject.service.spec.as_ref();
    let selector = selector.and_then(|spec| spec.selector.clone());
    let mut selector = selector.unwrap_or_default();
    selector.remove(labels::ROLE);
    let named = |label: &str| json!({"targetLabel": label, "replacement": subject.names.service});
    let endpoints = list_of(&spec, "/endpoints").iter().cloned();
    let endpoints = endpoints.map(|mut endpoint| {
        let mut own = list_of(&endpoint, "/relabelings").to_vec();
        own.extend(["job", "service"].map(named));
        if let Some(fields) = endpoint.as_object_mut() {
            fields.insert("relabelings".to_owned(), own.into());
        }
        endpoint
    });
    let endpoints: Vec<Value> = endpoints.collect();
    if let Some(fields) = spec.as_object_mut() {
        fields.remove("endpoints");
        // Both are about a Service.
        fields.remove("jobLabel");
        fields.remove("targetLabels");
        fields.insert("selector".to_owned(), json!({"matchLabels": selector}));
        fields.insert("podMetricsEndpoints".to_owned(), endpoints.into());
    }
    json!({
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PodMonitor",
        "metadata": {
            "name": monitor.name_any(),
            "namespace": monitor.namespace(),
            "labels": monitor.labels(),
        },
        "spec": spec,
    })
}

fn yaml(value: &Value) -> String {
    serde_yaml_ng::to_string(value).unwrap_or_default()
}
