//! A Canary, its policy and its templates, out of YAML files.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use chrono::TimeDelta;
use kube::ResourceExt as _;
use serde::de::DeserializeOwned;
use serde::{Deserialize as _, Serialize};
use serde_json::Value;
use sluice_core::{Plan, RevisionName};
use sluice_crds::{
    Canary, CanaryPolicy, ClusterCanaryPolicy, GROUP, MetricTemplate, MetricTemplateSpec,
    PolicySpec, VERSION,
};

use crate::observe::Observed;
use crate::observe::observed::Policy;
use crate::parse;

/// Where Sluice itself is usually: there are the templates of a `ClusterCanaryPolicy`.
const HOME: &str = "sluice-system";

/// What is rehearsed.
pub(super) struct Specs {
    pub(super) canary: Canary,
    policy: Policy,
    templates: BTreeMap<String, MetricTemplateSpec>,
    /// `spec.replicas` of the Deployments, by name.
    sizes: BTreeMap<String, u32>,
}

/// Everything in the files.
#[derive(Default)]
struct Objects {
    canaries: Vec<Canary>,
    policies: Vec<CanaryPolicy>,
    cluster_policies: Vec<ClusterCanaryPolicy>,
    templates: Vec<MetricTemplate>,
    sizes: BTreeMap<String, u32>,
}

/// Reads the files; `wanted` is the Canary's name, if it is said.
pub(super) fn read(files: &[PathBuf], wanted: Option<&str>) -> anyhow::Result<Specs> {
    let mut objects = Objects::default();
    for path in files {
        let text = fs::read_to_string(path)
            .with_context(|| format!("{} cannot be read", path.display()))?;
        for (index, document) in serde_yaml_ng::Deserializer::from_str(&text).enumerate() {
            let place = || format!("{}, document {}", path.display(), index + 1);
            let value = Value::deserialize(document).with_context(place)?;
            objects.add(&value).with_context(place)?;
        }
    }
    objects.specs(wanted)
}

impl Objects {
    fn add(&mut self, object: &Value) -> anyhow::Result<()> {
        if object.is_null() {
            return Ok(());
        }
        let text = |name: &str| object.get(name).and_then(Value::as_str);
        let Some(kind) = text("kind") else {
            bail!("it has no kind: it is no Kubernetes object");
        };
        if kind == "List" {
            let items = object.get("items").and_then(Value::as_array);
            return items
                .into_iter()
                .flatten()
                .try_for_each(|item| self.add(item));
        }
        let name = object.pointer("/metadata/name").and_then(Value::as_str);
        let name = name.unwrap_or_default().to_owned();
        if kind == "Deployment" {
            let replicas = object.pointer("/spec/replicas").and_then(Value::as_u64);
            let replicas = replicas.and_then(|replicas| u32::try_from(replicas).ok());
            self.sizes.insert(name, replicas.unwrap_or(1));
            return Ok(());
        }
        let Some((group, version)) = text("apiVersion").and_then(|text| text.split_once('/'))
        else {
            return Ok(());
        };
        if group != GROUP {
            return Ok(());
        }
        if version != VERSION {
            bail!("{kind} {name}: apiVersion must be {GROUP}/{VERSION}");
        }
        let title = format!("{kind} {name}");
        match kind {
            "Canary" => self.canaries.push(typed(&title, object)?),
            "CanaryPolicy" => self.policies.push(typed(&title, object)?),
            "ClusterCanaryPolicy" => self.cluster_policies.push(typed(&title, object)?),
            "MetricTemplate" => self.templates.push(typed(&title, object)?),
            _ => bail!("{title}: {GROUP} has no such kind"),
        }
        Ok(())
    }

    fn specs(self, wanted: Option<&str>) -> anyhow::Result<Specs> {
        let names = self.canaries.iter().map(kube::ResourceExt::name_any);
        let names = names.collect::<Vec<_>>().join(", ");
        let canaries = self.canaries.into_iter();
        let mut found =
            canaries.filter(|canary| wanted.is_none_or(|wanted| canary.name_any() == wanted));
        let canary = match (found.next(), found.next(), wanted) {
            (Some(canary), None, _) => canary,
            (Some(_), Some(_), _) => {
                bail!("there are several Canaries: name one of {names} by --canary")
            }
            (None, _, Some(wanted)) => {
                bail!("there is no Canary {wanted} in the files, but: {names}")
            }
            (None, _, None) => bail!("there is no Canary in the files"),
        };
        let namespace = canary.namespace();
        let here = |other: Option<String>| other.is_none() || other == namespace;
        let namespaced = |name: &str| {
            let mut policies = self.policies.iter();
            let found = policies.find(|one| one.name_any() == name && here(one.namespace()))?;
            Some(found.spec.clone())
        };
        let cluster = |name: &str| {
            let mut policies = self.cluster_policies.iter();
            Some(policies.find(|one| one.name_any() == name)?.spec.clone())
        };
        let of = |wanted: &dyn Fn(Option<String>) -> bool| {
            let found = self.templates.iter().filter(|one| wanted(one.namespace()));
            let found = found.map(|one| (one.name_any(), one.spec.clone()));
            found.collect::<Vec<_>>()
        };
        let home = of(&|namespace| namespace.as_deref() == Some(HOME));
        Ok(Specs {
            policy: Policy::choose(&canary, namespaced, cluster),
            templates: home.into_iter().chain(of(&here)).collect(),
            sizes: self.sizes,
            canary,
        })
    }
}

/// Reads an object by its type, all of it.
fn typed<K: DeserializeOwned + Serialize>(title: &str, object: &Value) -> anyhow::Result<K> {
    let typed: K = serde_json::from_value(object.clone()).with_context(|| title.to_owned())?;
    let again = serde_json::to_value(&typed)?;
    match unknown(object.get("spec"), again.get("spec"), "spec".to_owned()) {
        Some(field) => bail!("{title}: unknown field {field}"),
        None => Ok(typed),
    }
}

/// The path of the first field that a type does not have.
fn unknown(written: Option<&Value>, read: Option<&Value>, path: String) -> Option<String> {
    match (written?, read) {
        (Value::Null, _) => None,
        (_, None) => Some(path),
        (Value::Object(written), Some(read)) => written.iter().find_map(|(name, value)| {
            unknown(Some(value), read.get(name), format!("{path}.{name}"))
        }),
        (Value::Array(written), Some(read)) => {
            written.iter().enumerate().find_map(|(index, value)| {
                unknown(Some(value), read.get(index), format!("{path}[{index}]"))
            })
        }
        _ => None,
    }
}

impl Specs {
    /// The plan, and the sections that it was made of.
    pub(super) fn plan(&self) -> anyhow::Result<(Plan, PolicySpec)> {
        let observed = Observed::alone(
            self.canary.clone(),
            self.policy.clone(),
            self.templates.clone(),
        );
        let sections = parse::plan::in_force(&observed);
        let plan = parse::plan::parse(&sections);
        let checked = plan.as_ref().map(|_| ());
        if let Some(blocked) = parse::blockers::in_spec(&observed, &sections, checked) {
            bail!("{}: {}", blocked.reason, blocked.message);
        }
        Ok((plan?, sections))
    }

    /// What the stable revision and the candidate are called.
    pub(super) fn names(&self) -> (RevisionName, RevisionName) {
        let target = &self.canary.spec.target_ref.name;
        let name = |part: &str| RevisionName::from(format!("{target}-{part}"));
        (name("stable"), name("candidate"))
    }

    /// The pods that serve all traffic: as the Canary says, else as many as its Deployment has.
    pub(super) fn size(&self) -> u32 {
        let own = self.canary.spec.replicas;
        let own = own.and_then(|replicas| u32::try_from(replicas).ok());
        let target = self.sizes.get(&self.canary.spec.target_ref.name);
        own.or(target.copied()).unwrap_or(1)
    }

    /// Which Canary.
    pub(super) fn title(&self) -> String {
        let namespace = self.canary.namespace();
        let namespace = namespace.map(|namespace| namespace + "/");
        let name = self.canary.name_any();
        format!("Canary {}{name}", namespace.unwrap_or_default())
    }

    /// By which policy.
    pub(super) fn policy_title(&self) -> String {
        match &self.policy {
            Policy::Found { reference, .. } => format!("{:?} {}", reference.kind, reference.name),
            Policy::BuiltIn | Policy::Missing(_) => "the built-in values".to_owned(),
        }
    }
}

/// How often the SLOs have an event, where it is not at each request.
pub(super) fn windows(sections: &PolicySpec) -> Vec<Option<TimeDelta>> {
    let slos = sections.slos.iter().flatten();
    slos.map(|slo| slo.value.as_ref()?.window.delta().ok())
        .collect()
}
