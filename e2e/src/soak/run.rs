//! One soak, from an empty cluster to the verdict.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use parking_lot::Mutex;
use tokio::time::{MissedTickBehavior, interval, sleep, sleep_until};

use super::actors::Actors;
use super::args::Args;
use super::costs::Costs;
use super::fleet::Fleet;
use super::journal::Journal;
use super::judge::{Case, Versions, Violation, judge};
use super::report::{self, Ending};
use super::rest::{self, Rested};
use super::rules;
use super::schedule::{Event, Setting, draw};
use super::tally::Tally;
use super::watchers::Watchers;
use crate::build::{Programs, Tools};
use crate::stage::{Scene, Stage};

const NAMESPACE: &str = "soak";
/// Apps are deployed and adopted in this time, before the chaos; each beyond the first few takes two
/// seconds more. Fixed, so that times mean the same in every run.
const LEAD: Duration = Duration::from_secs(30);
const MINUTE: Duration = Duration::from_mins(1);
/// How often memory is read.
const SAMPLE: Duration = Duration::from_secs(5);
/// How long users stay beyond all else.
const SPARE: Duration = Duration::from_mins(5);

/// What all parts of a run look at.
struct Soak<'a> {
    scene: &'a Scene<'a>,
    canaries: usize,
    schedule: Vec<Event>,
    versions: Versions,
    journal: Arc<Journal>,
    watchers: Watchers,
    fleet: Fleet,
    costs: Mutex<Costs>,
    /// Violations that were told already.
    told: Mutex<BTreeSet<String>>,
}

pub(super) async fn run(args: Args, (tools, programs): (Tools, Programs)) -> Result<()> {
    let stage = Stage::start(tools, &programs).await?;
    println!("logs of this run: {}", stage.cluster.run_dir().display());
    let scene = stage.scene(NAMESPACE).await?;
    let result = Box::pin(soak(&args, &scene)).await;
    // A part that died explains whatever else went wrong.
    stage.cluster.alive().await?;
    stage.controller.alive().await?;
    result
}

async fn soak(args: &Args, scene: &Scene<'_>) -> Result<()> {
    let canaries = usize::from(args.canaries);
    let length = Duration::from_mins(args.minutes);
    let lead = LEAD + 2 * Duration::from_secs(args.canaries.into());
    let setting = Setting {
        length,
        canaries,
        seed: args.seed,
    };
    let mut schedule = draw(setting);
    for event in &mut schedule {
        event.at += lead;
    }
    let spec = rules::spec(scene.stage.cluster.prometheus_url());
    let journal = Arc::new(Journal::new());
    let soak = Soak {
        scene,
        canaries,
        versions: Versions::of(&schedule, canaries),
        watchers: Watchers::start(scene, &journal),
        fleet: Fleet::launch(scene, canaries, lead + length + rules::REST + SPARE).await?,
        costs: Mutex::new(Costs::begin(scene.stage.cluster.audit())?),
        told: Mutex::default(),
        schedule,
        journal,
    };
    Fleet::adopt(scene, canaries, &spec).await?;
    let adopted = soak.journal.now();
    println!(
        "{canaries} apps are adopted after {:.1} s; what will happen:",
        adopted.as_secs_f64()
    );
    for event in &soak.schedule {
        println!("{event}");
    }
    if adopted > lead {
        bail!(
            "the apps were adopted after {adopted:.0?} and not within {lead:?}: the machine is too slow"
        );
    }
    sleep_until(soak.journal.moment(lead)).await;
    soak.sample().await;
    let rested = tokio::select! {
        never = soak.watch() => match never? {},
        rested = soak.play(&spec, lead + length) => rested?,
    };
    soak.finish(args, &rested).await
}

impl Soak<'_> {
    /// The chaos, then peace.
    async fn play(&self, spec: &str, end: Duration) -> Result<Rested> {
        let actors = Actors {
            scene: self.scene,
            journal: &self.journal,
            spec,
        };
        actors.run(&self.schedule, self.canaries).await?;
        sleep_until(self.journal.moment(end)).await;
        println!("the chaos is over");
        rest::wait(self.scene, &self.journal, &self.watchers, self.canaries).await
    }

    /// Tells a line every minute, and violations as they are found.
    async fn watch(&self) -> Result<Infallible> {
        let mut samples = interval(SAMPLE);
        samples.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut told = self.journal.now();
        loop {
            samples.tick().await;
            self.sample().await;
            if self.journal.now() >= told + MINUTE {
                told = self.journal.now();
                self.tell()?;
            }
        }
    }

    async fn sample(&self) {
        if let Some(bytes) = self.scene.stage.controller.memory().await {
            self.costs.lock().memory.push((self.journal.now(), bytes));
        }
    }

    fn tell(&self) -> Result<()> {
        self.costs.lock().read_on()?;
        let (tally, violations) = self.judged();
        let memory = self.costs.lock().memory.last().map(|(_, bytes)| *bytes);
        println!(
            "{}",
            report::line(&tally, memory.unwrap_or_default(), violations.len())
        );
        let mut told = self.told.lock();
        for violation in violations {
            if told.insert(violation.to_string()) {
                println!("  VIOLATION {violation}");
            }
        }
        Ok(())
    }

    /// All that was seen up to now.
    fn judged(&self) -> (Tally, Vec<Violation>) {
        // What users got is taken first: what explains it was seen before.
        let answers = self.fleet.answers(&self.journal);
        let (seen, written) = (self.watchers.seen(), self.journal.read());
        let case = Case {
            seen: &seen,
            written: &written,
            versions: &self.versions,
            answers: &answers,
        };
        let tally = Tally::of(
            &case,
            self.canaries,
            self.fleet.totals().1,
            self.journal.now(),
        );
        let mut violations = judge(&case, self.canaries);
        violations.extend(tally.violations());
        violations.sort();
        (tally, violations)
    }

    async fn finish(self, args: &Args, rested: &Rested) -> Result<()> {
        self.fleet.stop();
        // For the answers under way.
        sleep(Duration::from_secs(2)).await;
        self.sample().await;
        self.costs.lock().read_on()?;
        let (tally, mut violations) = self.judged();
        violations.extend(rested.violations.iter().cloned());
        let costs = self.costs.lock();
        violations.extend(report::costly(&costs, &tally));
        let ending = Ending {
            args,
            tally: &tally,
            costs: &costs,
            rest: rested.took,
            violations: &violations,
        };
        println!("\n{}", report::markdown(&ending));
        for words in self.fleet.words() {
            println!("  {words}");
        }
        for skipped in &self.journal.read().skipped {
            println!("  not done: {skipped}");
        }
        if let Some(file) = &args.report {
            report::write(file, &report::markdown(&ending)).context("writing the report")?;
        }
        if violations.is_empty() {
            return Ok(());
        }
        bail!("{} violations", violations.len());
    }
}
