//! Routes, Services, templates and snapshots, each by itself.

use k8s_openapi::api::core::v1::Service;
use kube::api::DynamicObject;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use sluice_core::{RevisionName, Routing, Weight};
use sluice_crds::Mesh;

use super::{examples, fuzz};
use crate::render::config::Config;
use crate::render::snapshot::{read_snapshot, record_annotation, snapshot};
use crate::render::{
    acceptance, identity, live_route, mesh, name, references, route, service, workload,
};

/// What the API server would send, if it would.
pub(super) fn read<T: DeserializeOwned>(value: &Value) -> Option<T> {
    serde_json::from_value(value.clone()).ok()
}

fn is_rfc_1035_label(name: &str) -> bool {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    name.len() <= 63
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && !name.ends_with('-')
        && name.bytes().all(fits)
}

#[test]
fn live_routes() {
    fuzz(&[examples::route()], |value| {
        let Some(object) = read::<DynamicObject>(value) else {
            return;
        };
        let parent: Service = read(&examples::parent()).unwrap();
        let live = [&object];
        let found = live_route::read_routes(&live).unwrap();
        let sum: u64 = found
            .weights
            .values()
            .map(|weight| u64::from(weight.ppm()))
            .sum();
        let whole = u64::from(Weight::WHOLE.ppm());
        assert!(
            found.weights.is_empty() || !found.agree || sum == whole,
            "{found:?}"
        );
        let rendered = route::routes("shop", "podinfo", &parent, &found.routing(), None, &[]);
        _ = live_route::intact(&live, &rendered);
        _ = live_route::superfluous(&live, &rendered);
        _ = acceptance::acceptance(&live, false);
        if found.agree {
            read_back(&rendered, &found.routing());
        }
    });
}

/// What we wrote is what we read.
fn read_back(rendered: &[Value], routing: &Routing) {
    let live: Vec<DynamicObject> = rendered.iter().filter_map(read).collect();
    assert_eq!(live.len(), rendered.len());
    let live: Vec<_> = live.iter().collect();
    let Some(found) = live_route::read_routes(&live) else {
        return;
    };
    assert!(found.agree && found.foreign_writer.is_none());
    assert_eq!(found.routing().weights, routing.weights);
    assert_eq!(
        (found.stable, found.candidate),
        (routing.stable.clone(), routing.candidate.clone())
    );
    assert!(live_route::intact(&live, rendered));
}

#[test]
fn services() {
    fuzz(&[examples::parent()], |value| {
        let Some(parent) = read::<Service>(value) else {
            return;
        };
        for mesh in [Mesh::IstioAmbient, Mesh::Gamma] {
            let (_, said) = mesh::bound(mesh, &parent);
            _ = mesh::advice(mesh, &parent, None, said.as_deref());
        }
        let unrouted = ["tcp-x".to_owned()];
        _ = service::refusal(&parent, &unrouted);
        let revision = RevisionName::from("podinfo-aaaaaaaa");
        let own = service::service("shop", "podinfo", &revision, &parent, None);
        let live: Service = read(&own).unwrap();
        // The API server takes a number once for each protocol.
        let ports = parent
            .spec
            .iter()
            .flat_map(|spec| spec.ports.iter().flatten());
        let numbers: Vec<_> = ports.map(|port| (port.port, &port.protocol)).collect();
        if numbers
            .iter()
            .enumerate()
            .any(|(at, port)| numbers[..at].contains(port))
        {
            return;
        }
        assert!(!service::is_outdated(&live, &parent, &own), "{own}");
        let routing = Routing {
            weights: [(revision, Weight::WHOLE)].into(),
            stable: Some("podinfo-aaaaaaaa".into()),
            candidate: None,
            step: None,
            at: sluice_core::Time::default(),
        };
        read_back(
            &route::routes("shop", "podinfo", &parent, &routing, None, &unrouted),
            &routing,
        );
    });
}

#[test]
fn templates() {
    fuzz(&[examples::template()], |template| {
        let ignore = [
            "/metadata/annotations/built-at".to_owned(),
            "/spec/containers/0".to_owned(),
        ];
        let wanted = identity::identity(template, &ignore);
        assert_eq!(
            identity::identity(&wanted, &ignore[..1]),
            identity::identity(&wanted, &[])
        );
        assert!(identity::same(template, template, &ignore));
        let references = references::references(template);
        let config: Config = references
            .into_keys()
            .map(|name| (name, "bcdf".to_owned()))
            .collect();
        let hash = identity::revision_hash(template, &ignore, &config);
        let target = template
            .pointer("/metadata/labels/app")
            .and_then(Value::as_str);
        let revision = name::revision_name(target.unwrap_or_default(), &hash);
        assert!(is_rfc_1035_label(revision.as_str()), "{revision}");
        let stored = snapshot("shop", "podinfo", &revision, template, &hash, &config);
        let known = read_snapshot(&stored).unwrap();
        assert_eq!((known.template, &known.config), (template, &config));
        let target = read(&examples::target());
        let rendered = workload::deployment("shop", "podinfo", &known, 3, target.as_ref());
        let selector = rendered
            .pointer("/spec/selector/matchLabels")
            .unwrap()
            .as_object()
            .unwrap();
        if template.is_object() {
            let labels = rendered.pointer("/spec/template/metadata/labels").unwrap();
            assert!(
                selector
                    .iter()
                    .all(|(label, value)| labels.get(label) == Some(value))
            );
        }
    });
}

#[test]
fn snapshots() {
    fuzz(&[examples::snapshot("podinfo-aaaaaaaa")], |value| {
        let Some(object) = read::<DynamicObject>(value) else {
            return;
        };
        if let Some(known) = read_snapshot(&object) {
            let text = record_annotation(&known.record);
            assert_eq!(
                serde_json::from_str::<sluice_core::Record>(&text).unwrap(),
                known.record
            );
            _ = workload::deployment("shop", "podinfo", &known, 3, None);
            for copy in crate::render::config::copy_names("podinfo", &known.config).values() {
                assert!(copy.len() <= 253, "{copy}");
            }
        }
    });
}

#[test]
fn verdicts_as_text() {
    let mut dice = super::Dice::new(super::seed());
    let text = examples::snapshot("x");
    let verdict = text["metadata"]["annotations"]["sluice.dev/verdict"]
        .as_str()
        .unwrap();
    for _ in 0..super::cases() {
        let mut bytes = verdict.as_bytes().to_vec();
        super::mutate_bytes(&mut bytes, &mut dice);
        let mut object = examples::snapshot("x");
        object["metadata"]["annotations"]["sluice.dev/verdict"] =
            json!(String::from_utf8_lossy(&bytes));
        let object: DynamicObject = read(&object).unwrap();
        assert!(read_snapshot(&object).is_some());
    }
}
