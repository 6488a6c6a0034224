//! Objects as a cluster has them.

use serde_json::{Value, json};

pub(super) fn policy() -> Value {
    json!({
        "metrics": {"address": "http://prometheus.monitoring:9090", "interval": "15s"},
        "source": "istio-waypoint",
        "steps": [{"weight": "1%", "bake": "1m"}, {"weight": "50%", "bake": "5m"}],
        "holdback": {"weight": "1%", "for": "1h"},
        "slos": [
            {"name": "availability", "objective": "99.9%", "availability": {}},
            {"name": "latency", "objective": "99%", "latency": {"threshold": "250ms"}},
            {"name": "checkouts", "objective": "99%", "events": {"template": "checkouts"}},
            {"name": "queue", "objective": "90%", "value": {"template": "queue", "max": "100", "window": "1m"}},
            {"name": "connections", "objective": "99%", "connections": {"source": "ztunnel"}},
        ],
        "minRequests": 200,
        "inconclusive": {"after": "10m", "action": "Hold"},
        "progressDeadline": "1h", "rollbackWindow": 3, "drainDelay": "60s", "settle": "10s",
        "route": {"rules": [{"timeouts": {"request": "10s"}}]},
    })
}

pub(super) fn metric_templates() -> [Value; 2] {
    let template = |name: &str, spec: Value| {
        json!({
            "apiVersion": "sluice.dev/v1alpha1", "kind": "MetricTemplate",
            "metadata": {"name": name, "namespace": "shop"}, "spec": spec,
        })
    };
    let count =
        |of: &str| format!("sum({of}{{app=\"{{{{ target }}}}\", pod=~\"{{{{ revision }}}}-.*\"}})");
    [
        template(
            "checkouts",
            json!({"bad": count("failed_total"), "total": count("checkouts_total")}),
        ),
        template(
            "queue",
            json!({"value": format!("{} / {{{{interval}}}}", count("queue_length"))}),
        ),
    ]
}

/// What users say about calls to their Service.
pub(super) fn settings() -> [Value; 2] {
    let metadata = |name: &str| json!({"name": name, "namespace": "shop", "creationTimestamp": "2025-12-01T00:00:00Z"});
    [
        json!({
            "apiVersion": "networking.istio.io/v1", "kind": "DestinationRule", "metadata": metadata("podinfo"),
            "spec": {
                "host": "podinfo.shop.svc.cluster.local",
                "trafficPolicy": {"connectionPool": {"tcp": {"maxConnections": 100}}},
                "subsets": [{"name": "all", "labels": {"app": "podinfo"}}],
            },
        }),
        json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "BackendTLSPolicy", "metadata": metadata("tls"),
            "spec": {
                "targetRefs": [
                    {"group": "", "kind": "Service", "name": "podinfo", "sectionName": "http"},
                    {"group": "", "kind": "Service", "name": "other"},
                ],
                "validation": {"hostname": "podinfo", "wellKnownCACertificates": "System"},
            },
        }),
    ]
}

/// What a revision has of it.
pub(super) fn copies(revision: &str) -> [Value; 2] {
    settings().map(|mut copy| {
        let (name, spec) = if copy["kind"] == "DestinationRule" {
            let policy = copy["spec"]["trafficPolicy"].clone();
            let spec = json!({"host": revision, "trafficPolicy": policy});
            (revision.to_owned(), spec)
        } else {
            let target =
                json!({"group": "", "kind": "Service", "name": revision, "sectionName": "http"});
            let validation = copy["spec"]["validation"].clone();
            let spec = json!({"targetRefs": [target], "validation": validation});
            (format!("{revision}-tls"), spec)
        };
        copy["metadata"]["name"] = json!(name);
        copy["metadata"]["labels"] = labels(revision);
        copy["metadata"]["annotations"] = json!({"sluice.dev/copied": "bcdfghjk"});
        copy["spec"] = spec;
        copy
    })
}

pub(super) fn canary() -> Value {
    json!({
        "apiVersion": "sluice.dev/v1alpha1", "kind": "Canary",
        "metadata": {
            "name": "podinfo", "namespace": "shop", "generation": 3, "uid": "c", "resourceVersion": "9",
            "finalizers": [sluice_crds::labels::FINALIZER],
            "annotations": {"sluice.dev/abort": "podinfo-bbbbbbbb#1"},
        },
        "spec": {
            "targetRef": {"kind": "Deployment", "name": "podinfo"},
            "replicas": 4,
            "service": {"name": "podinfo", "unroutedPorts": ["tcp-x"]},
            "steps": [{"weight": "5%", "bake": "1m"}, {"weight": "25%", "bake": "1m"}],
            "ignoreTemplateFields": ["/metadata/annotations/built-at"],
            "waivers": ["SharedPods"],
            "promoted": {"images": [{"name": "app", "image": "podinfo:0"}]},
        },
        "status": {
            "phase": "Progressing", "stable": "podinfo-aaaaaaaa", "candidate": "podinfo-bbbbbbbb", "weight": "5%",
            "step": 1, "steps": 2, "progress": "1/2", "observedGeneration": 3,
            "plan": policy(),
            "rollout": {
                "candidate": "podinfo-bbbbbbbb", "startedAt": "2026-01-01T00:00:00.000000Z",
                "firstWeightAt": "2026-01-01T00:00:10.000000Z", "stepSince": "2026-01-01T00:00:20.000000Z",
                "progressedAt": "2026-01-01T00:00:20.000000Z", "gated": true, "promoting": false,
                "evidence": [],
            },
            "draining": [{"revision": "podinfo-cccccccc", "since": "2026-01-01T00:00:00.000000Z"}],
            "history": [],
            "adoption": {"targetReplicas": 4, "leftAt": "2025-12-01T00:00:00.000000Z", "scaledDown": true},
        },
    })
}

pub(super) fn template() -> Value {
    json!({
        "metadata": {"labels": {"app": "podinfo"}, "annotations": {"built-at": "monday"}},
        "spec": {
            "containers": [{
                "name": "app", "image": "podinfo:1", "ports": [{"containerPort": 8080}],
                "env": [{"name": "LEVEL", "valueFrom": {"configMapKeyRef": {"name": "app", "key": "level"}}}],
                "envFrom": [{"configMapRef": {"name": "app", "optional": true}}],
            }],
            "volumes": [{"name": "v", "projected": {"sources": [{"configMap": {"name": "files"}}]}}],
        },
    })
}

pub(super) fn target() -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {
            "name": "podinfo", "namespace": "shop", "generation": 2,
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{\"spec\":{\"replicas\":3}}"},
            "managedFields": [{
                "manager": "argocd-controller", "operation": "Apply", "time": "2026-01-01T00:00:10Z",
                "fieldsV1": {"f:spec": {"f:replicas": {}}},
            }],
        },
        "spec": {"replicas": 3, "minReadySeconds": 5, "template": template()},
        "status": {
            "observedGeneration": 2, "replicas": 3, "updatedReplicas": 3, "readyReplicas": 3, "availableReplicas": 3,
        },
    })
}

pub(super) fn parent() -> Value {
    json!({
        "metadata": {
            "name": "podinfo", "namespace": "shop",
            "labels": {"istio.io/use-waypoint": "waypoint"},
            "annotations": {"networking.istio.io/traffic-distribution": "PreferClose"},
        },
        "spec": {
            "clusterIP": "10.0.0.1", "selector": {"app": "podinfo"}, "ipFamilies": ["IPv4"],
            "ports": [
                {"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP", "nodePort": 30000},
                {"name": "grpc", "port": 9999, "appProtocol": "grpc"},
                {"name": "tcp-x", "port": 5432},
            ],
        },
        "status": {"conditions": [{
            "type": "istio.io/WaypointBound", "status": "True", "reason": "WaypointAccepted", "message": "",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }]},
    })
}

pub(super) fn labels(revision: &str) -> Value {
    json!({
        "sluice.dev/canary": "podinfo", "sluice.dev/revision": revision,
        "app.kubernetes.io/managed-by": "sluice",
    })
}

pub(super) fn snapshot(revision: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "PodTemplate",
        "metadata": {
            "name": revision, "namespace": "shop", "uid": "s", "labels": labels(revision),
            "creationTimestamp": "2025-12-01T00:00:00Z",
            "annotations": {
                "sluice.dev/template-hash": "bcdfghjk",
                "sluice.dev/config": "{\"app\":\"bcdf\"}",
                "sluice.dev/verdict": "{\"outcome\":\"Promoted\",\"at\":\"2025-12-01T00:00:00Z\",\"reason\":\"every gate passed\",\"orders\":[\"retry:x\"]}",
            },
        },
        "template": template(),
    })
}

pub(super) fn workload(revision: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": revision, "namespace": "shop", "uid": "d", "generation": 4, "labels": labels(revision)},
        "spec": {"replicas": 4, "template": template()},
        "status": {
            "observedGeneration": 4, "replicas": 4, "readyReplicas": 3,
            "conditions": [{"type": "ReplicaFailure", "status": "True", "message": "exceeded quota: é"}],
        },
    })
}

pub(super) fn service(revision: &str) -> Value {
    let mut service = parent();
    service["metadata"]["name"] = json!(revision);
    service["metadata"]["labels"] = labels(revision);
    service
}

pub(super) fn slice(revision: &str) -> Value {
    json!({
        "metadata": {"name": format!("{revision}-x"), "namespace": "shop", "labels": labels(revision)},
        "addressType": "IPv4",
        "endpoints": [
            {"addresses": ["10.0.0.1"], "conditions": {"ready": true}, "targetRef": {"kind": "Pod", "name": "one"}},
            {"addresses": ["10.0.0.2"], "conditions": {"ready": true, "terminating": true}},
        ],
    })
}

pub(super) fn autoscaler() -> Value {
    json!({
        "metadata": {"name": "podinfo", "namespace": "shop", "ownerReferences": [{
            "apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "name": "podinfo", "uid": "k", "controller": true,
        }]},
        "spec": {
            "maxReplicas": 9,
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "podinfo"},
        },
    })
}

pub(super) fn pod(revision: &str) -> Value {
    json!({
        "metadata": {"name": "one", "namespace": "shop", "labels": labels(revision)},
        "status": {
            "conditions": [{"type": "PodScheduled", "status": "False", "message": "0/3 nodes are available"}],
            "containerStatuses": [{
                "name": "app", "image": "x", "imageID": "", "ready": false, "restartCount": 3,
                "state": {"waiting": {"reason": "ImagePullBackOff", "message": "not found: ü"}},
            }],
        },
    })
}

pub(super) fn route() -> Value {
    let backend = |name: &str, weight: u32| json!({"group": "", "kind": "Service", "name": name, "port": 80, "weight": weight});
    let condition = |kind: &str| json!({"type": kind, "status": "True", "observedGeneration": 3, "reason": "Ok", "message": ""});
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
        "metadata": {
            "name": "sluice-podinfo-80", "namespace": "shop", "generation": 3, "uid": "r",
            "labels": {"sluice.dev/canary": "podinfo", "app.kubernetes.io/managed-by": "sluice"},
            "annotations": {
                "sluice.dev/stable": "podinfo-aaaaaaaa", "sluice.dev/candidate": "podinfo-bbbbbbbb",
                "sluice.dev/step": "1", "sluice.dev/decided-at": "2026-01-01T00:00:10.000000Z",
            },
            "managedFields": [
                {"manager": "sluice", "operation": "Apply", "time": "2026-01-01T00:00:10Z", "fieldsV1": {"f:spec": {"f:rules": {}}}},
                {"manager": "kubectl", "operation": "Update", "time": "2026-01-01T00:00:11Z", "fieldsV1": {"f:spec": {"f:rules": {}}}},
            ],
        },
        "spec": {
            "parentRefs": [{"group": "", "kind": "Service", "name": "podinfo", "port": 80}],
            "rules": [{"backendRefs": [backend("podinfo-aaaaaaaa", 95), backend("podinfo-bbbbbbbb", 5)]}],
        },
        "status": {"parents": [{
            "controllerName": "istio.io/gateway-controller",
            "parentRef": {"group": "", "kind": "Service", "name": "podinfo", "namespace": "shop", "port": 80},
            "conditions": [condition("Accepted"), condition("ResolvedRefs")],
        }]},
    })
}
