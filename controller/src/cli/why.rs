//! `sluice why`: what was decided of a Canary, and by which evidence.
//!
//! All of it is in objects already: progress in the Canary's status, verdicts on the snapshots of its revisions.
//! Nothing is judged here.

mod account;
mod text;

use std::collections::BTreeMap;

use anyhow::Context as _;
use chrono::Utc;
use kube::ResourceExt as _;
use kube::api::{Api, ListParams};
use sluice_crds::{Canary, MetricTemplate, MetricTemplateSpec};

use super::Output;
use super::place::Place;
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
    let place = Place::named(&args.canary).await?;
    let canary = place.canary().await?;
    let snapshots = place.snapshots().await?;
    let stored = Stored {
        templates: templates(&place, &canary, &args.home).await?,
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

/// The templates that a Canary's SLOs may name: of two with one name that of its own namespace.
async fn templates(
    place: &Place,
    canary: &Canary,
    home: &str,
) -> anyhow::Result<BTreeMap<String, MetricTemplateSpec>> {
    let mut found = BTreeMap::new();
    if !account::has_own_queries(canary) {
        return Ok(found);
    }
    for namespace in [home, &place.namespace] {
        let api: Api<MetricTemplate> = Api::namespaced(place.client.clone(), namespace);
        let list = api.list(&ListParams::default()).await;
        let list = list.with_context(|| format!("the MetricTemplates in {namespace}"))?;
        let named = list.into_iter().map(|one| (one.name_any(), one.spec));
        found.extend(named);
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
