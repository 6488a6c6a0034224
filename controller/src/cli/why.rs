//! `sluice why`: what was decided of a Canary, and by which evidence.
//!
//! All of it is in objects already: progress in the Canary's status, verdicts on the snapshots of its revisions.
//! Nothing is judged here.

mod account;
mod text;

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};
use chrono::Utc;
use kube::api::{Api, ApiResource, DynamicObject, ListParams};
use kube::{Client, ResourceExt as _};
use sluice_crds::{Canary, MetricTemplate, MetricTemplateSpec, labels};

use super::Output;
use crate::observe::kinds;
use account::{Account, Stored};

/// What to explain.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The Canary, as NAMESPACE/NAME; without a namespace in that of the kubeconfig's context.
    canary: String,

    /// How to print it.
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    output: Output,

    /// The namespace that Sluice runs in, where a `MetricTemplate` may be.
    #[arg(long, default_value = "sluice-system")]
    home: String,
}

/// Prints what is known of a Canary.
pub(super) async fn run(args: &Args) -> anyhow::Result<()> {
    let client = Client::try_default()
        .await
        .context("no kubeconfig that can be used; KUBECONFIG names one")?;
    let (namespace, name) = match args.canary.split_once('/') {
        Some((namespace, name)) => (namespace.to_owned(), name),
        None => (client.default_namespace().to_owned(), args.canary.as_str()),
    };
    if name.is_empty() || name.contains('/') || namespace.is_empty() {
        bail!("{}: a Canary is NAMESPACE/NAME", args.canary);
    }
    let canaries: Api<Canary> = Api::namespaced(client.clone(), &namespace);
    let canary = canaries
        .get(name)
        .await
        .with_context(|| format!("Canary {namespace}/{name}"))?;
    let snapshots = listed(&client, &namespace, &kinds::pod_template(), name)
        .await
        .context("the snapshots of its revisions, which are PodTemplates")?;
    let stored = Stored {
        templates: templates(&client, &canary, &namespace, &args.home).await?,
        snapshots,
        canary,
    };
    let account = Account::of(&stored, Utc::now());
    let mut answer = match args.output {
        Output::Text => text::of(&account),
        Output::Json => serde_json::to_string_pretty(&account)?,
    };
    if !answer.ends_with('\n') {
        answer.push('\n');
    }
    super::print(&answer)
}

async fn listed(
    client: &Client,
    namespace: &str,
    kind: &ApiResource,
    canary: &str,
) -> kube::Result<Vec<DynamicObject>> {
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, kind);
    let of_it = ListParams::default().labels(&format!("{}={canary}", labels::CANARY));
    Ok(api.list(&of_it).await?.items)
}

/// The templates that a Canary's SLOs may name: of two with one name that of its own namespace.
async fn templates(
    client: &Client,
    canary: &Canary,
    namespace: &str,
    home: &str,
) -> anyhow::Result<BTreeMap<String, MetricTemplateSpec>> {
    let mut found = BTreeMap::new();
    if !account::has_own_queries(canary) {
        return Ok(found);
    }
    for namespace in [home, namespace] {
        let api: Api<MetricTemplate> = Api::namespaced(client.clone(), namespace);
        let list = api.list(&ListParams::default()).await;
        let list = list.with_context(|| format!("the MetricTemplates in {namespace}"))?;
        let named = list.into_iter().map(|one| (one.name_any(), one.spec));
        found.extend(named);
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
