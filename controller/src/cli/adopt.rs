//! `sluice adopt --plan`: what changes around a Deployment when Sluice takes it over, told before anything is written.
//!
//! The edge reads once, with whatever rights it has; the account is a function of objects. What names the Deployment,
//! its Service or its pods and would stop matching, or mean something else, is told with what to write instead.

mod around;
mod gather;
mod item;
mod kinds;
mod names;
mod plan;
mod promql;
mod queries;
mod scaling;
mod steps;
mod subject;
mod text;

use anyhow::{Context as _, ensure};
use kube::Client;

use super::Output;
use plan::Plan;

/// What to take over.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The Deployment, or a Canary of it, as NAMESPACE/NAME.
    subject: String,

    /// Print what would change, and write nothing. There is no other way: a Canary is written to Git, by you.
    #[arg(long, required = true)]
    plan: bool,

    /// The Service that clients call, if no Canary says it and it is not called like the Deployment.
    #[arg(long)]
    service: Option<String>,

    /// How to print it.
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

/// What a person asks about.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
struct Asked {
    namespace: String,
    name: String,
    /// The Service, if they say it.
    service: Option<String>,
}

/// Prints the plan.
pub(super) async fn run(args: &Args) -> anyhow::Result<()> {
    let asked = asked(args)?;
    let client = Client::try_default()
        .await
        .context("no kubeconfig that can be used; KUBECONFIG names one")?;
    let found = gather::found(&client, &asked.namespace).await;
    let plan = Plan::of(&found, &asked)?;
    let answer = match args.output {
        Output::Text => text::of(&plan),
        Output::Json => serde_json::to_string_pretty(&plan)? + "\n",
    };
    super::print(&answer)
}

fn asked(args: &Args) -> anyhow::Result<Asked> {
    let parts = args.subject.split_once('/');
    let (namespace, name) = parts.unwrap_or_default();
    ensure!(
        !namespace.is_empty() && !name.is_empty() && !name.contains('/'),
        "{:?}: give NAMESPACE/NAME of a Deployment",
        args.subject
    );
    Ok(Asked {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        service: args.service.clone(),
    })
}

#[cfg(test)]
mod tests;
