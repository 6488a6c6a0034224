#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use k8s_openapi::api::core::v1::Service;
use kube::ResourceExt as _;
use proptest::prelude::*;
use serde_json::json;

use super::super::kinds;
use super::*;

/// A Service by its number, of one of these Canaries or of none.
fn service(number: u8, canary: Option<u8>) -> Service {
    let labels = canary.map(|canary| json!({labels::CANARY: format!("canary-{canary}")}));
    let metadata = json!({
        "name": format!("service-{number}"), "namespace": format!("namespace-{}", number % 2), "labels": labels,
    });
    serde_json::from_value(json!({"metadata": metadata})).unwrap()
}

fn canary(number: u8) -> Topic {
    Topic::Canary(Place::new("namespace-0", &format!("canary-{number}")))
}

fn apply(shelf: &Shelf<Service>, writer: &mut Writer<Service>, event: &Event<Service>) {
    shelf.note(event);
    writer.apply_watcher_event(event);
}

fn names<K: Resource>(objects: &[Arc<K>]) -> Vec<String> {
    let mut names: Vec<_> = objects.iter().map(|object| object.name_any()).collect();
    names.sort();
    names
}

fn event() -> impl Strategy<Value = Event<Service>> {
    let one = || (0..6_u8, prop::option::of(0..2_u8)).prop_map(|(n, canary)| service(n, canary));
    prop_oneof![
        6 => one().prop_map(Event::Apply),
        3 => one().prop_map(Event::Delete),
        1 => Just(Event::Init),
        4 => one().prop_map(Event::InitApply),
        1 => Just(Event::InitDone),
    ]
}

proptest! {
    /// Whatever a watch brings, a list that was cut short among it.
    #[test]
    fn what_is_picked_is_what_a_look_at_everything_finds(events in prop::collection::vec(event(), 0..40)) {
        let (shelf, mut writer) = Shelf::new((), by_owner);
        let mut listing = false;
        for event in events {
            // A watch brings these in a list, and the others outside of one.
            match &event {
                Event::Init => listing = true,
                Event::InitDone if listing => listing = false,
                Event::InitApply(_) if listing => {}
                Event::Apply(_) | Event::Delete(_) if !listing => {}
                _ => continue,
            }
            apply(&shelf, &mut writer, &event);
            let beside = Topic::Namespace("namespace-0".to_owned());
            for topics in [vec![canary(0)], vec![beside.clone()], vec![canary(1), beside]] {
                let all = shelf.state_filter(|object| by_owner(object).iter().any(|own| topics.contains(own)));
                prop_assert_eq!(names(&shelf.pick(&topics, |_| true)), names(&all));
            }
        }
    }
}

#[test]
fn what_is_noted_before_it_is_cached_is_found_by_what_is_cached() {
    let (shelf, mut writer) = Shelf::new((), by_owner);
    let beside = Topic::Namespace("namespace-0".to_owned());
    apply(&shelf, &mut writer, &Event::Apply(service(0, Some(0))));
    shelf.note(&Event::Apply(service(0, None)));
    let near = [canary(0), beside.clone()];
    assert_eq!(names(&shelf.pick(&near, |_| true)), ["service-0"]);
    assert!(shelf.pick(&[beside], |_| true).is_empty());
}

#[test]
fn nothing_is_kept_of_what_is_gone() {
    let mut filed = Filed::default();
    let place = || Place::new("namespace-0", "service-0");
    filed.put(place(), by_owner(&service(0, Some(0))));
    filed.put(place(), by_owner(&service(0, None)));
    assert_eq!((filed.places.len(), filed.topics.len()), (1, 1));
    filed.put(place(), Vec::new());
    assert_eq!((filed.places.len(), filed.topics.len()), (0, 0));
}

#[test]
fn a_route_is_found_by_every_service_that_it_names() {
    let route: DynamicObject = serde_json::from_value(json!({
        "metadata": {"name": "route", "namespace": "web"},
        "spec": {
            "parentRefs": [{"group": "", "kind": "Service", "name": "shop"}, {"name": "edge"}],
            "rules": [{"backendRefs": [{"name": "cart", "namespace": "prod"}, {"kind": "Bucket", "name": "none"}]}],
        },
    }))
    .unwrap();
    let (shelf, mut writer) = Shelf::new(kinds::http_route(), by_owner_and_services);
    let event = Event::Apply(route);
    shelf.note(&event);
    writer.apply_watcher_event(&event);
    for (namespace, name, found) in [
        ("web", "shop", true),
        ("prod", "cart", true),
        ("web", "cart", false),
        ("web", "edge", false),
        ("web", "none", false),
    ] {
        let topic = Topic::Service(Place::new(namespace, name));
        assert_eq!(
            !shelf.pick(&[topic], |_| true).is_empty(),
            found,
            "{namespace}/{name}"
        );
    }
}
