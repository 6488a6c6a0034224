//! An object beside the bare Deployment, and what is told of it. Of each kind there is one that is found and one that
//! is left alone.

use std::fmt::Write as _;

use serde_json::Value;

use super::super::item::{Fate, Item};
use super::{bare, plan};
use crate::cli::edited::edit;

/// The fate of the one thing that is told, if any, and words of it.
struct Case(Option<Fate>, &'static [&'static str], &'static str);

const CHANGE: Option<Fate> = Some(Fate::Change);
const STAYS: Option<Fate> = Some(Fate::Stays);
const LOOK: Option<Fate> = Some(Fate::Look);

const SCALING: &[Case] = &[
    Case(Some(Fate::ChangeWhenTold), &["HorizontalPodAutoscaler shop/cpu", "kind: Canary\n  name: podinfo"], "
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: cpu, namespace: shop}
spec: {scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: podinfo}, maxReplicas: 10}
"),
    Case(None, &[], "
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: cart, namespace: shop}
spec: {scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: cart}, maxReplicas: 10}
"),
    Case(None, &[], "
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: podinfo, namespace: shop}
spec: {scaleTargetRef: {apiVersion: sluice.dev/v1alpha1, kind: Canary, name: podinfo}, maxReplicas: 10}
"),
    // KEDA's own autoscaler is changed by its ScaledObject.
    Case(None, &[], "
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  name: keda-hpa-podinfo
  namespace: shop
  ownerReferences: [{apiVersion: keda.sh/v1alpha1, kind: ScaledObject, name: podinfo, uid: u, controller: true}]
spec: {scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: podinfo}, maxReplicas: 10}
"),
    Case(Some(Fate::ChangeWhenTold), &["ScaledObject shop/podinfo", "kind: Canary"], "
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata: {name: podinfo, namespace: shop}
spec: {scaleTargetRef: {name: podinfo}, triggers: [{type: cpu, metadata: {value: '60'}}]}
"),
    Case(None, &[], "
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata: {name: cart, namespace: shop}
spec: {scaleTargetRef: {name: cart}, triggers: [{type: cpu, metadata: {value: '60'}}]}
"),
    Case(CHANGE, &["ScaledObject shop/cart, query", "destination_service_name=~\"podinfo("], "
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata: {name: cart, namespace: shop}
spec:
  scaleTargetRef: {name: cart}
  triggers: [{type: prometheus, metadata: {query: 'sum(rate(istio_requests_total{destination_service_name=\"podinfo\"}[1m]))'}}]
"),
    Case(CHANGE, &["VerticalPodAutoscaler shop/podinfo", "updateMode: Recreate", "updateMode: \"Off\""], "
apiVersion: autoscaling.k8s.io/v1
kind: VerticalPodAutoscaler
metadata: {name: podinfo, namespace: shop}
spec: {targetRef: {apiVersion: apps/v1, kind: Deployment, name: podinfo}, updatePolicy: {updateMode: Recreate}}
"),
    Case(STAYS, &["VerticalPodAutoscaler shop/podinfo", "recommends"], "
apiVersion: autoscaling.k8s.io/v1
kind: VerticalPodAutoscaler
metadata: {name: podinfo, namespace: shop}
spec: {targetRef: {apiVersion: apps/v1, kind: Deployment, name: podinfo}, updatePolicy: {updateMode: 'Off'}}
"),
    Case(None, &[], "
apiVersion: autoscaling.k8s.io/v1
kind: VerticalPodAutoscaler
metadata: {name: cart, namespace: shop}
spec: {targetRef: {apiVersion: apps/v1, kind: Deployment, name: cart}}
"),
];

const PODS: &[Case] = &[
    Case(CHANGE, &["PodDisruptionBudget shop/podinfo", "minAvailable: 2", "maxUnavailable: 1"], "
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: podinfo, namespace: shop}
spec: {minAvailable: 2, selector: {matchExpressions: [{key: app, operator: In, values: [cart, podinfo]}]}}
"),
    Case(CHANGE, &["maxUnavailable: 34%", "maxUnavailable: 2"], "
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: podinfo, namespace: shop}
spec: {maxUnavailable: 34%, selector: {matchLabels: {app: podinfo}}}
"),
    Case(STAYS, &["PodDisruptionBudget shop/podinfo"], "
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: podinfo, namespace: shop}
spec: {maxUnavailable: 1, selector: {matchLabels: {app: podinfo}}}
"),
    Case(None, &[], "
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: cart, namespace: shop}
spec: {minAvailable: 2, selector: {matchLabels: {app: podinfo, tier: database}}}
"),
    Case(CHANGE, &["ServiceMonitor monitoring/all", "scraped twice", "key: sluice.dev/revision\n    operator: DoesNotExist"], "
apiVersion: monitoring.coreos.com/v1
kind: ServiceMonitor
metadata: {name: all, namespace: monitoring}
spec: {namespaceSelector: {any: true}, selector: {}}
"),
    Case(STAYS, &["ServiceMonitor monitoring/app", "pod tells revisions apart"], "
apiVersion: monitoring.coreos.com/v1
kind: ServiceMonitor
metadata: {name: app, namespace: monitoring}
spec: {namespaceSelector: {any: true}, selector: {matchExpressions: [{key: app, operator: Exists}]}}
"),
    Case(None, &[], "
apiVersion: monitoring.coreos.com/v1
kind: ServiceMonitor
metadata: {name: elsewhere, namespace: monitoring}
spec: {selector: {matchLabels: {app: podinfo}}}
"),
    // In strict mode the Service has one pod's worth of endpoints less.
    Case(CHANGE, &["ServiceMonitor shop/podinfo", "kind: PodMonitor", "app: podinfo", "targetLabel: job", "podMetricsEndpoints"], "
kind: Service
metadata: {name: podinfo, namespace: shop}
spec: {selector: {sluice.dev/role: serving}}
---
apiVersion: monitoring.coreos.com/v1
kind: ServiceMonitor
metadata: {name: podinfo, namespace: shop}
spec: {selector: {matchLabels: {app: podinfo}}, endpoints: [{port: http, interval: 15s}]}
"),
    Case(STAYS, &["PodMonitor shop/podinfo"], "
apiVersion: monitoring.coreos.com/v1
kind: PodMonitor
metadata: {name: podinfo, namespace: shop}
spec: {selector: {matchLabels: {app: podinfo}}}
"),
    Case(None, &[], "
apiVersion: monitoring.coreos.com/v1
kind: PodMonitor
metadata: {name: cart, namespace: shop}
spec: {selector: {matchLabels: {app: cart}}}
"),
    Case(CHANGE, &["NetworkPolicy shop/podinfo", "port: 15008"], "
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: podinfo, namespace: shop}
spec: {podSelector: {matchLabels: {app: podinfo}}, ingress: [{ports: [{port: 9898}]}]}
"),
    Case(STAYS, &["NetworkPolicy shop/podinfo"], "
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: podinfo, namespace: shop}
spec: {podSelector: {}, ingress: [{ports: [{port: 9898}, {port: 15000, endPort: 15010}]}]}
"),
    Case(None, &[], "
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: cart, namespace: shop}
spec: {podSelector: {matchLabels: {app: cart}}, ingress: [{ports: [{port: 9898}]}]}
"),
];

const MESH: &[Case] = &[
    Case(STAYS, &["DestinationRule shop/podinfo", "copies it"], "
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: podinfo, namespace: shop}
spec: {host: podinfo, trafficPolicy: {outlierDetection: {consecutive5xxErrors: 5}}}
"),
    Case(CHANGE, &["DestinationRule shop/podinfo", "without its subsets", "name: v1"], "
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: podinfo, namespace: shop}
spec: {host: podinfo, subsets: [{name: v1, labels: {version: v1}}]}
"),
    Case(CHANGE, &["DestinationRule istio-system/podinfo", "not copied", "namespace: shop\nspec:\n  host: podinfo\n"], "
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: podinfo, namespace: istio-system}
spec: {host: podinfo.shop.svc.cluster.local}
"),
    Case(None, &[], "
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: all, namespace: shop}
spec: {host: '*.shop.svc.cluster.local'}
"),
    Case(CHANGE, &["AuthorizationPolicy shop/callers", "principals:\n      - cluster.local/ns/shop/sa/waypoint"], "
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: callers, namespace: shop}
spec: {selector: {matchLabels: {app: podinfo}}, rules: [{from: [{source: {principals: [cluster.local/ns/shop/sa/cart]}}]}]}
"),
    Case(STAYS, &["AuthorizationPolicy shop/callers"], "
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: callers, namespace: shop}
spec: {selector: {matchLabels: {app: podinfo}}, rules: [{from: [{source: {principals: [cluster.local/ns/shop/sa/waypoint]}}]}]}
"),
    Case(STAYS, &["AuthorizationPolicy shop/deny"], "
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: deny, namespace: shop}
spec: {action: DENY, selector: {matchLabels: {app: podinfo}}, rules: [{from: [{source: {namespaces: [dev]}}]}]}
"),
    Case(CHANGE, &["AuthorizationPolicy shop/deny", "- cluster.local/ns/shop/sa/cart\n      - cluster.local/ns/shop/sa/waypoint"], "
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: deny, namespace: shop}
spec: {action: DENY, selector: {matchLabels: {app: podinfo}}, rules: [{from: [{source: {notPrincipals: [cluster.local/ns/shop/sa/cart]}}]}]}
"),
    Case(LOOK, &["AuthorizationPolicy shop/service", "before a revision is chosen", "podinfo-["], "
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: service, namespace: shop}
spec: {targetRefs: [{group: '', kind: Service, name: podinfo}], rules: [{}]}
"),
    Case(None, &[], "
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: cart, namespace: shop}
spec: {targetRefs: [{group: '', kind: Service, name: cart}], rules: [{}]}
"),
];

const QUERIES: &[Case] = &[
    Case(CHANGE, &["PrometheusRule shop/rules, alert Down", "+ sum by (namespace) (", "deployment=~\"podinfo(-", "sums are what counts"], "
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata: {name: rules, namespace: shop}
spec: {groups: [{name: a, rules: [{alert: Down, expr: 'kube_deployment_status_replicas_available{deployment=\"podinfo\"} == 0'}]}]}
"),
    Case(CHANGE, &["record podinfo:requests", "would not see the revisions"], "
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata: {name: rules, namespace: shop}
spec: {groups: [{name: a, rules: [{record: 'podinfo:requests', expr: 'rate(m{destination_workload=\"podinfo\"}[1m])'}]}]}
"),
    Case(LOOK, &["alert Others", "would leave the revisions out", "names of your own"], "
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata: {name: rules, namespace: shop}
spec: {groups: [{name: a, rules: [{alert: Others, expr: 'up{pod!~\"podinfo-[^-]+-[^-]+-[^-]+\"} == 0'}]}]}
"),
    Case(LOOK, &["alert Broken", "cannot be read"], "
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata: {name: rules, namespace: shop}
spec: {groups: [{name: a, rules: [{alert: Broken, expr: 'sum by (podinfo'}]}]}
"),
    Case(STAYS, &["alert Fine", "goes on to fit"], "
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata: {name: rules, namespace: shop}
spec: {groups: [{name: a, rules: [{alert: Fine, expr: 'up{job=\"podinfo\"} == 0'}]}]}
"),
    Case(None, &[], "
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata: {name: rules, namespace: shop}
spec: {groups: [{name: a, rules: [{alert: Broken, expr: 'sum by (cart'}, {alert: Cart, expr: 'up{job=\"cart\"} == 0'}]}]}
"),
    Case(CHANGE, &["ConfigMap shop/board, board.json, panel Pods", "pod=~\"podinfo-"], r#"
apiVersion: v1
kind: ConfigMap
metadata: {name: board, namespace: shop, labels: {grafana_dashboard: "1"}}
data: {board.json: '{"panels": [{"title": "Pods", "targets": [{"expr": "up{pod=~\"podinfo-[^-]+-[^-]+\"}"}, {"expr": "up{pod=~\"podinfo-.*\"}"}]}]}'}
"#),
    Case(CHANGE, &["ConfigMap shop/board, board.json, variable pod", "deployment=~"], r#"
apiVersion: v1
kind: ConfigMap
metadata: {name: board, namespace: shop, labels: {grafana_dashboard: "1"}}
data: {board.json: '{"templating": {"list": [{"name": "pod", "query": {"query": "label_values(m{deployment=\"podinfo\", a=~\"$b\"}, pod)"}}]}}'}
"#),
    Case(STAYS, &["ConfigMap shop/board, board.json, panel Pods"], r#"
apiVersion: v1
kind: ConfigMap
metadata: {name: board, namespace: shop, labels: {grafana_dashboard: "1"}}
data: {board.json: '{"panels": [{"title": "Pods", "targets": [{"expr": "rate(m{pod=~\"podinfo-.*\"}[$__rate_interval])"}]}]}'}
"#),
    Case(LOOK, &["ConfigMap shop/board, board.json", "no JSON"], "
apiVersion: v1
kind: ConfigMap
metadata: {name: board, namespace: shop, labels: {grafana_dashboard: '1'}}
data: {board.json: 'podinfo'}
"),
    Case(None, &[], "
apiVersion: v1
kind: ConfigMap
metadata: {name: board, namespace: shop, labels: {grafana_dashboard: '1'}}
data: {cart.json: 'cart'}
"),
];

/// As it is printed.
fn words(item: &Item) -> String {
    let mut text = format!("{}: {}", item.object, item.why);
    for replace in &item.replace {
        _ = write!(text, "\n- {}\n+ {}", replace.from, replace.to);
    }
    text
}

#[test]
fn each_object_is_told_or_left_out() {
    let all = [SCALING, PODS, MESH, QUERIES].into_iter().flatten();
    for Case(fate, told, object) in all {
        let mut objects: Vec<Value> = bare();
        edit(&mut objects, object);
        let items = plan(&objects).unwrap().items;
        let fates: Vec<_> = items.iter().map(|item| item.fate).collect();
        assert_eq!(fates, Vec::from_iter(*fate), "{object}: {items:#?}");
        for item in &items {
            let words = words(item);
            for word in *told {
                assert!(words.contains(word), "{word} is not in {words}");
            }
        }
    }
}

/// Policies that let something in add up.
#[test]
fn where_one_policy_lets_the_mesh_in_the_others_need_not() {
    let mut objects = bare();
    edit(&mut objects, "
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: metrics, namespace: shop}
spec: {podSelector: {matchLabels: {app: podinfo}}, ingress: [{ports: [{port: 9898}]}]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: mesh, namespace: shop}
spec: {podSelector: {}, ingress: [{ports: [{port: 15008}]}]}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: cart, namespace: shop}
spec: {selector: {matchLabels: {app: podinfo}}, rules: [{from: [{source: {principals: [cluster.local/ns/shop/sa/cart]}}]}]}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: waypoint, namespace: shop}
spec: {selector: {matchLabels: {app: podinfo}}, rules: [{from: [{source: {namespaces: [shop]}}]}]}
");
    let items = plan(&objects).unwrap().items;
    assert_eq!(items.len(), 4);
    assert!(
        items.iter().all(|item| item.fate == Fate::Stays),
        "{items:#?}"
    );
}
