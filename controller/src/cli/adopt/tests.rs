//! Realistic manifests, and what is told of each.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests fail by panicking"
)]

mod cases;

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::rbac::v1::ClusterRole;
use serde_json::{Value, json};
use sluice_core::waiting::{SizeKept, Waiting};

use super::gather::{Found, Gap, Reading, every_kind, merged};
use super::item::{Fate, Item};
use super::*;
use crate::cli::edited::{documents, edit};
use crate::cli::read::{Objects, resource_name};
use crate::record::conditions;

fn found(objects: &[Value]) -> Found {
    let mut found = Found::default();
    let all = objects.iter().cloned();
    found.objects.all = all
        .map(|one| serde_json::from_value(one).unwrap())
        .collect();
    found
}

fn shop_podinfo() -> Asked {
    Asked {
        namespace: "shop".to_owned(),
        name: "podinfo".to_owned(),
        service: None,
    }
}

pub(super) fn plan(objects: &[Value]) -> anyhow::Result<Plan> {
    Plan::of(&found(objects), &shop_podinfo())
}

fn cluster() -> Vec<Value> {
    documents(include_str!("tests/cluster.yaml"))
}

/// A Deployment, its Service, its namespace, and nothing else.
pub(super) fn bare() -> Vec<Value> {
    let kept = ["Namespace", "Deployment", "Service"];
    let mut objects = cluster();
    objects.retain(|one| kept.contains(&one["kind"].as_str().unwrap()));
    objects
}

/// The page in `docs/` shows what is really printed.
#[test]
fn a_plan_is_told_as_the_page_says() {
    let mut found = found(&cluster());
    let unknown = "scaledobjects.keda.sh";
    found.objects.absent.insert(unknown.to_owned());
    let plan = Plan::of(&found, &shop_podinfo()).unwrap();
    let text = text::of(&plan);
    assert_eq!(text, include_str!("tests/plan.txt"));
    let page = include_str!("../../../../docs/adopt.md");
    assert!(page.contains(&text), "docs/adopt.md shows another text");
    let json = json!(plan);
    // Its autoscaler's: in Git it would be put back.
    assert_eq!(json["canary"]["spec"].get("replicas"), None);
    assert_eq!(json["items"][0]["fate"], "change");
    assert_eq!(json["gaps"][0]["reading"], "notInstalled");
}

/// Who follows the page may list what is read, and nothing else.
#[test]
fn the_page_grants_what_is_read() {
    let page = include_str!("../../../../docs/adopt.md");
    let (_, role) = page.split_once("```yaml\n").unwrap();
    let (role, _) = role.split_once("```").unwrap();
    let role: ClusterRole = serde_yaml_ng::from_str(role).unwrap();
    let granted = role.rules.unwrap().into_iter().flat_map(|rule| {
        assert_eq!(rule.verbs, ["list"]);
        let group = rule.api_groups.unwrap().remove(0);
        let dot = if group.is_empty() { "" } else { "." };
        let all = rule.resources.unwrap().into_iter();
        all.map(move |resource| format!("{resource}{dot}{group}"))
    });
    let mut read: BTreeSet<_> = every_kind().iter().map(resource_name).collect();
    read.insert("namespaces".to_owned());
    assert_eq!(granted.collect::<BTreeSet<_>>(), read);
}

/// What is said to be right after the adoption is no longer told once it is done.
#[test]
fn what_was_changed_as_told_is_not_told_again() {
    let mut objects = cluster();
    let first = plan(&objects).unwrap();
    for item in &first.items {
        for replace in &item.replace {
            replaced(&mut objects, &replace.from, &replace.to);
        }
    }
    let again = plan(&objects).unwrap().items;
    let kinds = ["PrometheusRule", "ConfigMap"];
    let left = again
        .iter()
        .filter(|item| item.fate != Fate::Stays && kinds.contains(&item.object.kind.as_str()));
    assert_eq!(left.collect::<Vec<_>>(), Vec::<&Item>::new());
    let told = first.items.iter();
    let told =
        told.filter(|item| item.fate == Fate::Change && kinds.contains(&item.object.kind.as_str()));
    assert_eq!(told.count(), 4, "{:#?}", first.items);
}

/// In every text of every object, as a person would.
fn replaced(objects: &mut [Value], from: &str, to: &str) {
    fn walk(value: &mut Value, from: &str, to: &str) {
        match value {
            // Dashboards are texts in texts.
            Value::String(text) => {
                let quoted = |text: &str| text.replace('"', "\\\"");
                *text = text.replace(from, to).replace(&quoted(from), &quoted(to));
            }
            Value::Array(all) => all.iter_mut().for_each(|one| walk(one, from, to)),
            Value::Object(all) => all.values_mut().for_each(|one| walk(one, from, to)),
            _ => {}
        }
    }
    for one in objects {
        walk(one, from, to);
    }
}

#[test]
fn with_nothing_around_it_nothing_changes() {
    let plan = plan(&bare()).unwrap();
    assert_eq!(plan.items, []);
    assert!(
        !plan
            .steps
            .iter()
            .any(|step| step.contains("to change first"))
    );
}

const AUTOSCALER: &str = "
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: cpu, namespace: shop}
spec: {scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: podinfo}, maxReplicas: 10}
";
const CANARY: &str = "
apiVersion: sluice.dev/v1alpha1
kind: Canary
metadata: {name: podinfo, namespace: shop}
spec: {targetRef: {kind: Deployment, name: podinfo}}
";

/// Who says the size, and who is asked to change it, as the decision has it.
#[test]
fn the_steps_leave_the_size_in_one_place() {
    let steps = |edits: &[&str]| {
        let mut objects = bare();
        for edits in edits {
            edit(&mut objects, edits);
        }
        let steps = plan(&objects).unwrap().steps;
        let begins = steps.iter().position(|step| step.contains("Succeeded"));
        steps[begins.unwrap() + 1..steps.len() - 1].to_vec()
    };
    let dropped = "if its condition says ReplicasInGit, and not before, remove spec.replicas from the Deployment in Git";
    let then = "Sluice then scales the Deployment to 0";
    assert_eq!(steps(&[]), [format!("{dropped}. {then}")]);
    let said = ", and set it on the Canary: its message says to what. ";
    assert_eq!(steps(&[CANARY]), [format!("{dropped}{said}{then}")]);
    let sized = CANARY.replace("}}", "}, replicas: 3}");
    assert_eq!(steps(&[&sized]), [format!("{dropped}. {then}")]);
    for edits in [&[AUTOSCALER][..], &[AUTOSCALER, CANARY]] {
        let [git, other, canary] = steps(edits).try_into().unwrap();
        assert!(git.starts_with(dropped), "{git}");
        assert!(git.contains("but first point what scales at the Canary"));
        assert!(other.starts_with("if it says AutoscalerOnTarget instead"));
        assert!(canary.starts_with("leave spec.replicas of the Canary out of Git"));
    }
}

/// The steps name reasons, and leave the rest to the messages.
#[test]
fn the_messages_say_what_the_steps_promise() {
    let kept = |replicas, moves: Option<&str>| {
        let kept = SizeKept {
            deployment: "podinfo".to_owned(),
            manager: "flux".to_owned(),
            pods: 3,
            replicas,
            moves: moves.map(str::to_owned),
        };
        let waiting = Waiting::SizeKept(kept);
        (conditions::reason(&waiting), waiting.to_string())
    };
    let (reason, message) = kept(None, Some("HorizontalPodAutoscaler cpu"));
    assert_eq!(reason, "ReplicasInGit");
    assert!(message.contains("point scaleTargetRef of HorizontalPodAutoscaler cpu at this Canary"));
    assert!(message.contains("leave spec.replicas of Deployment podinfo in Git until told"));
    let (_, message) = kept(Some(3), None);
    assert!(message.contains("remove spec.replicas from Deployment podinfo in Git"));
    assert!(message.contains("set spec.replicas: 3 on this Canary"));
    let autoscaler = Waiting::Autoscaler {
        name: "HorizontalPodAutoscaler cpu".to_owned(),
        held_by: None,
    };
    assert_eq!(conditions::reason(&autoscaler), "AutoscalerOnTarget");
    let message = autoscaler.to_string();
    assert!(message.contains("point scaleTargetRef of HorizontalPodAutoscaler cpu at this Canary"));
}

#[test]
fn the_service_is_the_one_that_clients_call() {
    let named = |edits: &str, said: Option<&str>| {
        let mut objects = bare();
        edit(&mut objects, edits);
        let asked = Asked {
            service: said.map(str::to_owned),
            ..shop_podinfo()
        };
        let plan = Plan::of(&found(&objects), &asked);
        plan.map(|plan| (plan.service.clone(), text::of(&plan)))
            .map_err(|error| error.to_string())
    };
    let refused = |edits: &str, said, why: &str| {
        let error = named(edits, said).unwrap_err();
        assert!(error.contains(why), "{error}");
    };
    assert_eq!(named("", None).unwrap().0, "podinfo");
    let away = "kind: Service\nmetadata: {name: podinfo, namespace: shop}\n$delete: true\n";
    refused(away, None, "no Service selects the pods");
    let other = "---\napiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: shop}\n\
                 spec: {selector: {app: podinfo}, ports: [{port: 80}]}\n";
    let (service, text) = named(&format!("{away}{other}"), None).unwrap();
    assert_eq!(service, "web");
    assert!(text.contains("    service:\n      name: web\n"), "{text}");
    let several = format!("{away}{other}{}", other.replace("web", "www"));
    refused(
        &several,
        None,
        "web, www: name the one that clients call by --service",
    );
    assert_eq!(named(&several, Some("www")).unwrap().0, "www");
    refused("", Some("none"), "no Service shop/none");
    let none = "kind: Deployment\nmetadata: {name: podinfo, namespace: shop}\n$delete: true\n";
    refused(none, None, "no Deployment shop/podinfo");
}

#[test]
fn a_canary_that_is_there_says_what_it_takes_over() {
    let canary = "
apiVersion: sluice.dev/v1alpha1
kind: Canary
metadata: {name: shop, namespace: shop}
spec: {targetRef: {kind: Deployment, name: podinfo}, service: {name: web}}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {selector: {app: podinfo}, ports: [{port: 80}]}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: cpu, namespace: shop}
spec: {scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: podinfo}, maxReplicas: 10}
";
    let mut objects = bare();
    edit(&mut objects, canary);
    for name in ["podinfo", "shop"] {
        let asked = Asked {
            name: name.to_owned(),
            ..shop_podinfo()
        };
        let plan = Plan::of(&found(&objects), &asked).unwrap();
        assert_eq!(
            (plan.deployment.as_str(), plan.service.as_str()),
            ("podinfo", "web")
        );
        assert_eq!(plan.canary, None);
        assert!(
            plan.items[0].replace[0]
                .to
                .ends_with("kind: Canary\n  name: shop")
        );
    }
    edit(
        &mut objects,
        "kind: Canary\nmetadata: {name: shop, namespace: shop}\nspec: {targetRef: {kind: PodTemplate}}\n",
    );
    let asked = Asked {
        name: "shop".to_owned(),
        ..shop_podinfo()
    };
    let error = Plan::of(&found(&objects), &asked).unwrap_err().to_string();
    assert!(error.contains("has a PodTemplate as its target"), "{error}");
}

#[test]
fn what_is_not_installed_or_may_not_be_read_is_told_and_fails_nothing() {
    let needed = ["deployments.apps", "services"];
    for kind in every_kind().iter().map(resource_name) {
        let mut found = found(&bare());
        found.objects.absent.insert(kind.clone());
        let gaps = Plan::of(&found, &shop_podinfo()).unwrap().gaps;
        let gap = |reading, why: Option<&str>| Gap {
            kind: kind.clone(),
            reading,
            why: why.map(str::to_owned),
        };
        assert_eq!(gaps, [gap(Reading::NotInstalled, None)]);

        let why = format!("not allowed to list {kind}");
        found.objects.absent.clear();
        found.objects.unread.insert(kind.clone(), why.clone());
        match Plan::of(&found, &shop_podinfo()) {
            Ok(plan) => {
                assert_eq!(plan.gaps, [gap(Reading::NotReadable, Some(&why))]);
                let told = format!("Not looked at\n  {kind}: not readable: {why}\n");
                assert!(text::of(&plan).contains(&told));
            }
            // Without these two there is nothing to tell of.
            Err(error) => {
                assert!(needed.contains(&kind.as_str()), "{kind}");
                assert!(error.to_string().contains(&why), "{error}");
            }
        }

        found.objects.unread.clear();
        found.only_here.insert(kind.clone(), why.clone());
        let plan = Plan::of(&found, &shop_podinfo()).unwrap();
        assert_eq!(plan.gaps, [gap(Reading::OnlyHere, Some(&why))]);
        assert!(text::of(&plan).contains("not readable outside of shop"));
    }
}

/// Who has rights in the namespace alone learns there what is not installed.
#[test]
fn what_is_refused_elsewhere_is_read_in_the_namespace() {
    let names = ["a", "b", "c"].map(str::to_owned);
    let refused = |all: &[String]| -> BTreeMap<String, String> {
        let all = all.iter();
        all.map(|name| (name.clone(), "refused".to_owned()))
            .collect()
    };
    let objects = Objects {
        unread: refused(&names),
        ..Objects::default()
    };
    let [read, absent, unread] = names.clone();
    let again = Objects {
        all: found(&bare()).objects.all,
        unread: refused(&[unread]),
        absent: [absent].into(),
    };
    let count = again.all.len();
    let found = merged(objects, names.to_vec(), again);
    assert_eq!(found.objects.all.len(), count);
    let gaps = found.gaps();
    let readings: Vec<_> = gaps.iter().map(|gap| gap.reading).collect();
    let wanted = [
        Reading::OnlyHere,
        Reading::NotInstalled,
        Reading::NotReadable,
    ];
    assert_eq!(readings, wanted, "{read} is read");
}

#[test]
fn a_canary_as_it_is_written_is_taken() {
    let canary = plan(&bare()).unwrap().canary.unwrap();
    let canary: sluice_crds::Canary = serde_json::from_value(canary).unwrap();
    assert_eq!(canary.spec.replicas, Some(3));
    assert_eq!(canary.spec.target_ref.name, "podinfo");
}

#[test]
fn what_is_asked_about_is_a_namespace_and_a_name() {
    let asked = |subject: &str| {
        let args = Args {
            subject: subject.to_owned(),
            plan: true,
            service: None,
            output: Output::Text,
        };
        asked(&args).ok()
    };
    assert_eq!(asked("shop/podinfo"), Some(shop_podinfo()));
    for wrong in ["", "/", "shop", "shop/", "/podinfo", "shop/podinfo/x"] {
        assert_eq!(asked(wrong), None, "{wrong}");
    }
}
