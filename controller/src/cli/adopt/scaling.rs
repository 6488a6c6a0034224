//! What sizes the Deployment or its pods.

use kube::ResourceExt as _;
use kube::api::{ApiResource, DynamicObject};

use super::gather::Found;
use super::item::{Fate, Item, Object};
use super::kinds::{autoscaler, scaled_object, vertical_autoscaler};
use super::names::Names;
use crate::cli::read::text;

/// A Canary that may be asked to be scaled, by its name.
pub(super) fn all(found: &Found, names: &Names, canary: &str) -> Vec<Item> {
    let of = |kind: &ApiResource, path: &str| -> Vec<&DynamicObject> {
        let all = found.objects.of(kind);
        all.filter(|one| scales(one, path, &names.deployment))
            .collect()
    };
    // Whoever made it would undo an edit: KEDA's is changed by its ScaledObject.
    let by_hand = |one: &&DynamicObject| {
        let mut owners = one.owner_references().iter();
        !owners.any(|owner| owner.controller == Some(true))
    };
    let autoscalers = of(&autoscaler(), "/spec/scaleTargetRef").into_iter();
    let mut items: Vec<_> = autoscalers
        .filter(by_hand)
        .chain(of(&scaled_object(), "/spec/scaleTargetRef"))
        .map(|one| moved(one, &names.deployment, canary))
        .collect();
    let vertical = of(&vertical_autoscaler(), "/spec/targetRef");
    items.extend(vertical.into_iter().map(recommended));
    items
}

/// KEDA's default kind is a Deployment.
fn scales(object: &DynamicObject, path: &str, deployment: &str) -> bool {
    let field = |name: &str| text(&object.data, &format!("{path}/{name}"));
    let version = field("apiVersion").unwrap_or("apps/v1");
    field("name") == Some(deployment)
        && field("kind").unwrap_or("Deployment") == "Deployment"
        && version.starts_with("apps/")
}

fn moved(object: &DynamicObject, deployment: &str, canary: &str) -> Item {
    let target = |version: &str, kind: &str, name: &str| {
        format!("scaleTargetRef:\n  apiVersion: {version}\n  kind: {kind}\n  name: {name}")
    };
    Item::new(
        Fate::ChangeWhenTold,
        Object::of(object),
        "it would go on to scale the Deployment, whose pods serve nobody any more",
    )
    .with(
        target("apps/v1", "Deployment", deployment),
        target("sluice.dev/v1alpha1", "Canary", canary),
    )
}

/// It recommends for the pods that the Deployment's selector selects, revisions' among them, and touches only those
/// whose topmost owner is the Deployment.
fn recommended(object: &DynamicObject) -> Item {
    let place = Object::of(object);
    let mode = text(&object.data, "/spec/updatePolicy/updateMode").unwrap_or("Auto");
    if mode == "Off" {
        let why = "it recommends for revisions' pods, which have the same labels";
        return Item::new(Fate::Stays, place, why);
    }
    Item::new(
        Fate::Change,
        place,
        "it sets requests of the Deployment's own pods, of which there will be none. Write what it recommends into the \
         Deployment's template, where it is rolled out and judged like any change",
    )
    .with(
        format!("updatePolicy:\n  updateMode: {mode}"),
        "updatePolicy:\n  updateMode: \"Off\"",
    )
}
