//! Cilium, or another mesh than Istio's: nothing of Istio's is asked for.

use super::*;

const CILIUM_ALONE: &str = "
kind: Deployment
metadata: {name: istiod, namespace: istio-system}
$delete: true
---
kind: GatewayClass
metadata: {name: istio-waypoint}
$delete: true
---
apiVersion: v1
kind: ConfigMap
metadata: {name: cilium-config, namespace: kube-system}
data: {enable-gateway-api: 'true', kube-proxy-replacement: 'true', enable-bpf-masquerade: 'true'}
---
kind: Namespace
metadata: {name: shop, labels: null}
---
kind: Service
metadata: {namespace: shop, name: podinfo, labels: null}
status: {conditions: null}
";

const CANARY: &str = "
apiVersion: sluice.dev/v1alpha1
kind: Canary
metadata: {namespace: shop, name: podinfo}
spec: {targetRef: {kind: Deployment, name: podinfo}, mesh: gamma}
";

fn wrong(scene: Scene) -> Vec<String> {
    let report = scene.report();
    let wrong = items(&report)
        .into_iter()
        .filter(|item| item.level >= Level::Warning);
    wrong.map(|item| item.check.to_string()).collect()
}

#[test]
fn a_canary_that_says_so_lacks_nothing_of_istios() {
    let mut scene = Scene::healthy();
    scene.edit(CILIUM_ALONE);
    let asked = ["ambient", "waypoint", "ingress", "one-controller"];
    assert_eq!(wrong(scene), asked, "it says nothing");
    let mut scene = Scene::healthy();
    scene.edit(CILIUM_ALONE);
    scene.edit(CANARY);
    // Its requests do not ask the Service's route.
    assert_eq!(wrong(scene), ["ingress"]);
}

/// Linkerd or Kuma: neither istiod, nor its class, nor Cilium's Gateway API.
const NO_ISTIO: &str = "
kind: Deployment
metadata: {name: istiod, namespace: istio-system}
$delete: true
---
kind: GatewayClass
metadata: {name: istio-waypoint}
$delete: true
---
kind: ConfigMap
metadata: {name: cilium-config, namespace: kube-system}
data: {cni-exclusive: 'true', bpf-lb-sock-hostns-only: null, enable-bpf-masquerade: 'true'}
---
kind: HTTPRoute
metadata: {name: podinfo, namespace: shop}
$delete: true
";

const POLICY: &str = "
kind: ClusterCanaryPolicy
metadata: {name: default}
spec: {mesh: gamma}
";

const AMBIENT_CANARY: &str = "
apiVersion: sluice.dev/v1alpha1
kind: Canary
metadata: {namespace: cart, name: cart}
spec: {targetRef: {kind: Deployment, name: cart}, mesh: istio-ambient}
";

fn with(edits: &[&str]) -> Scene {
    let mut scene = Scene::healthy();
    for edit in edits {
        scene.edit(edit);
    }
    scene
}

#[test]
fn where_all_say_gamma_no_istiod_is_missed() {
    let none: [&str; 0] = [];
    assert_eq!(wrong(with(&[NO_ISTIO, CANARY])), none, "the Canary says it");
    assert_eq!(wrong(with(&[NO_ISTIO, POLICY])), none, "the policy does");
    let istios = ["istiod", "waypoint-class", "cilium", "cilium", "cilium"];
    let found = wrong(with(&[NO_ISTIO, CANARY, AMBIENT_CANARY]));
    assert_eq!(found, istios, "another Canary needs a waypoint");
    assert_eq!(found, wrong(with(&[NO_ISTIO, POLICY, AMBIENT_CANARY])));
}

#[test]
fn an_istiod_without_ambient_mode_is_told_to_leave_routes_alone() {
    const SIDECARS: &str = "
kind: GatewayClass
metadata: {name: istio-waypoint}
$delete: true
---
kind: Deployment
metadata: {name: istiod, namespace: istio-system}
spec: {template: {spec: {containers: [{name: discovery, env: []}]}}}
---
kind: HTTPRoute
metadata: {name: podinfo, namespace: shop}
$delete: true
---
kind: ConfigMap
metadata: {name: cilium-config, namespace: kube-system}
data: {enable-gateway-api: 'true'}
";
    const LEAVES_ROUTES: &str = "
kind: Deployment
metadata: {name: istiod, namespace: istio-system}
spec: {template: {spec: {containers: [{name: discovery, env: [{name: PILOT_ENABLE_GATEWAY_API, value: 'false'}]}]}}}
";
    let report = with(&[SIDECARS, CANARY]).report();
    let items = items(&report);
    let wrong: Vec<_> = items.iter().filter(|item| item.level > Level::Ok).collect();
    assert_eq!(wrong.len(), 1, "{wrong:?}");
    assert_eq!((wrong[0].check, wrong[0].level), ("istiod", Level::Warning));
    assert!(wrong[0].message.contains("PILOT_ENABLE_GATEWAY_API=false"));
    let none: [&str; 0] = [];
    assert_eq!(self::wrong(with(&[SIDECARS, LEAVES_ROUTES, CANARY])), none);
}

#[test]
fn ambients_probes_are_asked_of_ambient_alone() {
    const NO_ALLOWANCE: &str = "
kind: CiliumClusterwideNetworkPolicy
metadata: {name: allow-ambient-hostprobes}
$delete: true
";
    assert_eq!(wrong(with(&[NO_ALLOWANCE])), ["health-probes"]);
    let alone = [NO_ALLOWANCE, CILIUM_ALONE, CANARY];
    assert_eq!(wrong(with(&alone)), ["ingress"]);
}

#[test]
fn istio_that_is_there_may_be_who_takes_the_routes() {
    const UNBOUND: &str = "
kind: Service
metadata: {namespace: shop, name: podinfo}
status: {conditions: null}
";
    let ingress = ["ingress"];
    assert_eq!(wrong(with(&[CANARY])), ingress);
    assert_eq!(wrong(with(&[CANARY, UNBOUND])), ["waypoint", "ingress"]);
}

#[test]
fn whether_cilium_is_the_mesh_shows_at_the_classes() {
    let class = "gatewayclasses.gateway.networking.k8s.io";
    let beneath = "
kind: ConfigMap
metadata: {name: cilium-config, namespace: kube-system}
data: {cni-exclusive: 'true', bpf-lb-sock-hostns-only: null}
---
kind: CiliumClusterwideNetworkPolicy
metadata: {name: allow-ambient-hostprobes}
$delete: true
";
    let mut scene = with(&[CILIUM_ALONE, CANARY, beneath]);
    let why = format!("not allowed to list {class}");
    scene.found.objects.unread.insert(class.to_owned(), why);
    let report = scene.report();
    let items = items(&report);
    let wrong: Vec<_> = items
        .iter()
        .filter(|item| item.level >= Level::Warning)
        .map(|item| item.check)
        .collect();
    assert_eq!(wrong, ["ingress"]);
    let unknown = items.iter().filter(|item| {
        item.level == Level::CannotTell && item.message.contains("whether Cilium is the mesh")
    });
    assert_eq!(unknown.count(), 4, "{items:?}");
}
