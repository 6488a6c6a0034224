//! Builds and starts a cluster, says how long each part took, and keeps it until Ctrl-C.

use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;
use e2e::build::{self, Tools};
use e2e::cluster::Cluster;
use e2e::sandbox::{self, Door, Options};

fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .init();
    sandbox::run(Options { door: Some(0) }, build::tools, keep)
}

async fn keep(tools: Tools, door: Option<Door>) -> Result<()> {
    let begun = Instant::now();
    let cluster = Cluster::start(tools).await?;
    for timing in cluster.timings() {
        println!(
            "{:>6.1} s + {:>5.1} s  {}",
            timing.begun.as_secs_f64(),
            timing.took.as_secs_f64(),
            timing.part
        );
    }
    println!(
        "started in {:.1} s; logs: {}",
        begun.elapsed().as_secs_f64(),
        cluster.run_dir().display()
    );
    let mut waypoints = Vec::new();
    for namespace in ["one", "two"] {
        let begun = Instant::now();
        cluster.namespace(namespace).await?;
        waypoints.push(cluster.waypoint(namespace, "waypoint", None).await?);
        println!(
            "waypoint {namespace} in {:.1} s",
            begun.elapsed().as_secs_f64()
        );
    }
    if let Some(door) = door {
        let kubectl = cluster.tools().kubectl.display();
        println!(
            "{kubectl} --kubeconfig {} get nodes",
            cluster.open(door)?.display()
        );
    }
    println!("Ctrl-C ends it");
    std::future::pending().await
}
