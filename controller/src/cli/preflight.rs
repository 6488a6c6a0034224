//! `sluice preflight`: what of a cluster, a namespace or a service is missing or in conflict, before anything is adopted.
//!
//! The edge reads, once, with whatever rights it has; [`checks`] tells from that alone. What a condition of a Canary
//! would say is found by the same rules.

mod checks;
mod found;
mod gather;
mod item;
mod meshes;
mod rights;
mod subject;
mod text;

use anyhow::{Context as _, bail};
use kube::Client;

use super::Output;
use gather::Gatherer;
use item::{Level, Report};

/// What to look at.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// What will be adopted: NAMESPACE/NAME of a Canary, or of a Deployment that has none yet; NAMESPACE for all
    /// of one. Without it the cluster alone.
    subject: Option<String>,

    /// How to print it.
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    output: Output,

    /// Another server than metrics.address, such as a forwarded port.
    #[arg(long)]
    prometheus: Option<String>,

    /// Exit with 0 whatever is found: before a program that is to start all the same.
    #[arg(long)]
    tell_only: bool,

    /// The namespace that Sluice runs in, or will.
    #[arg(long, env = "POD_NAMESPACE", default_value = "sluice-system")]
    home: String,

    /// The `ServiceAccount` that it runs as, or will.
    #[arg(long, default_value = "sluice")]
    service_account: String,
}

/// What a person asks about.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
struct Asked {
    namespace: Option<String>,
    name: Option<String>,
    /// The namespace that Sluice runs in.
    home: String,
    /// Another server than `metrics.address`.
    prometheus: Option<String>,
}

/// Prints what is to be mended.
pub(super) async fn run(args: &Args) -> anyhow::Result<()> {
    let asked = asked(args)?;
    let client = Client::try_default()
        .await
        .context("no kubeconfig that can be used; KUBECONFIG names one")?;
    let gatherer = Gatherer::new(client, &args.service_account);
    let mut found = gatherer.found(&asked).await;
    let subjects = subject::all(&found, &asked);
    gatherer.probe(&mut found, &subjects).await;
    let report = Report::of(&found, &subjects, &asked);
    let answer = match args.output {
        Output::Text => text::of(&report),
        Output::Json => serde_json::to_string_pretty(&report)? + "\n",
    };
    super::print(&answer)?;
    match report.count(Level::Error) {
        0 => Ok(()),
        _ if args.tell_only => Ok(()),
        1 => bail!("one thing must be mended"),
        errors => bail!("{errors} things must be mended"),
    }
}

fn asked(args: &Args) -> anyhow::Result<Asked> {
    let mut parts = args.subject.as_deref().unwrap_or_default().splitn(2, '/');
    let mut part = || parts.next().map(str::to_owned);
    let (namespace, name) = (part().filter(|_| args.subject.is_some()), part());
    let wrong = |part: &Option<String>| {
        let part = part.as_deref();
        part.is_some_and(|part| part.is_empty() || part.contains('/'))
    };
    if wrong(&namespace) || wrong(&name) {
        let subject = args.subject.as_deref().unwrap_or_default();
        bail!("{subject:?}: give NAMESPACE/NAME, or NAMESPACE");
    }
    Ok(Asked {
        namespace,
        name,
        home: args.home.clone(),
        prometheus: args.prometheus.clone(),
    })
}

#[cfg(test)]
mod tests;
