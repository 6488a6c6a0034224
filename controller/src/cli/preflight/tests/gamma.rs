//! Cilium as the mesh: nothing of Istio's is asked for.

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
