//! Who may call: requests come to the pods from the waypoint, and to the waypoint for the Service or for a revision.

use serde_json::{Value, json};

use super::{SAME_LABELS, here, selects};
use crate::cli::adopt::gather::Found;
use crate::cli::adopt::item::{Fate, Item, Object};
use crate::cli::adopt::kinds::authorization_policy;
use crate::cli::adopt::subject::Subject;
use crate::cli::read::{list_of, text};

pub(super) fn all(found: &Found, subject: &Subject) -> Vec<Item> {
    let kind = authorization_policy();
    let mut items = Vec::new();
    let mut at_pods = Vec::new();
    for one in here(found, subject, &kind) {
        let spec = one.data.get("spec").cloned().unwrap_or_default();
        let mut targets = list_of(&spec, "/targetRefs")
            .iter()
            .chain(spec.get("targetRef"));
        let is_service = |target: &Value| {
            text(target, "/kind") == Some("Service")
                && text(target, "/name") == Some(&subject.names.service)
        };
        if targets.clone().any(is_service) {
            items.push(of_service(Object::of(one), subject));
        } else if targets.next().is_none() && selects(spec.get("selector"), &subject.labels) {
            at_pods.push((Object::of(one), spec));
        }
    }
    for (place, spec) in &at_pods {
        // Those that allow add up: one that lets it in is enough.
        let mut beside: Vec<_> = at_pods.iter().map(|(_, spec)| spec).collect();
        beside.retain(|other| allows(spec) && allows(other));
        let lets_in = |waypoint: &str| {
            lets_in(spec, waypoint) || beside.iter().any(|other| lets_in(other, waypoint))
        };
        let shut = subject.waypoints.iter().filter(|one| !lets_in(one));
        let shut: Vec<_> = shut.map(|waypoint| principal(waypoint)).collect();
        items.push(of_pods(place.clone(), spec, &shut));
    }
    items
}

fn allows(spec: &Value) -> bool {
    text(spec, "/action").unwrap_or("ALLOW") == "ALLOW"
}

fn of_service(place: Object, subject: &Subject) -> Item {
    let why = format!(
        "it holds for whoever calls Service {}, before a revision is chosen. It does not hold for whoever calls a \
         revision's own Service ({}), which the same waypoint serves: where that matters, forbid it at the Gateway of \
         the waypoint",
        subject.names.service,
        subject.names.revisions()
    );
    Item::new(Fate::Look, place, why)
}

fn of_pods(place: Object, spec: &Value, shut: &[String]) -> Item {
    if shut.is_empty() {
        return Item::new(Fate::Stays, place, SAME_LABELS);
    }
    let mut opened = spec.clone();
    let denies = text(spec, "/action") == Some("DENY");
    open(&mut opened, denies, shut);
    let [from, to] = [spec, &opened]
        .map(|spec| json!({"rules": spec.get("rules")}))
        .map(|rules| serde_yaml_ng::to_string(&rules).unwrap_or_default());
    let why = "requests come to revisions' pods from the waypoint, which it does not let in. Who may call belongs to a \
               policy with the Service in targetRefs";
    Item::new(Fate::Change, place, why).with(from, to)
}

fn principal(waypoint: &str) -> String {
    let (namespace, name) = waypoint.split_once('/').unwrap_or_default();
    format!("cluster.local/ns/{namespace}/sa/{name}")
}

/// Whether a policy at the pods lets the waypoint through, which is named as `shop/waypoint`.
fn lets_in(spec: &Value, waypoint: &str) -> bool {
    let (namespace, name) = waypoint.split_once('/').unwrap_or_default();
    let end = format!("/ns/{namespace}/sa/{name}");
    let says = |from: &Value, field: &str, is: &dyn Fn(&str) -> bool| {
        let values = list_of(from, &format!("/source/{field}")).iter();
        values.filter_map(Value::as_str).any(is)
    };
    let is_principal = |one: &str| one.ends_with(&end) || one == "*";
    let is_namespace = |one: &str| one == namespace || one == "*";
    let rules = list_of(spec, "/rules");
    let sources = |rule| list_of(rule, "/from").iter();
    match text(spec, "/action").unwrap_or("ALLOW") {
        "ALLOW" => rules.iter().any(|rule| {
            sources(rule).len() == 0
                || sources(rule).any(|from| {
                    says(from, "principals", &is_principal)
                        || says(from, "namespaces", &is_namespace)
                })
        }),
        // Of what is denied, all but those whom it names.
        "DENY" => !rules.iter().any(|rule| {
            sources(rule).any(|from| {
                let but = |field: &str, is: &dyn Fn(&str) -> bool| {
                    !list_of(from, &format!("/source/{field}")).is_empty() && !says(from, field, is)
                };
                but("notPrincipals", &is_principal) || but("notNamespaces", &is_namespace)
            })
        }),
        _ => true,
    }
}

/// Names the waypoints: in a rule of their own, or among those who are not denied.
fn open(spec: &mut Value, denies: bool, waypoints: &[String]) {
    let Some(fields) = spec.as_object_mut() else {
        return;
    };
    let rules = fields.entry("rules").or_insert_with(|| json!([]));
    let Some(rules) = rules.as_array_mut() else {
        return;
    };
    if !denies {
        rules.push(json!({"from": [{"source": {"principals": waypoints}}]}));
        return;
    }
    for rule in rules {
        let from = rule.get_mut("from").and_then(Value::as_array_mut);
        for one in from.into_iter().flatten() {
            let source = one.get_mut("source").and_then(Value::as_object_mut);
            let named = source.and_then(|source| source.get_mut("notPrincipals"));
            if let Some(named) = named.and_then(Value::as_array_mut) {
                named.extend(waypoints.iter().map(|one| Value::from(one.as_str())));
            }
        }
    }
}
