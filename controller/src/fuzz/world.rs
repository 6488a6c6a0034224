//! All objects of a Canary together, from what was observed to what is told.

use std::collections::BTreeMap;
use std::sync::Arc;

use kube::ResourceExt as _;
use serde_json::{Value, json};
use sluice_core::{Evidence, Time, Weight, decide};
use sluice_crds::Canary;

use super::objects::read;
use super::{examples, fuzz};
use crate::apply::{Scene, effects};
use crate::observe::Observed;
use crate::observe::observed::Policy;
use crate::observe::others::Others;
use crate::parse::revisions::Known;
use crate::parse::{self, Pinned, blockers, plan, state, target};
use crate::record::status::{self, Told};

const REVISIONS: [&str; 2] = ["podinfo-aaaaaaaa", "podinfo-bbbbbbbb"];

fn example() -> Value {
    let each = |object: fn(&str) -> Value| REVISIONS.map(object);
    json!({
        "canary": examples::canary(), "target": [examples::target()], "parent": [examples::parent()],
        "snapshots": each(examples::snapshot), "workloads": each(examples::workload),
        "services": each(examples::service), "slices": each(examples::slice), "pods": each(examples::pod),
        "autoscalers": [examples::autoscaler()], "routes": [examples::route()], "others": [examples::route()],
    })
}

/// What of it the API server would send.
pub(crate) fn observed(value: &Value) -> Option<Observed> {
    fn all<T: serde::de::DeserializeOwned>(value: &Value, field: &str) -> Vec<Arc<T>> {
        let list = value.get(field).and_then(Value::as_array);
        list.into_iter()
            .flatten()
            .filter_map(read)
            .map(Arc::new)
            .collect()
    }
    let canary: Canary = read(value.get("canary")?)?;
    Some(Observed {
        policy: Policy::BuiltIn,
        templates: BTreeMap::new(),
        target: all(value, "target").pop(),
        parent: all(value, "parent").pop(),
        other_services: all(value, "parent"),
        snapshots: all(value, "snapshots"),
        workloads: all(value, "workloads"),
        services: all(value, "services"),
        slices: all(value, "slices"),
        pods: all(value, "pods"),
        routes: all(value, "routes"),
        others: Others {
            routes: all(value, "others")
                .into_iter()
                .map(|route| ("HTTPRoute", route))
                .collect(),
            virtual_services: all(value, "others"),
            ..Others::default()
        },
        copies: Vec::new(),
        autoscalers: all(value, "autoscalers"),
        namespace_labels: None,
        config_copies: Vec::new(),
        config_maps: BTreeMap::from([("app".to_owned(), "bcdf".to_owned())]),
        namespace: canary.namespace().unwrap_or_default(),
        name: canary.name_any(),
        canary: Arc::new(canary),
    })
}

#[test]
fn a_reconcile_without_its_cluster() {
    let now: Time = "2026-01-01T00:05:00Z".parse().unwrap();
    fuzz(&[example()], |value| {
        let Some(observed) = observed(value) else {
            return;
        };
        let stored = observed.canary.status.clone().unwrap_or_default();
        let remembered = state::read(&stored, now);
        let known = Known::of(&observed);
        let identified = target::identify(&observed, &known);
        let promoted = parse::promoted::identify(&observed, &known, identified.as_ref());
        let sections = plan::resolve(&observed.canary.spec.policy, None);
        let parsed = plan::parse(&sections);
        let blocked = blockers::find(&observed, &sections, parsed.as_ref().map(|_| ()));
        let scene = Scene {
            observed: &observed,
            known: &known,
            identified: identified.as_ref(),
            promoted: promoted.as_ref(),
            route: sections.route.as_ref(),
        };
        let route = parse::world::live_route(&observed, |read| effects::rendered(&scene, read));
        let evidence = Evidence::default();
        let world = parse::world::parse(
            &observed,
            &known,
            identified.as_ref(),
            blocked,
            route,
            evidence,
            None,
        );
        let world = sluice_core::World {
            promoted: promoted.as_ref().map(parse::promoted::parse),
            ..world
        };
        let built_in = plan::parse(&sluice_crds::PolicySpec::built_in()).unwrap();
        let decision = decide(&parsed.unwrap_or(built_in), &remembered, &world, now);
        for effect in &decision.effects {
            if let sluice_core::Effect::Route(routing) = effect {
                let sum: u32 = routing.weights.values().map(|weight| weight.ppm()).sum();
                assert_eq!(sum, Weight::WHOLE.ppm());
                _ = effects::rendered(&scene, routing);
            }
        }
        let pinned = Pinned::read(&stored);
        let told = Told {
            decision: &decision,
            refused: None,
            ended: &[],
            foresight: None,
            traffic: None,
        };
        let next = status::of(&observed, &told, pinned.as_ref(), &stored, now);
        _ = status::due(&decision, &stored, &next);
        // What is written is what is read back.
        let next: sluice_crds::CanaryStatus = serde_json::from_value(json!(next)).unwrap();
        let again = state::read(&next, now);
        assert_eq!(again.stable, decision.state.stable);
    });
}
