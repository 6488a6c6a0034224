#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use super::*;

fn parent(spec: &Value) -> Service {
    serde_json::from_value(json!({
        "metadata": {
            "name": "podinfo", "namespace": "shop",
            "labels": {
                "istio.io/use-waypoint": "waypoint",
                "app.kubernetes.io/instance": "shop",
                "app": "podinfo",
            },
            "annotations": {
                "networking.istio.io/traffic-distribution": "PreferClose",
                "argocd.argoproj.io/tracking-id": "shop:/Service:shop/podinfo",
            },
        },
        "spec": spec,
    }))
    .unwrap()
}

fn with_ports(ports: &Value) -> Service {
    parent(&json!({"selector": {"app": "podinfo"}, "clusterIP": "10.0.0.1", "ports": ports}))
}

#[test]
fn one_number_for_two_protocols_is_two_ports() {
    let parent: Service = serde_json::from_value(json!({
        "metadata": {"name": "podinfo"},
        "spec": {"ports": [
            {"name": "https", "port": 443, "protocol": "TCP", "targetPort": 8443},
            {"name": "quic", "port": 443, "protocol": "UDP", "targetPort": 9443},
        ]},
    }))
    .unwrap();
    let own = service("shop", "podinfo", &"podinfo-1".into(), &parent, None);
    let live = serde_json::from_value(own.clone()).unwrap();
    assert!(!is_outdated(&live, &parent, &own));
}

#[test]
fn ports_and_binding_are_the_parents_and_nothing_else() {
    let parent = parent(&json!({
        "type": "NodePort",
        "clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"],
        "selector": {"app": "podinfo"},
        "sessionAffinity": "ClientIP",
        "publishNotReadyAddresses": true,
        "ipFamilies": ["IPv4", "IPv6"], "ipFamilyPolicy": "PreferDualStack",
        "ports": [
            {"name": "web", "port": 80, "targetPort": "http", "protocol": "TCP", "nodePort": 30080},
            {"name": "rpc", "port": 9999, "targetPort": 9998, "protocol": "TCP", "appProtocol": "grpc"},
        ],
    }));
    assert_eq!(
        service("shop", "podinfo", &"podinfo-1".into(), &parent, None),
        json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {
                "name": "podinfo-1", "namespace": "shop",
                "labels": {
                    "sluice.dev/canary": "podinfo", "sluice.dev/revision": "podinfo-1",
                    "app.kubernetes.io/managed-by": "sluice",
                    "istio.io/use-waypoint": "waypoint",
                },
                "annotations": {"networking.istio.io/traffic-distribution": "PreferClose"},
            },
            "spec": {
                "type": "ClusterIP",
                "selector": {"sluice.dev/revision": "podinfo-1"},
                "ipFamilies": ["IPv4", "IPv6"], "ipFamilyPolicy": "PreferDualStack",
                "ports": [
                    {"name": "web", "port": 80, "targetPort": "http", "protocol": "TCP"},
                    {"name": "rpc", "port": 9999, "targetPort": 9998, "protocol": "TCP", "appProtocol": "grpc"},
                ],
            },
        })
    );
}

#[test]
fn services_that_no_mesh_can_split_are_refused() {
    let web = json!([{"name": "http", "port": 80}]);
    let selector = json!({"app": "podinfo"});
    let cases = [
        (
            json!({"type": "ExternalName", "externalName": "example.com"}),
            "ExternalName",
        ),
        (
            json!({"clusterIP": "None", "selector": selector, "ports": web}),
            "headless",
        ),
        (
            json!({"clusterIP": "10.0.0.1", "ports": web}),
            "no selector",
        ),
        (
            json!({"clusterIP": "10.0.0.1", "selector": selector}),
            "no ports",
        ),
    ];
    for (spec, why) in cases {
        let (reason, message) = refusal(&parent(&spec), &[]).unwrap();
        assert_eq!(reason, Reason::ServiceNotSupported);
        assert!(message.contains(why), "{message}");
    }
}

#[test]
fn http_and_grpc_are_known_as_istio_knows_them() {
    let split = [
        json!({"name": "http", "port": 80}),
        json!({"name": "http2-api", "port": 80}),
        json!({"name": "grpc-web", "port": 80}),
        json!({"name": "GRPC-api", "port": 80}),
        json!({"name": "web", "port": 80}),
        json!({"port": 80}),
        json!({"name": "tcp-api", "port": 80, "appProtocol": "http"}),
        json!({"name": "api", "port": 80, "appProtocol": "kubernetes.io/h2c"}),
        json!({"name": "http-db", "port": 3306}),
    ];
    for port in split {
        assert_eq!(refusal(&with_ports(&json!([port])), &[]), None, "{port}");
    }
    let not = [
        (json!({"name": "tcp-db", "port": 5432}), "tcp"),
        (json!({"name": "https", "port": 443}), "https"),
        (
            json!({"name": "http", "port": 443, "appProtocol": "https"}),
            "https",
        ),
        (
            json!({"name": "web", "port": 443, "appProtocol": "kubernetes.io/wss"}),
            "https",
        ),
        (json!({"name": "mongo", "port": 27017}), "mongo"),
        (json!({"name": "db", "port": 3306}), "tcp"),
        (
            json!({"name": "http", "port": 53, "protocol": "UDP"}),
            "UDP",
        ),
    ];
    for (port, protocol) in not {
        let ports = json!([{"name": "main", "port": 8080}, port]);
        let (reason, message) = refusal(&with_ports(&ports), &[]).unwrap();
        assert_eq!(reason, Reason::UnroutedPort);
        assert!(
            message.contains(&format!("carries {protocol},")),
            "{message}"
        );
        let waived = [port
            .get("name")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()];
        assert_eq!(refusal(&with_ports(&ports), &waived), None);
    }
}

#[test]
fn a_service_with_every_port_waived_is_refused() {
    let ports = json!([{"name": "http", "port": 80}]);
    let (reason, message) = refusal(&with_ports(&ports), &["http".to_owned()]).unwrap();
    assert_eq!(reason, Reason::UnroutedPort);
    assert!(message.contains("every port"), "{message}");
}

#[test]
fn a_port_that_the_parent_got_is_missing_until_it_is_added() {
    let of = |ports: Value| -> Service {
        let spec = json!({"selector": {"app": "podinfo"}, "ports": ports});
        serde_json::from_value(json!({"metadata": {"name": "podinfo"}, "spec": spec})).unwrap()
    };
    let port = |number: u16, target: u16| json!({"name": format!("http-{number}"), "port": number, "targetPort": target});
    let before = of(json!([port(80, 8080)]));
    let rendered = service("shop", "podinfo", &"podinfo-1".into(), &before, None);
    let live: Service = serde_json::from_value(rendered).unwrap();
    let outdated = |live: &Service, parent: &Service| {
        let wanted = service("shop", "podinfo", &"podinfo-1".into(), parent, Some(live));
        is_outdated(live, parent, &wanted)
    };
    assert!(!outdated(&live, &before));

    // The pods of this revision go on listening where they did.
    let moved = of(json!([port(80, 9090)]));
    assert!(!outdated(&live, &moved));

    let wider = of(json!([port(80, 9090), port(81, 8081)]));
    assert!(outdated(&live, &wider));
    let widened = service("shop", "podinfo", &"podinfo-1".into(), &wider, Some(&live));
    let targets = widened
        .pointer("/spec/ports")
        .unwrap()
        .as_array()
        .unwrap()
        .clone();
    let targets: Vec<_> = targets
        .iter()
        .map(|port| port["targetPort"].clone())
        .collect();
    assert_eq!(targets, [json!(8080), json!(8081)]);
    let live: Service = serde_json::from_value(widened).unwrap();
    assert!(!outdated(&live, &wider));
}

#[test]
fn what_somebody_took_away_by_hand_is_outdated() {
    let parent = with_ports(&json!([{"port": 80}]));
    let rendered = service("shop", "podinfo", &"podinfo-1".into(), &parent, None);
    let live: Service = serde_json::from_value(rendered.clone()).unwrap();
    assert!(!is_outdated(&live, &parent, &rendered));
    let edits: [fn(&mut Service); 4] = [
        |live| live.metadata.labels = None,
        |live| live.metadata.annotations = None,
        |live| live.spec.as_mut().unwrap().selector = None,
        |live| live.spec.as_mut().unwrap().ports = None,
    ];
    for edit in edits {
        let mut edited = live.clone();
        edit(&mut edited);
        assert!(is_outdated(&edited, &parent, &rendered), "{edited:?}");
    }
    // What others add is theirs.
    let mut more = live;
    let labels = more.metadata.labels.as_mut().unwrap();
    labels.insert("team".to_owned(), "a".to_owned());
    assert!(!is_outdated(&more, &parent, &rendered));
}
