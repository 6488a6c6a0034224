//! What is rendered, stored and read back.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

use k8s_openapi::api::core::v1::Service;
use serde_json::json;
use sluice_crds::RouteTemplate;

use super::super::route::routes;
use super::*;

fn parent() -> Service {
    serde_json::from_value(json!({
        "metadata": {"name": "podinfo", "namespace": "shop"},
        "spec": {"ports": [{"name": "http", "port": 80}, {"name": "grpc", "port": 9999}]},
    }))
    .unwrap()
}

fn split_of(ppm: u32) -> Routing {
    let weights = [("podinfo-old", 1_000_000 - ppm), ("podinfo-new", ppm)];
    Routing {
        weights: weights
            .into_iter()
            .filter(|(_, ppm)| *ppm > 0)
            .map(|(name, ppm)| (name.into(), Weight::from_ppm(ppm)))
            .collect(),
        stable: Some("podinfo-old".into()),
        candidate: Some("podinfo-new".into()),
        step: Some(1),
        at: at(10).unwrap_or_default(),
    }
}

fn template() -> RouteTemplate {
    serde_json::from_value(json!({"rules": [
        {"matches": [{"headers": [{"name": "x-beta", "value": "1"}]}], "timeouts": {"request": "5s"}},
        {"filters": [{"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "audit", "port": 80}}}]},
    ]}))
    .unwrap()
}

fn rendered(routing: &Routing) -> Vec<Value> {
    routes(
        "shop",
        "podinfo",
        &parent(),
        routing,
        Some(&template()),
        &[],
    )
}

/// As an API server returns them: with defaults, and owned by us.
fn stored(rendered: &[Value]) -> Vec<DynamicObject> {
    rendered.iter().map(store).collect()
}

fn store(rendered: &Value) -> DynamicObject {
    let mut route = rendered.clone();
    let path = json!({"type": "PathPrefix", "value": "/"});
    let rules = &mut route["spec"]["rules"];
    rules[0]["matches"][0]["path"] = path.clone();
    rules[0]["matches"][0]["headers"][0]["type"] = json!("Exact");
    rules[1]["matches"] = json!([{"path": path}]);
    rules[1]["filters"][0]["requestMirror"]["backendRef"]["group"] = json!("");
    rules[1]["filters"][0]["requestMirror"]["backendRef"]["kind"] = json!("Service");
    route["metadata"]["managedFields"] = json!([
        owner("sluice", "Apply", "", "2026-01-01T00:00:10Z", &json!({"f:rules": {}, "f:parentRefs": {}})),
        {
            "manager": "pilot-discovery", "operation": "Update", "subresource": "status",
            "time": "2026-01-01T00:00:20Z", "fieldsV1": {"f:status": {"f:parents": {}}},
        },
    ]);
    serde_json::from_value(route).unwrap()
}

fn owner(manager: &str, operation: &str, subresource: &str, time: &str, spec: &Value) -> Value {
    json!({
        "manager": manager, "operation": operation, "subresource": subresource, "time": time,
        "apiVersion": "gateway.networking.k8s.io/v1", "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": spec},
    })
}

/// Changes a stored route the way `change` says, by `kubectl edit`.
fn edited(route: &DynamicObject, change: impl FnOnce(&mut Value)) -> DynamicObject {
    let mut value = serde_json::to_value(route).unwrap();
    change(&mut value["spec"]);
    value["metadata"]["managedFields"] = json!([
        owner(
            "sluice",
            "Apply",
            "",
            "2026-01-01T00:00:10Z",
            &json!({"f:parentRefs": {}})
        ),
        owner(
            "kubectl-edit",
            "Update",
            "",
            "2026-01-01T00:00:30Z",
            &json!({"f:rules": {}})
        ),
    ]);
    serde_json::from_value(value).unwrap()
}

fn refs(objects: &[DynamicObject]) -> Vec<&DynamicObject> {
    objects.iter().collect()
}

fn at(seconds: i64) -> Option<Time> {
    // 2026-01-01T00:00:00Z
    Time::from_timestamp(1_767_225_600 + seconds, 0)
}

#[test]
fn reading_is_the_inverse_of_rendering() {
    let coarse = (0..=1_000_000).step_by(3_331);
    let fine = (0..100).chain([125_000, 333_333, 500_000, 999_999, 1_000_000]);
    for ppm in coarse.chain(fine) {
        let routing = split_of(ppm);
        let objects = stored(&rendered(&routing));
        let read = read_routes(&refs(&objects)).unwrap();
        assert!(read.agree, "{ppm}");
        assert_eq!(read.routing(), routing, "{ppm}");
        assert_eq!(read.written_at, at(10));
        assert_eq!(read.foreign_writer, None);
        assert!(intact(&refs(&objects), &rendered(&read.routing())), "{ppm}");
    }
    assert_eq!(read_routes(&[]), None);
}

#[test]
fn numbers_of_others_sum_to_the_whole() {
    let weigh = |weights: &[u64]| -> Vec<u32> {
        let name = |index| RevisionName::from(format!("r{index}"));
        let parts = weights.iter().enumerate();
        let parts = parts.map(|(index, part)| (name(index), *part)).collect();
        to_whole(parts)
            .values()
            .map(|weight| weight.ppm())
            .collect()
    };
    assert_eq!(weigh(&[1, 2]), [333_333, 666_667]);
    assert_eq!(
        weigh(&[1_000_000, 1_000_000, 1]).iter().sum::<u32>(),
        1_000_000
    );
    assert_eq!(weigh(&[1_000_000, 1_000_000, 1]).last(), Some(&1));
    assert_eq!(weigh(&[7]), [1_000_000]);
    assert!(weigh(&[]).is_empty());
}

#[test]
fn a_half_written_split_is_seen() {
    let (before, after) = (split_of(50_000), split_of(250_000));
    let objects = [store(&rendered(&before)[0]), store(&rendered(&after)[1])];
    let read = read_routes(&refs(&objects)).unwrap();
    assert!(!read.agree);
    assert_eq!(
        read.weights[&"podinfo-new".into()],
        Weight::from_percent(25)
    );
    assert_eq!(
        read.weights[&"podinfo-old".into()],
        Weight::from_percent(95)
    );
}

#[test]
fn a_hand_edit_is_seen_and_named() {
    let wanted = rendered(&split_of(50_000));
    let objects = stored(&wanted);
    let edits: [fn(&mut Value); 7] = [
        |spec| spec["rules"][0]["timeouts"]["backendRequest"] = json!("1s"),
        |spec| spec["rules"][1]["timeouts"] = json!({"request": "1s"}),
        |spec| spec["rules"][1]["matches"][0]["path"]["value"] = json!("/api"),
        |spec| spec["rules"][0]["backendRefs"][0]["port"] = json!(81),
        |spec| spec["rules"][0]["backendRefs"][0]["namespace"] = json!("other"),
        |spec| spec["parentRefs"][0]["port"] = json!(81),
        |spec| {
            let rule = spec["rules"][0].clone();
            spec["rules"].as_array_mut().unwrap().push(rule);
        },
    ];
    for (index, edit) in edits.into_iter().enumerate() {
        let live = [edited(&objects[0], edit), objects[1].clone()];
        assert!(!intact(&refs(&live), &wanted), "edit {index}");
        let read = read_routes(&refs(&live)).unwrap();
        assert_eq!(read.foreign_writer.as_deref(), Some("kubectl-edit"));
        assert_eq!(read.written_at, at(10));
    }
}

#[test]
fn defaults_are_no_difference_to_whoever_wrote_them() {
    let wanted = rendered(&split_of(50_000));
    let objects = stored(&wanted);
    let live = [edited(&objects[0], |_| ()), objects[1].clone()];
    assert!(intact(&refs(&live), &wanted));
    // A default of the future is known by its owner: us.
    let mut value = serde_json::to_value(&objects[0]).unwrap();
    value["spec"]["rules"][0]["newField"] = json!({"mode": "Default"});
    let newer = serde_json::from_value(value).unwrap();
    assert!(intact(&[&newer, &objects[1]], &wanted));
}

#[test]
fn another_weight_is_not_the_shape_but_is_read() {
    let wanted = rendered(&split_of(50_000));
    let objects = stored(&wanted);
    let live = [
        edited(&objects[0], |spec| {
            spec["rules"][0]["backendRefs"][0]["weight"] = json!(50);
        }),
        objects[1].clone(),
    ];
    assert!(intact(&refs(&live), &wanted));
    assert!(!read_routes(&refs(&live)).unwrap().agree);
}

#[test]
fn routes_too_few_or_too_many_are_not_intact() {
    let wanted = rendered(&split_of(50_000));
    let objects = stored(&wanted);
    assert!(!intact(&[&objects[0]], &wanted));
    assert!(!intact(&refs(&objects), &wanted[..1]));
    assert_eq!(
        superfluous(&refs(&objects), &wanted[..1]),
        ["sluice-podinfo-9999"]
    );
    assert!(superfluous(&refs(&objects), &wanted).is_empty());
}
