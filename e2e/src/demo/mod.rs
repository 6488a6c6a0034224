//! `cargo demo`: good and bad versions of an app on their way to users, on a real cluster, in two
//! minutes. What happens is what a Git repository says; what is shown is measured.

mod args;
mod chapter;
mod follow;
mod gitops;
mod keep;
mod manifests;
mod moment;
mod pods;
mod promise;
mod screen;
mod slo;
mod story;
mod summary;
mod text;
mod watch;

use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;

use crate::build::{self, Programs, Tools};
use crate::delivery::repository::{self, Repository};
use crate::sandbox::{self, Door, Options};
use crate::stage::Stage;
use args::Args;
use gitops::Agent;
use screen::Screen;
use story::Cast;

/// What a stage starts.
const PARTS: &str = "etcd, kube-apiserver, kube-controller-manager, istiod, Prometheus and Sluice";

/// The program: 0 if all held that the demo promises, 1 if not, 130 after Ctrl-C.
#[must_use]
pub fn main() -> ExitCode {
    let args = Args::read();
    let door = args.keep.then_some(0);
    sandbox::run(
        Options { door },
        prepare,
        |(tools, programs), door| async move {
            let screen = Screen::new();
            show(&screen, tools, &programs, door).await
        },
    )
}

fn prepare() -> Result<(Tools, Programs)> {
    repository::check()?;
    build::prepare()
}

async fn show(
    screen: &Screen,
    tools: Tools,
    programs: &Programs,
    door: Option<Door>,
) -> Result<()> {
    let what = format!("starting {PARTS}");
    let begun = Instant::now();
    let stage = screen
        .during("start", &what, Box::pin(Stage::start(tools, programs)))
        .await?;
    let took = text::seconds(begun.elapsed());
    screen.say("start", &format!("{PARTS}: started in {took}"));
    let told = Box::pin(tell(&stage, screen, door)).await;
    screen.clear();
    // A part that died explains whatever else went wrong.
    stage.cluster.alive().await?;
    stage.controller.alive().await?;
    if told.is_err() {
        screen.put(&format!(
            " logs of this run: {}",
            stage.cluster.run_dir().display()
        ));
    }
    told
}

async fn tell(stage: &Stage, screen: &Screen, door: Option<Door>) -> Result<()> {
    let starting = stage.scene(manifests::NAMESPACE);
    let what = "starting Envoy, the waypoint of namespace shop";
    let scene = screen.during("start", what, starting).await?;
    let repository = Repository::create(stage.cluster.run_dir().join("git")).await?;
    let agent = Agent::new(&repository, &stage.cluster);
    let cast = Cast {
        scene: &scene,
        repository: &repository,
        agent: &agent,
        screen,
    };
    screen.say(
        "git",
        "a new repository, and a loop that applies its HEAD, in place of Argo CD or Flux",
    );
    tokio::select! {
        never = agent.run(screen) => match never {},
        told = perform(&cast, door) => told,
    }
}

async fn perform(cast: &Cast<'_>, door: Option<Door>) -> Result<()> {
    let tale = cast.play().await?;
    summary::put(&tale, cast.screen);
    let held = promise::check(&tale, cast.screen);
    match door {
        None => held,
        Some(door) => match keep::keep(cast, door).await? {},
    }
}
