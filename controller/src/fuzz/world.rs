//! All objects of a Canary together, from what was observed to what is told.

use std::collections::BTreeMap;
use std::sync::Arc;

use kube::ResourceExt as _;
use kube::api::DynamicObject;
use serde_json::{Value, json};
use sluice_core::{Evidence, Time, Weight, decide};
use sluice_crds::{Canary, CanaryPolicy, MetricTemplate};

use super::objects::read;
use super::{examples, fuzz};
use crate::apply::{Scene, effects};
use crate::observe::observed::{Policy, parent_name};
use crate::observe::others::Others;
use crate::observe::{Observed, size};
use crate::parse::revisions::{self, Known};
use crate::parse::{self, Pinned, blockers, plan, state, target};
use crate::record::status::{self, Told};
use crate::render::copies::{self, Setting};
use crate::render::kind::Optional;
use crate::render::mentions::Place;
use crate::subscription;

const REVISIONS: [&str; 2] = ["podinfo-aaaaaaaa", "podinfo-bbbbbbbb"];

/// With a foreign route, so that nothing grows.
fn blocked() -> Value {
    let each = |object: fn(&str) -> Value| REVISIONS.map(object);
    json!({
        "policies": [{"metadata": {"name": "default", "namespace": "shop"}, "spec": examples::policy()}],
        "templates": examples::metric_templates(),
        "settings": examples::settings(), "copies": REVISIONS.map(examples::copies).concat(),
        "canary": examples::canary(), "target": [examples::target()], "parent": [examples::parent()],
        "snapshots": each(examples::snapshot), "workloads": each(examples::workload),
        "services": each(examples::service), "slices": each(examples::slice), "pods": each(examples::pod),
        "autoscalers": [examples::autoscaler()], "routes": [examples::route()], "others": [examples::route()],
    })
}

/// With nothing of others on the Service: the rollout goes on.
fn free() -> Value {
    let mut example = blocked();
    example["others"] = json!([]);
    example
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
    let settings = |field: &str| -> Vec<Setting> {
        let objects = all::<DynamicObject>(value, field).into_iter();
        let of_kind = objects.map(|object| {
            let kind = object.types.as_ref().map(|types| types.kind.as_str());
            let kind = match kind {
                Some("BackendTLSPolicy") => Optional::BackendTlsPolicy,
                _ => Optional::DestinationRule,
            };
            (kind, object)
        });
        of_kind.collect()
    };
    let canary: Canary = read(value.get("canary")?)?;
    let policies = all::<CanaryPolicy>(value, "policies");
    let templates = all::<MetricTemplate>(value, "templates").into_iter();
    let target = all::<DynamicObject>(value, "target").pop().map(|target| {
        let mut target = Arc::unwrap_or_clone(target);
        size::trim(&mut target);
        Arc::new(target)
    });
    let service = Place::new(
        &canary.namespace().unwrap_or_default(),
        parent_name(&canary),
    );
    let mut about = settings("settings");
    about.retain(|(kind, object)| copies::is_about(*kind, object, &service));
    let policy = |name: &str| {
        let mut named = policies.iter().filter(|policy| policy.name_any() == name);
        named.next().map(|policy| policy.spec.clone())
    };
    Some(Observed {
        policy: Policy::choose(&canary, policy, |_| None),
        templates: templates
            .map(|template| (template.name_any(), template.spec.clone()))
            .collect(),
        target,
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
            settings: about,
            ..Others::default()
        },
        copies: settings("copies"),
        autoscalers: all(value, "autoscalers"),
        namespace_labels: None,
        config_copies: Vec::new(),
        config_maps: BTreeMap::from([("app".to_owned(), "bcdf".to_owned())]),
        namespace: canary.namespace().unwrap_or_default(),
        name: canary.name_any(),
        canary: Arc::new(canary),
    })
}

/// What is not in the examples is not mutated.
#[test]
fn the_examples_have_all_that_is_parsed() {
    let now: Time = "2026-01-01T00:05:00Z".parse().unwrap();
    for (value, is_blocked) in [(blocked(), true), (free(), false)] {
        let observed = observed(&value).unwrap();
        assert!(matches!(observed.policy, Policy::Found { .. }));
        assert_eq!((observed.templates.len(), observed.copies.len()), (2, 4));
        assert_eq!(observed.others.settings.len(), 2);
        let known = Known::of(&observed);
        let sections = plan::in_force(&observed);
        let parsed = plan::parse(&sections);
        let found = blockers::find(&observed, &sections, parsed.as_ref().map(|_| ()));
        assert_eq!(found.is_some(), is_blocked, "{found:?}");
        let evidence = Evidence::default();
        let world = parse::world::parse(&observed, &known, None, found, None, evidence, None);
        assert!(world.claimed && world.autoscaler.is_some());
        assert_eq!(world.revisions.len(), REVISIONS.len());
        let stored = observed.canary.status.clone().unwrap_or_default();
        let remembered = state::read(&stored, now);
        let judged = Pinned::read(&stored).unwrap().sections;
        let asked = subscription::of(&observed, &remembered, &sections, &judged, "sluice-system");
        assert_eq!(asked.unwrap().own.len(), 2);
    }
}

#[test]
fn a_reconcile_without_its_cluster() {
    let now: Time = "2026-01-01T00:05:00Z".parse().unwrap();
    fuzz(&[blocked(), free()], |value| {
        let Some(observed) = observed(value) else {
            return;
        };
        let stored = observed.canary.status.clone().unwrap_or_default();
        let remembered = state::read(&stored, now);
        let known = Known::of(&observed);
        let identified = target::identify(&observed, &known);
        let promoted = parse::promoted::identify(&observed, &known, identified.as_ref());
        let sections = plan::in_force(&observed);
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
        for revision in &REVISIONS.map(Into::into) {
            for (_, copy) in revisions::wanted_copies(&observed, revision) {
                let name = copy["metadata"]["name"].as_str().unwrap();
                assert!(name.len() <= 253, "{name}");
            }
        }
        let pinned = Pinned::read(&stored);
        let judged = pinned.as_ref().map_or(&sections, |pinned| &pinned.sections);
        _ = subscription::past(&observed, &sections, "sluice-system");
        _ = subscription::drains(&observed, &decision.state, &sections, "sluice-system");
        let asked = subscription::of(
            &observed,
            &decision.state,
            &sections,
            judged,
            "sluice-system",
        );
        for own in asked.iter().flat_map(|asked| &asked.own) {
            // A variable that nothing stands for would go to the server as it is.
            let query = own.promql();
            assert!(!query.contains("{{"), "{query}");
        }
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
