//! How the Service is called: a waypoint's clusters are those of revisions' Services.

use kube::ResourceExt as _;
use kube::api::DynamicObject;
use serde_json::{Value, json};

use crate::cli::adopt::gather::Found;
use crate::cli::adopt::item::{Fate, Item, Object};
use crate::cli::adopt::subject::Subject;
use crate::cli::read::{list_of, text};
use crate::render::copies;
use crate::render::kind::Optional;
use crate::render::mentions::{Place, is_host};

const KIND: Optional = Optional::DestinationRule;

pub(super) fn all(found: &Found, subject: &Subject) -> Vec<Item> {
    let service = Place::new(&subject.names.namespace, &subject.names.service);
    let rules = found.objects.of(&KIND.resource());
    let ours = rules.filter(|one| {
        let host = text(&one.data, "/spec/host").unwrap_or_default();
        is_host(host, &one.namespace().unwrap_or_default(), &service)
    });
    ours.map(|one| of(one, &service)).collect()
}

fn of(rule: &DynamicObject, service: &Place) -> Item {
    let place = Object::of(rule);
    if rule.data.pointer("/spec/workloadSelector").is_some() {
        let why =
            "it is for chosen clients with sidecars; a waypoint does not read it, now or later";
        return Item::new(Fate::Stays, place, why);
    }
    let [from, mut to] = [
        rule.namespace().unwrap_or_default(),
        service.namespace.clone(),
    ]
    .map(|namespace| manifest(rule, &namespace));
    let subsets = take(&mut to, "subsets");
    let elsewhere = !copies::is_about(KIND, rule, service);
    let why = match (elsewhere, subsets) {
        (true, _) => {
            "it is in another namespace, and is not copied for revisions' Services: what it says to the waypoint would \
             not hold. Write it where the Service is"
        }
        (false, true) => {
            "Sluice copies it for each revision's Service without its subsets, which only a VirtualService can name. \
             What a subset sets belongs to the trafficPolicy of all"
        }
        (false, false) => {
            let why = "Sluice copies it for each revision's Service";
            return Item::new(Fate::Stays, place, why);
        }
    };
    let [from, to] = [&from, &to].map(|one| serde_yaml_ng::to_string(one).unwrap_or_default());
    Item::new(Fate::Change, place, why).with(from, to)
}

fn manifest(rule: &DynamicObject, namespace: &str) -> Value {
    let mut spec = rule.data.get("spec").cloned().unwrap_or_default();
    // Short names are of the rule's own namespace.
    if rule.namespace().as_deref() != Some(namespace)
        && let Some(host) = spec.get_mut("host")
    {
        let name = host.as_str().and_then(|host| host.split('.').next());
        *host = name.unwrap_or_default().into();
    }
    json!({
        "apiVersion": KIND.resource().api_version,
        "kind": KIND.kind(),
        "metadata": {"name": rule.name_any(), "namespace": namespace},
        "spec": spec,
    })
}

fn take(manifest: &mut Value, field: &str) -> bool {
    let spec = manifest.get_mut("spec").and_then(Value::as_object_mut);
    let taken = spec.and_then(|spec| spec.remove(field));
    taken.is_some_and(|taken| !list_of(&json!({"taken": taken}), "/taken").is_empty())
}
