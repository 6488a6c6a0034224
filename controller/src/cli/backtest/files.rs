//! What the files say: which Service, which policy, which server.

use std::collections::BTreeSet;

use anyhow::{Context as _, bail};
use kube::ResourceExt as _;
use serde::Deserialize as _;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sluice_crds::{
    Canary, CanaryPolicy, ClusterCanaryPolicy, Metrics, PolicyKind, PolicyRef, PolicySpec,
};

use super::Args;
use crate::observe::observed::parent_name;
use crate::parse::plan;
use crate::render::name::base;

/// The name of the policy that is followed where a Canary names none.
const DEFAULT: &str = "default";

/// What is pretended, and where it is read.
#[derive(Debug)]
pub(super) struct Chosen {
    pub(super) namespace: String,
    /// The Service that clients call.
    pub(super) service: String,
    /// What its requests may be counted under.
    pub(super) bases: BTreeSet<String>,
    pub(super) sections: PolicySpec,
    pub(super) metrics: Metrics,
    /// The namespace of the Secrets that credentials name.
    pub(super) secrets: String,
}

/// What is in the files.
#[derive(Debug, Default)]
pub(super) struct Found {
    canary: Option<Canary>,
    policies: Vec<Policy>,
}

#[derive(Debug)]
struct Policy {
    kind: PolicyKind,
    namespace: Option<String>,
    name: String,
    spec: PolicySpec,
}

/// Reads the files.
pub(super) fn choose(args: &Args) -> anyhow::Result<Chosen> {
    let mut found = Found::default();
    for path in args.files.iter().chain(&args.policies) {
        let text = std::fs::read_to_string(path);
        let text = text.with_context(|| format!("reading {}", path.display()))?;
        let taken = found.take(&text);
        taken.with_context(|| path.display().to_string())?;
    }
    found.chosen(args)
}

impl Found {
    /// Takes what is ours of a file.
    pub(super) fn take(&mut self, text: &str) -> anyhow::Result<()> {
        for document in serde_yaml_ng::Deserializer::from_str(text) {
            let object = Value::deserialize(document)?;
            let field = |name: &str| object.get(name).and_then(Value::as_str).unwrap_or_default();
            if !field("apiVersion").starts_with("sluice.dev/") {
                continue;
            }
            match field("kind") {
                "Canary" => {
                    let canary: Canary = parsed(object)?;
                    if let Some(other) = &self.canary {
                        let (one, other) = (canary.name_any(), other.name_any());
                        bail!("there are two Canaries, {other} and {one}: give the files of one");
                    }
                    self.canary = Some(canary);
                }
                "CanaryPolicy" => {
                    let policy: CanaryPolicy = parsed(object)?;
                    self.policies.push(Policy {
                        kind: PolicyKind::CanaryPolicy,
                        namespace: policy.namespace(),
                        name: policy.name_any(),
                        spec: policy.spec.policy,
                    });
                }
                "ClusterCanaryPolicy" => {
                    let policy: ClusterCanaryPolicy = parsed(object)?;
                    self.policies.push(Policy {
                        kind: PolicyKind::ClusterCanaryPolicy,
                        namespace: None,
                        name: policy.name_any(),
                        spec: policy.spec.policy,
                    });
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Puts it together, as the controller does.
    pub(super) fn chosen(&self, args: &Args) -> anyhow::Result<Chosen> {
        let canary = self.canary.as_ref();
        let namespace = args.namespace.clone().or_else(|| canary?.namespace());
        let namespace =
            namespace.context("no namespace: write it in the Canary, or give --namespace")?;
        let service = args
            .service
            .as_deref()
            .or_else(|| Some(parent_name(canary?)));
        let service = service.context("no Canary in the files: give one, or --service")?;
        let target = canary.map(|canary| canary.spec.target_ref.name.as_str());
        let policy = self.policy(&namespace)?;
        let own = canary.map(|canary| canary.spec.policy.clone());
        let own = own.unwrap_or_default();
        let of_cluster = own.metrics.is_none()
            && policy.is_some_and(|policy| policy.kind == PolicyKind::ClusterCanaryPolicy);
        let mut sections = plan::resolve(&own, policy.map(|policy| &policy.spec));
        if let Some(address) = &args.prometheus {
            let elsewhere = serde_json::json!({"address": address});
            let metrics = sections.metrics.take();
            let metrics = metrics.map_or_else(|| serde_json::from_value(elsewhere), Ok)?;
            sections.metrics = Some(Metrics {
                address: address.clone(),
                ..metrics
            });
        }
        let metrics = sections.metrics.clone();
        let metrics = metrics.context("no server: write metrics.address, or give --prometheus")?;
        let names = [Some(service), target].into_iter().flatten();
        Ok(Chosen {
            bases: names
                .flat_map(|name| [name.to_owned(), base(name)])
                .collect(),
            service: service.to_owned(),
            secrets: if of_cluster {
                args.home.clone()
            } else {
                namespace.clone()
            },
            namespace,
            sections,
            metrics,
        })
    }

    /// The policy that the Canary follows.
    fn policy(&self, namespace: &str) -> anyhow::Result<Option<&Policy>> {
        let find = |kind: PolicyKind, name: &str| {
            let here = |policy: &&Policy| match &policy.namespace {
                Some(own) => own == namespace,
                None => true,
            };
            let mut policies = self.policies.iter().filter(here);
            policies.find(|policy| policy.kind == kind && policy.name == name)
        };
        let Some(canary) = &self.canary else {
            return match self.policies.as_slice() {
                [] => Ok(None),
                [policy] => Ok(Some(policy)),
                _ => bail!("there are several policies and no Canary to say which it follows"),
            };
        };
        if let Some(PolicyRef { kind, name }) = &canary.spec.policy_ref {
            let found = find(*kind, name);
            return found
                .with_context(|| format!("the Canary follows {kind:?} {name}: give its file, too"))
                .map(Some);
        }
        let found = find(PolicyKind::CanaryPolicy, DEFAULT)
            .or_else(|| find(PolicyKind::ClusterCanaryPolicy, DEFAULT));
        if found.is_none() && !self.policies.is_empty() {
            bail!("the Canary names no policy, and none of those given is called default");
        }
        Ok(found)
    }
}

fn parsed<T: DeserializeOwned>(object: Value) -> anyhow::Result<T> {
    let kind = object
        .get("kind")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let kind = kind.to_owned();
    serde_json::from_value(object).with_context(|| format!("the {kind} cannot be read"))
}
