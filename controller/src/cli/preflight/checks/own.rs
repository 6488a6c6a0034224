//! Sluice's own part of the cluster: its definitions, and what it may do.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use kube::CustomResourceExt as _;
use kube::api::DynamicObject;
use serde_json::Value;
use sluice_crds::{Canary, CanaryPolicy, ClusterCanaryPolicy, GROUP, MetricTemplate, VERSION};

use super::few;
use crate::cli::preflight::found::{Found, api_resources, definition, list_of, text};
use crate::cli::preflight::item::{Findings, Item};

const APPLY: &str = "kubectl apply --server-side -f crds/manifests of this version";

/// A definition as this program has it.
struct Own {
    name: String,
    plural: String,
    fields: BTreeSet<String>,
}

/// Made of the types once.
static OWN: LazyLock<Vec<Own>> = LazyLock::new(|| {
    let all = [
        Canary::crd(),
        CanaryPolicy::crd(),
        ClusterCanaryPolicy::crd(),
        MetricTemplate::crd(),
    ];
    let all = all.into_iter().map(|crd| Own {
        name: crd.metadata.name.clone().unwrap_or_default(),
        plural: crd.spec.names.plural.clone(),
        fields: serde_json::to_value(&crd).map_or_else(|_| BTreeSet::new(), |crd| fields(&crd)),
    });
    all.collect()
});

/// Whether the definitions are those of this version.
pub(super) fn definitions(found: &Found) -> Vec<Item> {
    let mut findings = Findings::new("sluice-crds");
    let group_version = format!("{GROUP}/{VERSION}");
    let served = found.served(&group_version);
    let discovered = found.unread(&api_resources()).is_none();
    let kind = definition();
    for own in OWN.iter() {
        let name = &own.name;
        let is_missing = discovered && !served.contains(&own.plural.as_str());
        match found.one(&kind, None, name) {
            Some(live) => compare(&mut findings, name, live, &own.fields),
            None if is_missing || found.unread(&kind).is_none() => {
                findings.error(format!("{name} is not installed: {APPLY}"));
            }
            None => {}
        }
    }
    findings.unknown(found.unread(&kind));
    findings.or_ok(|| {
        format!(
            "{group_version}, as sluice {} has it",
            env!("CARGO_PKG_VERSION")
        )
    })
}

fn compare(findings: &mut Findings, name: &str, live: &DynamicObject, own: &BTreeSet<String>) {
    let live = fields(&live.data);
    let lacking: Vec<_> = own.difference(&live).collect();
    let newer: Vec<_> = live.difference(own).collect();
    if !lacking.is_empty() {
        findings.error(format!(
            "{name} is older: it lacks {}: {APPLY}",
            few(lacking)
        ));
    } else if !newer.is_empty() {
        findings.warning(format!(
            "{name} is newer than sluice {}: it has {} as well; update sluice",
            env!("CARGO_PKG_VERSION"),
            few(newer)
        ));
    }
}

/// The fields of the version that we know, as `spec.steps.weight`; empty where it is not served.
fn fields(definition: &Value) -> BTreeSet<String> {
    let version = list_of(definition, "/spec/versions")
        .iter()
        .find(|version| text(version, "/name") == Some(VERSION));
    let mut fields = BTreeSet::new();
    if let Some(schema) = version.and_then(|version| version.pointer("/schema/openAPIV3Schema")) {
        add(schema, "", &mut fields);
    }
    // The API server adds those of every object.
    fields.retain(|field| field.starts_with("spec") || field.starts_with("status"));
    fields
}

fn add(schema: &Value, path: &str, fields: &mut BTreeSet<String>) {
    for (name, property) in schema
        .get("properties")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        let dot = if path.is_empty() { "" } else { "." };
        let path = format!("{path}{dot}{name}");
        add(property, &path, fields);
        fields.insert(path);
    }
    for inner in ["items", "additionalProperties"] {
        if let Some(inner) = schema.get(inner) {
            add(inner, path, fields);
        }
    }
}

/// Whether the controller may do all that it must.
pub(super) fn rights(found: &Found) -> Vec<Item> {
    let mut findings = Findings::new("rights");
    let rights = match &found.rights {
        None => {
            findings.unknown(["nobody asked"]);
            return findings.or_ok(String::new);
        }
        Some(Err(why)) => {
            findings.unknown([why.as_str()]);
            return findings.or_ok(String::new);
        }
        Some(Ok(rights)) => rights,
    };
    let account = &rights.account;
    let denied = rights.each.iter().filter(|(_, allowed)| !allowed);
    let denied: Vec<_> = denied.map(|(right, _)| right).collect();
    if !denied.is_empty() {
        findings.error(format!(
            "ServiceAccount {account} may not {}: kubectl apply -f deploy/sluice.yaml",
            few(denied)
        ));
    }
    findings.or_ok(|| {
        format!(
            "ServiceAccount {account} has all {} that it needs",
            rights.each.len()
        )
    })
}
