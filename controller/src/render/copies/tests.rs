#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use super::*;

fn object(kind: Optional, name: &str, created: u32, spec: &Value) -> Setting {
    let object = serde_json::from_value(json!({
        "apiVersion": kind.resource().api_version, "kind": kind.kind(),
        "metadata": {
            "name": name, "namespace": "prod",
            "labels": {"app.kubernetes.io/instance": "shop"},
            "creationTimestamp": format!("2026-01-01T00:00:{created:02}Z"),
        },
        "spec": spec,
    }));
    (kind, Arc::new(object.unwrap()))
}

fn rule(name: &str, created: u32, spec: &Value) -> Setting {
    object(Optional::DestinationRule, name, created, spec)
}

fn policy(name: &str, created: u32, targets: &Value) -> Setting {
    let spec = json!({"targetRefs": targets, "validation": {"hostname": "shop.example"}});
    object(Optional::BackendTlsPolicy, name, created, &spec)
}

fn target(name: &str, section: Option<&str>) -> Value {
    let mut target = json!({"group": "", "kind": "Service", "name": name});
    if let Some(section) = section {
        target
            .as_object_mut()
            .unwrap()
            .insert("sectionName".to_owned(), section.into());
    }
    target
}

fn copied(theirs: &[Setting]) -> Vec<(Optional, Value)> {
    copies(
        "shop",
        &"shop-1".into(),
        &Place::new("prod", "shop"),
        theirs,
    )
}

fn live(copy: &(Optional, Value)) -> Setting {
    (
        copy.0,
        Arc::new(serde_json::from_value(copy.1.clone()).unwrap()),
    )
}

#[test]
fn a_rule_is_copied_with_the_host_changed_and_without_subsets() {
    let outliers = json!({"outlierDetection": {"consecutive5xxErrors": 7}});
    let spec = json!({"host": "shop", "exportTo": ["."], "trafficPolicy": outliers, "subsets": [{"name": "v1"}]});
    let copies = copied(&[rule("shop", 1, &spec)]);
    let [(kind, copy)] = copies.as_slice() else {
        panic!("{copies:?}");
    };
    assert_eq!(*kind, Optional::DestinationRule);
    let wanted = json!({"host": "shop-1", "exportTo": ["."], "trafficPolicy": outliers});
    assert_eq!(copy.pointer("/spec"), Some(&wanted));
    assert_eq!(
        copy.pointer("/metadata/labels"),
        Some(&json!({
            "sluice.dev/canary": "shop", "sluice.dev/revision": "shop-1",
            "app.kubernetes.io/managed-by": "sluice",
        }))
    );
}

#[test]
fn there_is_one_rule_for_one_host_and_the_oldest_wins() {
    let with = |errors: u32| json!({"host": "shop", "trafficPolicy": {"outlierDetection": {"consecutive5xxErrors": errors}}});
    let only_subsets = json!({"host": "shop", "subsets": [{"name": "v1"}]});
    let copies = copied(&[
        rule("c", 3, &with(3)),
        rule("b", 2, &with(2)),
        rule("a", 1, &only_subsets),
    ]);
    assert_eq!(copies.len(), 1);
    let errors = copies[0]
        .1
        .pointer("/spec/trafficPolicy/outlierDetection/consecutive5xxErrors");
    assert_eq!(errors, Some(&json!(2)));
    assert!(copied(&[rule("a", 1, &only_subsets)]).is_empty());
}

#[test]
fn policies_are_copied_for_the_ports_that_no_older_one_has() {
    let first = policy(
        "first",
        1,
        &json!([target("shop", Some("web")), target("other", None)]),
    );
    let second = policy(
        "second",
        2,
        &json!([target("shop", Some("web")), target("shop", None)]),
    );
    let third = policy("third", 3, &json!([target("shop", Some("web"))]));
    let copies = copied(&[third, second, first]);
    let targets: Vec<_> = copies
        .iter()
        .map(|copy| copy.1.pointer("/spec/targetRefs").unwrap())
        .collect();
    assert_eq!(
        targets,
        [
            &json!([target("shop-1", Some("web"))]),
            &json!([target("shop-1", None)])
        ]
    );
}

#[test]
fn only_what_names_the_service_alone_is_about_it() {
    let shop = Place::new("prod", "shop");
    let about = |setting: &Setting| is_about(setting.0, &setting.1, &shop);
    let host = |host: &str| rule("r", 1, &json!({"host": host, "trafficPolicy": {}}));
    assert!(about(&host("shop")) && about(&host("shop.prod.svc.cluster.local")));
    // A pattern holds for revisions as it is.
    assert!(!about(&host("*.prod.svc.cluster.local")) && !about(&host("other")));
    let selected = json!({"host": "shop", "workloadSelector": {"matchLabels": {"app": "web"}}});
    assert!(!about(&rule("r", 1, &selected)));
    assert!(about(&policy("p", 1, &json!([target("shop", None)]))));
    assert!(!about(&policy("p", 1, &json!([target("other", None)]))));
}

#[test]
fn a_copy_is_outdated_when_theirs_changes_or_somebody_changes_it() {
    let spec = json!({"host": "shop", "trafficPolicy": {"connectionPool": {"http": {"http1MaxPendingRequests": 5, "maxRequestsPerConnection": 2}}}});
    let wanted = copied(&[rule("shop", 1, &spec)]);
    let current = vec![live(&wanted[0])];
    assert!(!is_outdated(&current, &wanted));
    assert!(is_outdated(&[], &wanted));
    assert!(is_outdated(&current, &[]), "theirs was removed");

    let less = json!({"host": "shop", "trafficPolicy": {"connectionPool": {"http": {"http1MaxPendingRequests": 5}}}});
    assert!(
        is_outdated(&current, &copied(&[rule("shop", 1, &less)])),
        "a field less"
    );

    let mut edited = wanted[0].clone();
    *edited.1.pointer_mut("/spec/host").unwrap() = "shop".into();
    assert!(is_outdated(&[live(&edited)], &wanted));

    // A field of somebody else stays as it is: applying again would not take it away.
    let mut more = wanted[0].clone();
    more.1["spec"]["trafficPolicy"]["tls"] = json!({"mode": "DISABLE"});
    assert!(!is_outdated(&[live(&more)], &wanted));
}
