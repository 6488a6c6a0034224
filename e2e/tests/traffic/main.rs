//! The load generator and the demo app against each other: what one counts, the other counts too.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "in a test these are assertions"
)]

mod hbone;

use std::{net::SocketAddr, process::Stdio, time::Duration};

use e2e::{
    app::admin,
    certs::{Authority, spiffe_uri},
    load::{Load, Outcome, Spec, Target, mesh_client},
};
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    time::sleep,
};

use hbone::Waypoint;

const SECOND: Duration = Duration::from_secs(1);

/// A running demo app.
struct App {
    process: Child,
    address: SocketAddr,
}

impl App {
    async fn start(tag: &str) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_demo-app"))
            .env("IMAGE", format!("demo:{tag}"))
            .env("POD_NAME", format!("{tag}-pod"))
            .env("PORTS", "0")
            .env("GREETING", "hello")
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let line = lines
            .next_line()
            .await
            .unwrap()
            .expect("it says where it listens");
        let address = line.strip_prefix("listening on ").unwrap().parse().unwrap();
        Self { process, address }
    }

    fn terminate(&self) {
        let id = i32::try_from(self.process.id().unwrap()).unwrap();
        kill_process(Pid::from_raw(id).unwrap(), Signal::TERM).unwrap();
    }
}

/// 4 connections, and limits that end a test that hangs.
fn spec(target: Target, rate: f64) -> Spec {
    Spec {
        connections: 4,
        timeout: 5 * SECOND,
        max_duration: 30 * SECOND,
        ..Spec::new(target, "app.shop", rate)
    }
}

async fn through(waypoint: &Waypoint, rate: f64) -> Load {
    let identity = spiffe_uri("shop", "waypoint");
    let tls = mesh_client(waypoint.authority(), "shop", "client", &identity).unwrap();
    let authority = "10.0.0.1:80".to_owned();
    let target = Target::Waypoint {
        address: waypoint.address(),
        authority,
        tls,
    };
    let load = Load::start(spec(target, rate)).unwrap();
    // Long enough that every connection has been used.
    sleep(SECOND).await;
    load
}

#[tokio::test]
async fn both_sides_count_the_same() {
    let app = App::start("v2-fail10").await;
    let load = Load::start(spec(Target::Direct(app.address), 200.0)).unwrap();
    sleep(2 * SECOND).await;
    let snapshot = load.snapshot();
    let report = load.stop().await;
    println!("{snapshot}\n{report}");

    let counts = admin::counts(app.address).await.unwrap();
    assert_eq!(report.totals.all.requests, counts.total);
    assert_eq!(report.totals.all.failed, counts.failed);
    assert_eq!(report.totals.all.failed, counts.total / 10);
    assert_eq!(report.totals.versions["v2"], report.totals.all);
    assert_eq!(report.whole.pods["v2-fail10-pod"], report.totals.all);
    assert!(
        (380..=410).contains(&counts.total),
        "{} in 2 s at 200/s",
        counts.total
    );
    assert_eq!(report.totals.skipped, 0);
}

#[tokio::test]
async fn the_rate_changes_and_pauses() {
    let app = App::start("v1").await;
    let load = Load::start(spec(Target::Direct(app.address), 0.0)).unwrap();
    sleep(SECOND / 2).await;
    assert_eq!(load.snapshot().totals.all.requests, 0);
    let mark = load.now();
    load.set_rate(100.0);
    sleep(SECOND).await;
    let rate = load.since(mark).rate();
    assert!((90.0..=110.0).contains(&rate), "{rate}/s");
    load.set_rate(0.0);
    sleep(SECOND / 5).await;
    let paused = load.snapshot().totals.all.requests;
    sleep(SECOND / 2).await;
    assert_eq!(load.stop().await.totals.all.requests, paused);
}

#[tokio::test]
async fn a_load_ends_by_itself() {
    let app = App::start("v1").await;
    let spec = Spec {
        max_requests: 50,
        ..spec(Target::Direct(app.address), 1000.0)
    };
    let load = Load::start(spec).unwrap();
    sleep(SECOND / 2).await;
    assert_eq!(load.stop().await.totals.all.requests, 50);
    assert_eq!(admin::counts(app.address).await.unwrap().total, 50);
}

#[tokio::test]
async fn an_app_told_to_stop_answers_what_it_began() {
    let mut app = App::start("v1-slow800").await;
    let load = Load::start(spec(Target::Direct(app.address), 20.0)).unwrap();
    sleep(SECOND).await;
    app.terminate();
    // Requests of the last moments are still under way when the app stops accepting.
    sleep(Duration::from_millis(1300)).await;
    let report = load.stop().await;
    assert_eq!(report.totals.all.failed, 0, "{report}");
    assert!(report.totals.all.requests > 4, "{report}");
    assert!(app.process.wait().await.unwrap().success());
}

#[tokio::test]
async fn readiness_and_behaviour_follow_orders() {
    let app = App::start("v1").await;
    let readyz = || async {
        let call = e2e::app::call::call(app.address, hyper::Method::GET, "/readyz", "", SECOND);
        call.await.unwrap().0.as_u16()
    };
    assert_eq!(readyz().await, 200);
    admin::set_ready(app.address, false).await.unwrap();
    assert_eq!(readyz().await, 503);
    admin::set_ready(app.address, true).await.unwrap();
    assert_eq!(readyz().await, 200);
    assert!(admin::set_behaviour(app.address, "bogus").await.is_err());
    admin::set_behaviour(app.address, "v1-unready")
        .await
        .unwrap();
    assert_eq!(readyz().await, 503);
}

#[tokio::test]
async fn requests_reach_the_app_through_a_tunnel() {
    let app = App::start("v1").await;
    let waypoint = Waypoint::start(Authority::new().unwrap(), app.address).await;
    let load = through(&waypoint, 200.0).await;
    let report = load.stop().await;
    println!("{report}");
    assert_eq!(report.totals.all.failed, 0, "{report}");
    assert_eq!(
        report.totals.all.requests,
        admin::counts(app.address).await.unwrap().total
    );
    assert_eq!(waypoint.tunnels(), 4, "one for each connection");
    assert_eq!(waypoint.connections(), 2, "shared by the tunnels");
}

#[tokio::test]
async fn a_waypoint_of_another_identity_is_not_spoken_to() {
    let app = App::start("v1").await;
    let waypoint = Waypoint::start(Authority::new().unwrap(), app.address).await;
    let other = spiffe_uri("shop", "other");
    let tls = mesh_client(waypoint.authority(), "shop", "client", &other).unwrap();
    let target = Target::Waypoint {
        address: waypoint.address(),
        authority: "10.0.0.1:80".into(),
        tls,
    };
    let load = Load::start(spec(target, 20.0)).unwrap();
    sleep(SECOND / 2).await;
    let report = load.stop().await;
    assert!(report.totals.all.requests > 0);
    assert_eq!(
        report.totals.outcomes[&Outcome::Connect],
        report.totals.all.requests,
        "{report}"
    );
}

#[tokio::test]
async fn a_connection_closed_under_a_repeated_request_is_no_failure() {
    let app = App::start("v1").await;
    let waypoint = Waypoint::start(Authority::new().unwrap(), app.address).await;
    let load = through(&waypoint, 100.0).await;
    waypoint.cut_used(3);
    sleep(SECOND).await;
    let report = load.stop().await;
    assert_eq!(
        (report.totals.retried, report.totals.all.failed),
        (3, 0),
        "{report}"
    );
}

#[tokio::test]
async fn a_new_connection_closed_under_its_first_request_is_a_failure() {
    let app = App::start("v1").await;
    let waypoint = Waypoint::start(Authority::new().unwrap(), app.address).await;
    let load = through(&waypoint, 100.0).await;
    waypoint.cut_new(2);
    waypoint.close_idle();
    sleep(SECOND).await;
    let report = load.stop().await;
    assert_eq!(report.totals.all.failed, 2, "{report}");
    assert_eq!(report.totals.outcomes[&Outcome::Reset], 2);
}

#[tokio::test]
async fn connections_that_the_server_ends_are_opened_again() {
    let app = App::start("v1").await;
    let waypoint = Waypoint::start(Authority::new().unwrap(), app.address).await;
    // So few requests that all connections are idle when they end.
    let load = through(&waypoint, 5.0).await;
    waypoint.go_away();
    sleep(2 * SECOND).await;
    let report = load.stop().await;
    assert_eq!(report.totals.all.failed, 0, "{report}");
    assert!(waypoint.connections() > 2, "{}", waypoint.connections());
}
