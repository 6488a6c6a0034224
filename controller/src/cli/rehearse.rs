//! `sluice rehearse`: a rollout in virtual time, by the same decision, without a cluster.

mod cluster;
mod files;
mod play;
mod scenario;
mod traffic;

use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::ValueEnum as _;
use sluice_core::Requirement;
use sluice_crds::{Duration, Percent};

use super::plot;
use super::timeline::{Timeline, length};
use files::Specs;
use play::Setting;
pub(crate) use scenario::Scenario;
use scenario::Troubles;

/// What is rehearsed, and how.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// YAML files with a Canary and, if it needs them, its policy and `MetricTemplate`s. Other kinds are passed
    /// over; of a Deployment the size is read.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,

    /// Which Canary, if the files have several.
    #[arg(long, value_name = "NAME")]
    canary: Option<String>,

    /// What the candidate meets: healthy, errors, slow, no-traffic, outage, or all of these in turn.
    #[arg(long, default_value = "healthy", value_parser = scenarios)]
    scenario: Scenarios,

    /// Requests a second, of both revisions.
    #[arg(long, default_value_t = 100.0, value_name = "N", value_parser = rate)]
    requests_per_second: f64,

    /// In `errors`: the share of its requests that the candidate fails, beside what a healthy one does.
    #[arg(long, default_value = "1%", value_name = "SHARE", value_parser = share)]
    errors: u32,

    /// In `slow`: the share of its requests that take longer than any threshold.
    #[arg(long, default_value = "5%", value_name = "SHARE", value_parser = share)]
    slow: u32,

    /// In `outage`: how long Prometheus is away, from the middle step on.
    #[arg(long, default_value = "10m", value_name = "TIME", value_parser = time)]
    outage: chrono::TimeDelta,

    /// How long pods take to be ready.
    #[arg(long, default_value = "20s", value_name = "TIME", value_parser = time)]
    ready_after: chrono::TimeDelta,

    /// How long a person takes to approve where the steps ask for it.
    #[arg(long, default_value = "5m", value_name = "TIME", value_parser = time)]
    approve_after: chrono::TimeDelta,

    /// When the rehearsal of a rollout that does not end is over.
    #[arg(long, default_value = "4h", value_name = "TIME", value_parser = time)]
    limit: chrono::TimeDelta,

    /// What the requests are drawn from: the same seed prints the same.
    #[arg(long, default_value_t = 1, value_name = "NUMBER")]
    seed: u64,

    /// Draw the plot into an SVG file as well; with several scenarios, one for each.
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
}

/// The scenarios to play.
#[derive(Clone, Debug)]
struct Scenarios(Vec<Scenario>);

impl Args {
    /// Plays and prints.
    ///
    /// # Errors
    /// When a file cannot be read or a spec is wrong: the field and the fix.
    pub fn run(&self) -> anyhow::Result<()> {
        super::print(&self.play()?)
    }

    fn play(&self) -> anyhow::Result<String> {
        let specs = files::read(&self.files, self.canary.as_deref())?;
        let setting = self.setting(&specs)?;
        let mut text = setting.describe(&specs);
        let mut outcomes = Vec::new();
        for scenario in &self.scenario.0 {
            let mut timeline = Timeline::default();
            play::play(&setting, *scenario, |look| {
                timeline.push(look.now, &look.decision);
            });
            let outcome = timeline.outcome();
            let plan = &setting.plan;
            _ = write!(text, "\n== {}\n\n", scenario.describe(&setting.troubles));
            text += &timeline.text();
            text.push('\n');
            text += &plot::text(&timeline);
            _ = write!(text, "\n{outcome}\n");
            if !scenario.is_seen(plan) {
                text += "No SLO of the plan looks at what is wrong in this scenario.\n";
            }
            if let Some(path) = &self.plot {
                let path = if let [_] = self.scenario.0.as_slice() {
                    path.clone()
                } else {
                    path.with_extension(format!("{}.svg", scenario.name()))
                };
                plot::svg(&timeline, &path)
                    .with_context(|| format!("{} cannot be written", path.display()))?;
            }
            outcomes.push((scenario.name(), outcome));
        }
        if let [_, _, ..] = outcomes.as_slice() {
            text += "\n== outcomes\n\n";
            for (name, outcome) in outcomes {
                _ = writeln!(text, "{name:<11} {outcome}");
            }
        }
        Ok(text)
    }

    fn setting(&self, specs: &Specs) -> anyhow::Result<Setting> {
        if self.outage + self.ready_after > self.limit {
            bail!("--limit is shorter than --outage and --ready-after together: make it longer");
        }
        let (plan, sections) = specs.plan()?;
        let troubles = Troubles {
            errors: self.errors,
            slow: self.slow,
            outage: self.outage,
        };
        let (per_second, seed) = (self.requests_per_second, self.seed);
        Ok(Setting {
            names: specs.names(),
            size: specs.size(),
            suspended: specs.canary.spec.suspend,
            interval: crate::parse::plan::interval(&sections),
            is_measured: sections.metrics.is_some(),
            windows: files::windows(&sections),
            ready_after: self.ready_after,
            approve_after: self.approve_after,
            limit: self.limit,
            plan,
            troubles,
            per_second,
            seed,
        })
    }
}

impl Setting {
    fn describe(&self, specs: &Specs) -> String {
        let pods = self.size;
        let steps = self.plan.steps.iter();
        let steps = steps.map(|step| {
            let asks = if step.is_approved_by_hand() {
                ", then approval"
            } else {
                ""
            };
            format!("{} for {}{asks}", step.weight(), length(step.bake()))
        });
        let entry = self.plan.entry.contains(&Requirement::Approval);
        let entry = entry.then(|| "approval".to_owned());
        let steps: Vec<_> = entry.into_iter().chain(steps).collect();
        format!(
            "{}, by {}: {} requests/s, {pods} pods, ready after {}, seed {}\nsteps: {}; minRequests {}\n",
            specs.title(),
            specs.policy_title(),
            self.per_second,
            length(self.ready_after),
            self.seed,
            steps.join(", "),
            self.plan.min_requests,
        )
    }
}

fn scenarios(text: &str) -> Result<Scenarios, String> {
    if text == "all" {
        return Ok(Scenarios(Scenario::ALL.to_vec()));
    }
    let known = Scenario::from_str(text, false);
    known
        .map(|scenario| Scenarios(vec![scenario]))
        .map_err(|_| {
            let names = Scenario::ALL.map(Scenario::name).join(", ");
            format!("there are {names}, and all")
        })
}

fn rate(text: &str) -> Result<f64, String> {
    let rate: f64 = text.parse().map_err(|error| format!("{error}"))?;
    // More cannot be counted in the time that anybody waits for.
    if (0.0..=1e6).contains(&rate) {
        Ok(rate)
    } else {
        Err("write a number from 0 to 1000000".to_owned())
    }
}

/// In parts per million.
fn share(text: &str) -> Result<u32, String> {
    let share = Percent::new(text).ppm();
    share.map_err(|error| error.to_string())
}

fn time(text: &str) -> Result<chrono::TimeDelta, String> {
    let time = Duration::new(text).delta();
    time.map_err(|error| error.to_string())
}

#[cfg(test)]
pub(crate) use tests::looks;

#[cfg(test)]
mod tests;
