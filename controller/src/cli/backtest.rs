//! `sluice backtest`: what the gates would have done, had rollouts started in the past.
//!
//! The requests of the revision that served are read from Prometheus' history and split at random, as the route
//! would have done, into those of a pretended candidate and of the stable revision; the controller's own decision
//! judges them. Nothing is written anywhere.

mod files;
mod replay;
mod report;
mod text;
mod when;

use std::path::PathBuf;

use anyhow::{Context as _, bail, ensure};
use chrono::{TimeDelta, Utc};
use kube::Client;
use sluice_core::simulate::figures;
use sluice_core::{Indicator, Plan, Slo};
use sluice_crds::{Duration, Percent, Source};

use crate::evidence::{History, Server, Wanted};
use crate::parse::plan;
use files::Chosen;
use replay::{Replay, Worse};
use report::Report;

/// The most rollouts of a row.
const MOST_STARTS: usize = 10_000;
/// No regression is tried in more sizes.
const MOST_SIZES: usize = 20;

/// What to pretend.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Files with the Canary, and its policy if it has one.
    #[arg(short, long = "file", required = true, num_args = 1..)]
    files: Vec<PathBuf>,

    /// More files with policies.
    #[arg(long = "policy", num_args = 1..)]
    policies: Vec<PathBuf>,

    /// The namespace of the Service, unless the Canary says it.
    #[arg(short, long)]
    namespace: Option<String>,

    /// The Service that clients call, unless the Canary says it.
    #[arg(long)]
    service: Option<String>,

    /// When the history begins: so long ago, as in 7d or 36h, or a time such as 2026-01-31T12:00:00Z.
    #[arg(long, default_value = "7d")]
    from: String,

    /// When it ends.
    #[arg(long, default_value = "now")]
    to: String,

    /// How far two readings are apart; as the policy's metrics.interval unless given.
    #[arg(long, alias = "step")]
    interval: Option<String>,

    /// How many rollouts to pretend.
    #[arg(long, default_value_t = 200)]
    starts: usize,

    /// A rollout that has not ended by then counts as held.
    #[arg(long, default_value = "2h")]
    longest: String,

    /// Regressions to pretend: so many of the candidate's good requests are bad.
    #[arg(long, value_delimiter = ',', default_value = "0.1%,0.3%,1%,3%,10%,50%")]
    extra: Vec<String>,

    /// Within which times a regression should be found.
    #[arg(long, value_delimiter = ',', default_value = "5m,15m,60m")]
    within: Vec<String>,

    /// Another server than metrics.address, such as a forwarded port.
    #[arg(long)]
    prometheus: Option<String>,

    /// Which random numbers.
    #[arg(long, default_value_t = 1)]
    seed: u64,

    /// The namespace that Sluice runs in, where the Secrets of a `ClusterCanaryPolicy` are.
    #[arg(long, default_value = "sluice-system")]
    home: String,

    /// How to print it.
    #[arg(short, long, value_enum, default_value_t = super::Output::Text)]
    output: super::Output,
}

/// Reads the history, pretends the rollouts, and prints what came of them.
pub(super) async fn run(args: &Args) -> anyhow::Result<()> {
    ensure!(
        (1..=MOST_STARTS).contains(&args.starts),
        "--starts must be 1 to {MOST_STARTS}"
    );
    ensure!(
        args.extra.len() <= MOST_SIZES && args.within.len() <= MOST_SIZES,
        "--extra and --within take {MOST_SIZES} values at most"
    );
    let chosen = files::choose(args)?;
    let (plan, own) = judged(&chosen)?;
    let wanted = wanted(args, &chosen, &plan)?;
    let client =
        match &wanted.server.credentials {
            Some(_) => Some(Client::try_default().await.context(
                "metrics.credentials name a Secret, and there is no kubeconfig to read it",
            )?),
            None => None,
        };
    let history = wanted.read(client, told("readings")).await?;
    eprintln!();
    let report = replayed(args, &chosen, &plan, &wanted, &history, own)?;
    let answer = match args.output {
        super::Output::Text => text::of(&report),
        super::Output::Json => serde_json::to_string_pretty(&report)? + "\n",
    };
    super::print(&answer)
}

/// The plan, less the SLOs whose events are no requests of the source, and their names.
fn judged(chosen: &Chosen) -> anyhow::Result<(Plan, Vec<String>)> {
    let mut plan = plan::parse(&chosen.sections)?;
    let other = |slo: &Slo| match slo.indicator {
        Indicator::Availability | Indicator::Latency { .. } => false,
        Indicator::Events | Indicator::Value | Indicator::Connections | Indicator::Flows => true,
    };
    let left_out = plan.slos.iter().filter(|slo| other(slo));
    let left_out: Vec<_> = left_out.map(|slo| slo.name.clone()).collect();
    plan.slos.retain(|slo| !other(slo));
    ensure!(
        !plan.slos.is_empty(),
        "no SLO is of availability or latency: other events than requests cannot be split between two revisions"
    );
    Ok((plan, left_out))
}

fn wanted(args: &Args, chosen: &Chosen, plan: &Plan) -> anyhow::Result<Wanted> {
    let now = Utc::now();
    let (from, to) = (
        when::time(&args.from, now).context("--from")?,
        when::time(&args.to, now).context("--to")?,
    );
    ensure!(from < to, "--from must be before --to");
    let interval = match &args.interval {
        Some(interval) => when::length(interval).context("--interval")?,
        None => plan::interval(&chosen.sections),
    };
    ensure!(
        interval >= TimeDelta::seconds(1) && interval.subsec_nanos() == 0,
        "--interval must be whole seconds"
    );
    Ok(Wanted {
        server: Server::new(&chosen.metrics, &chosen.secrets),
        source: chosen.sections.source.unwrap_or(Source::IstioWaypoint),
        names: chosen.metrics.otlp_names.unwrap_or_default(),
        namespace: chosen.namespace.clone(),
        bases: chosen.bases.clone(),
        slos: plan.slos.clone(),
        from,
        to,
        interval,
    })
}

fn replayed(
    args: &Args,
    chosen: &Chosen,
    plan: &Plan,
    wanted: &Wanted,
    history: &History,
    own: Vec<String>,
) -> anyhow::Result<Report> {
    let longest = when::length(&args.longest).context("--longest")?;
    let replay = Replay::new(plan, &history.readings, wanted.interval, longest, args.seed);
    let (starts, left_out) = replay.starts(args.starts);
    if starts.is_empty() {
        let names = chosen
            .bases
            .iter()
            .cloned()
            .collect::<Vec<_>>()
            .join(" or ");
        bail!(
            "there is no data of {names} in namespace {}, by {}: is it the right source, namespace and time?",
            chosen.namespace,
            crate::evidence::name(wanted.source),
        );
    }
    let sizes = sizes(&args.extra)?;
    let kinds = [Worse::Errors(0.0), Worse::Slow(0.0)];
    let kinds = kinds.into_iter().filter(|kind| kind.concerns(plan));
    let rows: Vec<Worse> = kinds
        .flat_map(|kind| sizes.iter().map(move |size| kind.of(*size)))
        .collect();
    let mut progress = told("rows of rollouts");
    let all = rows.len() + 1;
    let mut row = |number: usize, worse: Worse| {
        let runs = figures::parallel(starts.len(), |index| {
            replay.run(starts.get(index).copied().unwrap_or_default(), index, worse)
        });
        progress(number, all);
        runs
    };
    let innocent = row(1, Worse::Not);
    let worse = rows.into_iter().enumerate();
    let worse: Vec<_> = worse
        .map(|(index, worse)| (worse, row(index + 2, worse)))
        .collect();
    eprintln!();
    let within = args.within.iter().map(|within| when::length(within));
    let within = within
        .collect::<anyhow::Result<Vec<_>>>()
        .context("--within")?;
    let mut report = Report::of(plan, wanted, history, &innocent);
    report.find(&worse, &within, replay.longest());
    report.starts.asked = args.starts;
    report.starts.left_out = left_out;
    report.slos_left_out = own;
    report.service = format!("{}/{}", chosen.namespace, chosen.service);
    Ok(report)
}

fn sizes(texts: &[String]) -> anyhow::Result<Vec<f64>> {
    let parsed = texts.iter().map(|text| {
        let ppm = Percent::new(text).ppm().context("--extra")?;
        ensure!(ppm > 0, "--extra must be above 0%");
        Ok(f64::from(ppm) / 1e6)
    });
    let mut sizes = parsed.collect::<anyhow::Result<Vec<_>>>()?;
    sizes.sort_by(f64::total_cmp);
    Ok(sizes)
}

/// A line on stderr that says how far it is.
fn told(what: &'static str) -> impl FnMut(usize, usize) {
    move |done, all| {
        eprint!("\r{done} of {all} {what}");
    }
}

#[cfg(test)]
mod tests;
