//! What lets packets in: the mesh delivers requests at a port of its own.

use serde_json::{Value, json};

use super::{SAME_LABELS, here, selects};
use crate::cli::adopt::gather::Found;
use crate::cli::adopt::item::{Fate, Item, Object};
use crate::cli::adopt::subject::Subject;
use crate::cli::read::{list_of, network_policy};

/// The port of HBONE, at which ztunnel takes what is meant for a pod.
const HBONE: u64 = 15008;

pub(super) fn all(found: &Found, subject: &Subject) -> Vec<Item> {
    let kind = network_policy();
    let ours = here(found, subject, &kind)
        .filter(|one| selects(one.data.pointer("/spec/podSelector"), &subject.labels));
    let ours: Vec<_> = ours.collect();
    // They add up: one that lets it in is enough.
    let open = ours.iter().any(|one| {
        let mut rules = list_of(&one.data, "/spec/ingress").iter();
        rules.any(|rule| {
            let ports = list_of(rule, "/ports");
            ports.is_empty() || ports.iter().any(is_hbone)
        })
    });
    let all = ours.into_iter();
    all.map(|one| of(Object::of(one), &one.data, open))
        .collect()
}

fn of(place: Object, policy: &Value, open: bool) -> Item {
    let rules = list_of(policy, "/spec/ingress");
    // One without rules is about what goes out, or lets nothing in as it is.
    if rules.is_empty() || open {
        return Item::new(Fate::Stays, place, SAME_LABELS);
    }
    let rule = json!({"ports": [{"protocol": "TCP", "port": HBONE}]});
    let opened: Vec<_> = rules.iter().cloned().chain([rule]).collect();
    let [from, to] = [json!({"ingress": rules}), json!({"ingress": opened})]
        .map(|one| serde_yaml_ng::to_string(&one).unwrap_or_default());
    let why = format!(
        "the mesh brings requests to pods at port {HBONE}, which it does not let in. Who may call is then up to an \
         AuthorizationPolicy"
    );
    Item::new(Fate::Change, place, why).with(from, to)
}

fn is_hbone(port: &Value) -> bool {
    let number = |field: &str| port.get(field).and_then(Value::as_u64);
    let (first, last) = (number("port"), number("endPort").or(number("port")));
    let both = first.zip(last);
    both.is_some_and(|(first, last)| (first..=last).contains(&HBONE))
}
