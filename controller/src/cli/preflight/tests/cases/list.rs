//! The faults, check by check.

use super::{Case, error, ok, unknown, warning};

pub(super) const CASES: &[Case] = &[
    // The Gateway API.
    error("gateway-api", &["HTTPRoute v1 is not served", "standard-install.yaml"], "
kind: APIResourceList
groupVersion: gateway.networking.k8s.io/v1
resources: [{name: gateways}]
"),
    warning("gateway-api", &["several releases", "v1.1.0, experimental channel (gateways)", "v1.6.0"], "
kind: CustomResourceDefinition
metadata:
  name: gateways.gateway.networking.k8s.io
  annotations: {gateway.networking.k8s.io/bundle-version: v1.1.0, gateway.networking.k8s.io/channel: experimental}
"),
    warning("gateway-api", &["httproutes without gateway.networking.k8s.io/bundle-version"], "
kind: CustomResourceDefinition
metadata: {name: httproutes.gateway.networking.k8s.io, annotations: null}
"),
    error("gateway-api", &["HTTPRoute is of v1.0.0", "no port", "update to v1.1.0 or later", "standard-install.yaml"], "
kind: CustomResourceDefinition
metadata:
  name: httproutes.gateway.networking.k8s.io
  annotations: {gateway.networking.k8s.io/bundle-version: v1.0.0}
---
kind: CustomResourceDefinition
metadata:
  name: gateways.gateway.networking.k8s.io
  annotations: {gateway.networking.k8s.io/bundle-version: v1.0.0}
"),
    ok("gateway-api", &["v1.1.0, standard channel"], "
kind: CustomResourceDefinition
metadata:
  name: httproutes.gateway.networking.k8s.io
  annotations: {gateway.networking.k8s.io/bundle-version: v1.1.0}
---
kind: CustomResourceDefinition
metadata:
  name: gateways.gateway.networking.k8s.io
  annotations: {gateway.networking.k8s.io/bundle-version: v1.1.0}
"),
    // istiod and its class.
    error("istiod", &["there is no istiod", "profile ambient"], "
kind: Deployment
metadata: {name: istiod, namespace: istio-system}
$delete: true
---
kind: GatewayClass
metadata: {name: istio-waypoint}
$delete: true
").also(&["waypoint-class"]),
    unknown("istiod", &["no Deployment here has the label app=istiod", "accepted"], "
kind: Deployment
metadata: {name: istiod, namespace: istio-system}
$delete: true
"),
    error("istiod", &["istiod istio-system/istiod is Istio 1.22", "1.24 or later"], "
kind: Deployment
metadata: {name: istiod, namespace: istio-system, labels: {app.kubernetes.io/version: 1.22.4}}
"),
    error("istiod", &["is Istio 1.23"], "
kind: Deployment
metadata: {name: istiod, namespace: istio-system, labels: {app.kubernetes.io/version: null}}
spec: {template: {spec: {containers: [{name: discovery, image: 'gcr.io:443/istio/pilot:1.23.1-distroless',
  env: [{name: PILOT_ENABLE_AMBIENT, value: 'true'}]}]}}}
"),
    error("istiod", &["has no ready pod"], "
kind: Deployment
metadata: {name: istiod, namespace: istio-system}
status: {readyReplicas: null}
"),
    error("istiod", &["without PILOT_ENABLE_AMBIENT=true"], "
kind: Deployment
metadata: {name: istiod, namespace: istio-system}
spec: {template: {spec: {containers: [{name: discovery, env: [{name: PILOT_ENABLE_AMBIENT, value: 'false'}]}]}}}
"),
    error("istiod", &["PILOT_ENABLE_GATEWAY_API_STATUS=false", "no weight is ever proven"], "
kind: Deployment
metadata: {name: istiod, namespace: istio-system}
spec: {template: {spec: {containers: [{name: discovery, env: [
  {name: PILOT_ENABLE_AMBIENT, value: 'true'}, {name: PILOT_ENABLE_GATEWAY_API_STATUS, value: 'false'}]}]}}}
"),
    error("istiod", &["PILOT_ENABLE_GATEWAY_API=false", "no HTTPRoute is read"], "
kind: Deployment
metadata: {name: istiod, namespace: istio-system}
spec: {template: {spec: {containers: [{name: discovery, env: [
  {name: PILOT_ENABLE_AMBIENT, value: 'true'}, {name: PILOT_ENABLE_GATEWAY_API, value: 'false'}]}]}}}
"),
    error("istiod", &["ENABLE_INGRESS_WAYPOINT_ROUTING=false", "ingress goes past waypoints"], "
kind: Deployment
metadata: {name: istiod, namespace: istio-system}
spec: {template: {spec: {containers: [{name: discovery, env: [
  {name: PILOT_ENABLE_AMBIENT, value: 'true'}, {name: ENABLE_INGRESS_WAYPOINT_ROUTING, value: 'false'}]}]}}}
"),
    ok("istiod", &["1.31.0-alpha.abc, ambient"], "
kind: Deployment
metadata: {name: istiod, namespace: istio-system, labels: {app.kubernetes.io/version: 1.31.0-alpha.abc}}
"),
    error("waypoint-class", &["there is no GatewayClass istio-waypoint"], "
kind: GatewayClass
metadata: {name: istio-waypoint}
$delete: true
"),
    error("waypoint-class", &["not accepted (Unsupported: no)"], "
kind: GatewayClass
metadata: {name: istio-waypoint}
status: {conditions: [{type: Accepted, status: 'False', reason: Unsupported, message: 'no'}]}
"),
    error("waypoint-class", &["nobody accepted"], "
kind: GatewayClass
metadata: {name: istio-waypoint}
status: null
"),
    // Sluice's own definitions.
    error("sluice-crds", &["metrictemplates.sluice.dev is not installed", "crds/manifests"], "
kind: CustomResourceDefinition
metadata: {name: metrictemplates.sluice.dev}
$delete: true
"),
    error("sluice-crds", &["canaries.sluice.dev is older", "spec.", "and ", " more"], "
kind: CustomResourceDefinition
metadata: {name: canaries.sluice.dev}
spec: {versions: [{name: v1alpha1, schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object}}}}}]}
"),
    // Cilium.
    ok("cilium", &["no Cilium"], "
kind: ConfigMap
metadata: {name: cilium-config, namespace: kube-system}
$delete: true
"),
    error("cilium", &["cni-exclusive: \"false\"", "cni.exclusive=false"], "
kind: ConfigMap
metadata: {name: cilium-config, namespace: kube-system}
data: {cni-exclusive: 'true'}
"),
    error("cilium", &["bpf-lb-sock-hostns-only", "socketLB.hostNamespaceOnly=true"], "
kind: ConfigMap
metadata: {name: cilium-config, namespace: kube-system}
data: {bpf-lb-sock-hostns-only: null}
"),
    ok("cilium", &["leaves the mesh alone"], "
kind: ConfigMap
metadata: {name: cilium-config, namespace: kube-system}
data: {bpf-lb-sock-hostns-only: null, kube-proxy-replacement: 'false'}
"),
    error("cilium", &["enable-bpf-masquerade", "bpf.masquerade=false"], "
kind: ConfigMap
metadata: {name: cilium-config, namespace: kube-system}
data: {enable-bpf-masquerade: 'true'}
"),
    error("health-probes", &["NetworkPolicy default-deny", "169.254.7.127/32", "CiliumClusterwideNetworkPolicy"], "
kind: CiliumClusterwideNetworkPolicy
metadata: {name: allow-ambient-hostprobes}
$delete: true
"),
    error("health-probes", &["enable-policy: always"], "
kind: CiliumClusterwideNetworkPolicy
metadata: {name: allow-ambient-hostprobes}
$delete: true
---
kind: NetworkPolicy
metadata: {name: default-deny, namespace: shop}
spec: {podSelector: {matchLabels: {app: cart}}}
---
kind: ConfigMap
metadata: {name: cilium-config, namespace: kube-system}
data: {enable-policy: always}
"),
    ok("health-probes", &["no policy selects the pods"], "
kind: CiliumClusterwideNetworkPolicy
metadata: {name: allow-ambient-hostprobes}
$delete: true
---
kind: NetworkPolicy
metadata: {name: default-deny, namespace: shop}
spec: {podSelector: {matchLabels: {app: cart}}}
"),
    // Clients with sidecars.
    warning("sidecars", &["shop/batch with a sidecar", "strict mode"], "
apiVersion: v1
kind: Pod
metadata:
  name: batch-7c9b5d8f6-abcde
  namespace: shop
  labels: {pod-template-hash: 7c9b5d8f6, security.istio.io/tlsMode: istio}
  ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: batch-7c9b5d8f6, uid: u, controller: true}]
spec:
  initContainers: [{name: istio-proxy, restartPolicy: Always, args: [proxy, sidecar, --domain, shop.svc.cluster.local]}]
  containers: [{name: batch}]
"),
    ok("sidecars", &[], "
apiVersion: v1
kind: Pod
metadata: {name: ingressgateway-abcde, namespace: istio-system, labels: {istio: ingressgateway}}
spec: {containers: [{name: istio-proxy, args: [proxy, router, --domain, istio-system.svc.cluster.local]}]}
"),
    // What is adopted.
    error("target", &["there is no Deployment podinfo in shop"], "
kind: Deployment
metadata: {name: podinfo, namespace: shop}
$delete: true
"),
    ok("target", &["PodTemplate podinfo"], "
kind: Deployment
metadata: {name: podinfo, namespace: shop}
$delete: true
---
apiVersion: v1
kind: PodTemplate
metadata: {name: podinfo, namespace: shop}
template: {metadata: {labels: {app: podinfo}}, spec: {containers: [{name: app, image: podinfo}]}}
"),
    error("service", &["there is no Service named podinfo"], "
kind: Service
metadata: {name: podinfo, namespace: shop}
$delete: true
").also(&["waypoint", "ingress"]),
    error("service", &["port redis of Service podinfo carries redis", "unroutedPorts"], "
kind: Service
metadata: {name: podinfo, namespace: shop}
spec: {ports: [{name: http, port: 80, protocol: TCP}, {name: redis, port: 6379, protocol: TCP}]}
"),
    error("service", &["is headless"], "
kind: Service
metadata: {name: podinfo, namespace: shop}
spec: {clusterIP: None}
"),
    error("service", &["lacks that label"], "
kind: Service
metadata: {name: podinfo, namespace: shop}
spec: {selector: {sluice.dev/role: serving}}
"),
    error("policy", &["there is no CanaryPolicy named strict"], "
apiVersion: sluice.dev/v1alpha1
kind: Canary
metadata: {name: podinfo, namespace: shop}
spec:
  targetRef: {kind: Deployment, name: podinfo}
  policyRef: {kind: CanaryPolicy, name: strict}
  metrics: {address: 'http://prometheus.monitoring:9090'}
"),
    ok("policy", &["CanaryPolicy default"], "
apiVersion: sluice.dev/v1alpha1
kind: CanaryPolicy
metadata: {name: default, namespace: shop}
spec: {metrics: {address: 'http://prometheus.monitoring:9090'}}
"),
    // The mesh around it.
    error("ambient", &["namespace shop is not in the ambient mesh", "istio.io/dataplane-mode: ambient"], "
kind: Namespace
metadata: {name: shop, labels: {istio.io/dataplane-mode: null}}
"),
    warning("ambient", &["istio-injection: enabled"], "
kind: Namespace
metadata: {name: shop, labels: {istio-injection: enabled}}
"),
    warning("ambient", &["istio.io/rev"], "
kind: Namespace
metadata: {name: shop, labels: {istio.io/rev: canary}}
"),
    error("ambient", &["there is no namespace shop"], "
kind: Namespace
metadata: {name: shop}
$delete: true
"),
    error("waypoint", &["no waypoint serves Service podinfo", "label the Service or its namespace istio.io/use-waypoint"], "
kind: Namespace
metadata: {name: shop, labels: {istio.io/use-waypoint: null}}
---
kind: Service
metadata: {name: podinfo, namespace: shop}
status: {conditions: null}
"),
    error("waypoint", &["there is no such Gateway", "istioctl waypoint apply -n shop --name waypoint"], "
kind: Gateway
metadata: {name: waypoint, namespace: shop}
$delete: true
"),
    error("waypoint", &["Gateway shop/waypoint is not programmed (Invalid: Failed to assign)"], "
kind: Gateway
metadata: {name: waypoint, namespace: shop}
status: {conditions: [{type: Programmed, status: 'False', reason: Invalid, message: Failed to assign}]}
"),
    unknown("waypoint", &["nobody has said yet whether Gateway shop/waypoint is programmed"], "
kind: Gateway
metadata: {name: waypoint, namespace: shop}
status: null
"),
    error("waypoint", &["istio.io/waypoint-for: workload", "set it to service or all"], "
kind: Gateway
metadata: {name: waypoint, namespace: shop, labels: {istio.io/waypoint-for: workload}}
"),
    warning("waypoint", &["is of class eastwest"], "
kind: Gateway
metadata: {name: waypoint, namespace: shop}
spec: {gatewayClassName: eastwest}
"),
    error("waypoint", &["WaypointIsNotReady: not yet", "see that Gateway shop/waypoint exists"], "
kind: Service
metadata: {name: podinfo, namespace: shop}
status: {conditions: [{type: istio.io/WaypointBound, status: 'False', reason: WaypointIsNotReady, message: not yet,
  lastTransitionTime: '2026-01-01T00:00:00Z'}]}
"),
    error("waypoint", &["istiod has said nothing of Gateway shop/waypoint"], "
kind: Service
metadata: {name: podinfo, namespace: shop}
status: {conditions: null}
"),
    error("ingress", &["HTTPRoute podinfo leads from Gateway ingress/edge", "istio.io/ingress-use-waypoint: \"true\"", "spec.waivers: [AroundWaypoint]"], "
kind: Service
metadata: {name: podinfo, namespace: shop, labels: null}
"),
    ok("ingress", &["before one does"], "
kind: Service
metadata: {name: podinfo, namespace: shop, labels: null}
---
kind: HTTPRoute
metadata: {name: podinfo, namespace: shop}
$delete: true
"),
    warning("ingress", &["accepted by spec.waivers: [AroundWaypoint]", "HTTPRoute podinfo"], "
kind: Service
metadata: {name: podinfo, namespace: shop, labels: null}
---
apiVersion: sluice.dev/v1alpha1
kind: Canary
metadata: {name: podinfo, namespace: shop}
spec: {targetRef: {kind: Deployment, name: podinfo}, waivers: [AroundWaypoint]}
"),
    error("other-routes", &["HTTPRoute by-hand is on Service podinfo", "spec.waivers: [ForeignRoute]"], "
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: by-hand, namespace: shop}
spec: {parentRefs: [{group: '', kind: Service, name: podinfo}], rules: [{backendRefs: [{name: podinfo, port: 80}]}]}
"),
    error("other-routes", &["GRPCRoute calls is on Service podinfo"], "
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: {name: calls, namespace: shop}
spec: {parentRefs: [{group: '', kind: Service, name: podinfo}]}
"),
    error("other-routes", &["VirtualService virtual has Service podinfo among its hosts"], "
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: virtual, namespace: shop}
spec: {hosts: [podinfo], http: [{route: [{destination: {host: podinfo}}]}]}
"),
    error("one-controller", &["GRPCRoute calls is programmed by io.cilium/gateway-controller and istio.io/gateway-controller"], "
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: {name: calls, namespace: shop}
spec: {parentRefs: [{group: '', kind: Service, name: podinfo}]}
status:
  parents:
  - {controllerName: istio.io/gateway-controller, parentRef: {group: '', kind: Service, name: podinfo}, conditions: []}
  - {controllerName: io.cilium/gateway-controller, parentRef: {group: '', kind: Service, name: podinfo}, conditions: []}
").also(&["other-routes"]),
    error("one-controller", &["HTTPRoute sluice-podinfo-80 is programmed by io.cilium/gateway-controller and istio.io/"], "
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: sluice-podinfo-80, namespace: shop, labels: {sluice.dev/canary: podinfo}}
spec: {parentRefs: [{group: '', kind: Service, name: podinfo, port: 80}]}
status:
  parents:
  - {controllerName: istio.io/gateway-controller, parentRef: {group: '', kind: Service, name: podinfo}, conditions: []}
  - {controllerName: io.cilium/gateway-controller, parentRef: {group: '', kind: Service, name: podinfo}, conditions: []}
"),
    warning("one-controller", &["enable-gateway-api", "gatewayAPI.enabled=false"], "
kind: ConfigMap
metadata: {name: cilium-config, namespace: kube-system}
data: {enable-gateway-api: 'true'}
"),
    error("other-services", &["Service also-podinfo selects the same pods as podinfo", "spec.waivers: [SharedPods]"], "
apiVersion: v1
kind: Service
metadata: {name: also-podinfo, namespace: shop}
spec: {clusterIP: 10.96.12.9, selector: {app: podinfo}, ports: [{port: 80}]}
"),
    error("metrics", &["spec.metrics.address is set neither in the Canary nor in its policy"], "
kind: ClusterCanaryPolicy
metadata: {name: default}
$delete: true
"),
];
