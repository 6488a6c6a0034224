//! A scene that can be adopted, and each thing that may be wrong with it.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests fail by panicking"
)]

mod cases;
mod gamma;
mod metrics;
mod unread;

use std::collections::BTreeSet;
use std::sync::LazyLock;

use chrono::TimeDelta;
use kube::CustomResourceExt as _;
use kube::api::DynamicObject;
use serde_json::{Value, json};
use sluice_crds::{Canary, CanaryPolicy, ClusterCanaryPolicy, MetricTemplate};

use super::found::{Found, Rights};
use super::item::{Item, Level, Report};
use super::*;
use crate::cli::edited::{self, documents};
use crate::evidence::Seen;

const HEALTHY: &str = include_str!("tests/healthy.yaml");

/// Its objects; with them our own definitions.
static OBJECTS: LazyLock<Vec<Value>> = LazyLock::new(|| {
    let ours = [
        Canary::crd(),
        CanaryPolicy::crd(),
        ClusterCanaryPolicy::crd(),
        MetricTemplate::crd(),
    ];
    let ours = ours.map(|crd| serde_json::to_value(crd).unwrap());
    documents(HEALTHY).into_iter().chain(ours).collect()
});

/// What is read of the healthy scene.
pub(super) struct Scene {
    pub(super) objects: Vec<Value>,
    pub(super) found: Found,
    pub(super) asked: Asked,
}

impl Scene {
    pub(super) fn healthy() -> Self {
        let rights = rights::granted().unwrap();
        let rights = rights.into_iter().map(|right| (right, true)).collect();
        let seen = Seen {
            series: 40,
            told: 36,
            own: 12,
            interval: TimeDelta::try_milliseconds(15_003),
        };
        let found = Found {
            rights: Some(Ok(Rights {
                account: "sluice-system/sluice".to_owned(),
                each: rights,
            })),
            series: [("shop/podinfo".to_owned(), Ok(seen))].into(),
            ..Found::default()
        };
        let asked = Asked {
            namespace: Some("shop".to_owned()),
            name: Some("podinfo".to_owned()),
            home: "sluice-system".to_owned(),
            prometheus: None,
        };
        Self {
            objects: OBJECTS.clone(),
            found,
            asked,
        }
    }

    pub(super) fn edit(&mut self, yaml: &str) {
        edited::edit(&mut self.objects, yaml);
    }

    pub(super) fn report(mut self) -> Report {
        let objects = self.objects.iter();
        let object = |one: &Value| serde_json::from_value::<DynamicObject>(one.clone()).unwrap();
        self.found.objects.all = objects.map(object).collect();
        let subjects = subject::all(&self.found, &self.asked);
        Report::of(&self.found, &subjects, &self.asked)
    }
}

pub(super) fn items(report: &Report) -> Vec<&Item> {
    let sections = report.sections.iter();
    sections.flat_map(|section| &section.items).collect()
}

#[test]
fn a_healthy_scene_is_all_ok() {
    let report = Scene::healthy().report();
    assert_eq!(text::of(&report), include_str!("tests/healthy.txt"));
    assert!(items(&report).iter().all(|item| item.level == Level::Ok));
}

/// The page in `docs/` shows what is really printed.
#[test]
fn several_things_are_named_at_once_as_the_page_says() {
    let mut scene = Scene::healthy();
    scene.edit(
        "
kind: Namespace
metadata: {name: shop, labels: {istio.io/use-waypoint: null}}
---
kind: Service
metadata: {namespace: shop, name: podinfo, labels: {istio.io/ingress-use-waypoint: null}}
status: {conditions: null}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: by-hand, namespace: shop}
spec:
  parentRefs: [{group: '', kind: Service, name: podinfo, port: 80}]
  rules: [{backendRefs: [{name: podinfo, port: 80}]}]
---
kind: GatewayClass
metadata: {name: istio-waypoint}
$delete: true
",
    );
    let why = "not allowed to list gatewayclasses.gateway.networking.k8s.io";
    let unread = &mut scene.found.objects.unread;
    unread.insert(
        "gatewayclasses.gateway.networking.k8s.io".to_owned(),
        why.to_owned(),
    );
    let report = scene.report();
    let text = text::of(&report);
    assert_eq!(text, include_str!("tests/broken.txt"));
    let page = include_str!("../../../../docs/preflight.md");
    assert!(page.contains(&text), "docs/preflight.md shows another text");
    assert_eq!(report.count(Level::Error), 3);
    let json = json!(report);
    assert_eq!(json["sections"][0]["about"], Value::Null);
    assert_eq!(json["sections"][1]["about"], "shop/podinfo");
    let first = &json["sections"][1]["items"][4];
    assert_eq!(
        (&first["check"], &first["level"]),
        (&json!("waypoint"), &json!("error"))
    );
}

#[test]
fn a_namespace_stands_for_all_that_is_there() {
    let about = |edit: &str, namespace: &str| {
        let mut scene = Scene::healthy();
        scene.edit(edit);
        scene.asked.namespace = Some(namespace.to_owned());
        scene.asked.name = None;
        let report = scene.report();
        let about = report.sections.iter().filter_map(|one| one.about.clone());
        (about.collect::<Vec<_>>(), report.count(Level::Warning))
    };
    assert_eq!(about("", "shop").0, ["shop/podinfo"]);
    let more = "
apiVersion: sluice.dev/v1alpha1
kind: Canary
metadata: {name: web, namespace: shop}
spec: {targetRef: {kind: Deployment, name: podinfo}, service: {name: podinfo}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: cart, namespace: shop}
spec: {template: {metadata: {labels: {app: cart}}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: no-service, namespace: shop}
";
    assert_eq!(about(more, "shop").0, ["shop/web", "shop/cart"]);
    assert_eq!(about("", "empty"), (vec!["empty".to_owned()], 1));
}

#[test]
fn without_a_namespace_the_cluster_alone_is_looked_at() {
    let mut scene = Scene::healthy();
    scene.asked = Asked::default();
    assert_eq!(scene.report().sections.len(), 1);
}

#[test]
fn what_is_asked_about_is_a_namespace_and_a_name() {
    let asked = |subject: &str| {
        let args = Args {
            subject: Some(subject.to_owned()),
            output: Output::Text,
            tell_only: false,
            prometheus: None,
            home: "sluice-system".to_owned(),
            service_account: "sluice".to_owned(),
        };
        let asked = asked(&args).ok()?;
        Some((asked.namespace.unwrap_or_default(), asked.name))
    };
    let name = Some("web".to_owned());
    assert_eq!(asked("shop/web"), Some(("shop".to_owned(), name)));
    assert_eq!(asked("shop"), Some(("shop".to_owned(), None)));
    for wrong in ["", "/", "shop/", "/web", "shop/web/x"] {
        assert_eq!(asked(wrong), None, "{wrong}");
    }
}

#[test]
fn rights_are_those_of_the_manifest() {
    let all = rights::granted().unwrap();
    let named: BTreeSet<String> = all.iter().map(ToString::to_string).collect();
    for right in [
        "patch canaries/status.sluice.dev",
        "list pods",
        "create httproutes.gateway.networking.k8s.io",
    ] {
        assert!(named.contains(right), "{right} is not in {named:?}");
    }
    let of_lease = |right: &&rights::Right| right.resource == "leases" && right.verb == "update";
    let attributes = all.iter().find(of_lease).unwrap().attributes("home");
    assert_eq!(
        (attributes.name.as_deref(), attributes.namespace.as_deref()),
        (Some("sluice"), Some("home"))
    );
    let status = |right: &&rights::Right| right.resource == "canaries/status";
    let attributes = all.iter().find(status).unwrap().attributes("home");
    assert_eq!(attributes.subresource.as_deref(), Some("status"));
    assert_eq!(attributes.namespace, None);
}
