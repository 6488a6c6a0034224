//! The cluster keeps what it promises to stories: waypoints apart from each other, users, an audit
//! log, and parts that can be taken away and come back.
//!
//! Runs in the sandbox, so it has no test harness: each check prints a line, and the first that
//! fails ends the run.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use e2e::build::{self, Tools};
use e2e::certs::spiffe_uri;
use e2e::cluster::{Cluster, Shares, Waypoint};
use e2e::load::{Load, Spec, Target, mesh_client, until_answered};
use e2e::node::{Config, Node};
use e2e::process::until;
use e2e::sandbox::{self, Door, Options};
use k8s_openapi::api::core::v1::{Secret, Service};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client};

const SOON: Duration = Duration::from_secs(20);
const TWO_SCRAPES: Duration = Duration::from_secs(2);
/// Requests of each load.
const REQUESTS: usize = 300;

/// Two versions of an application behind one Service, 3 to 1.
const APP: &str = include_str!("app.yaml");

fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter("warn")
        .with_writer(std::io::stderr)
        .init();
    sandbox::run(Options::default(), build::tools, inside)
}

async fn inside(tools: Tools, _door: Option<Door>) -> Result<()> {
    let begun = Instant::now();
    let cluster = Cluster::start(tools).await?;
    for part in cluster.timings() {
        let (begun, took) = (part.begun.as_secs_f64(), part.took.as_secs_f64());
        println!("{begun:>8.1} s + {took:>4.1} s  {}", part.part);
    }
    let config = Config::new(env!("CARGO_BIN_EXE_demo-app"), cluster.run_dir());
    let node = Node::start(cluster.client(), config).await?;
    let passed = |what: &str| println!("{:>6.1} s  {what}", begun.elapsed().as_secs_f64());
    passed("the cluster runs");

    let (one, two) = tokio::try_join!(shop(&cluster, "one"), shop(&cluster, "two"))?;
    waypoints_are_apart(&cluster, &one, &two).await?;
    passed("two waypoints serve a namespace each, and are counted apart");
    weights_reach_envoy(&cluster, &one).await?;
    passed("Envoy tells the shares it uses");
    users_may_do_what_is_granted(&cluster).await?;
    passed("a user is held to RBAC, and the audit log tells who asked");
    prometheus_comes_back(&cluster).await?;
    passed("Prometheus keeps its data over an outage");
    waypoint_comes_back(&cluster, &one, &two).await?;
    passed("a killed waypoint fails only its own namespace, until it is back");
    cluster.remove_waypoint(two).await?;
    cluster.alive().await?;
    node.stop().await;
    Ok(())
}

async fn shop(cluster: &Cluster, namespace: &str) -> Result<Waypoint> {
    cluster.namespace(namespace).await?;
    let waypoint = cluster.waypoint(namespace, "waypoint", None).await?;
    cluster.apply(&APP.replace("NAMESPACE", namespace)).await?;
    waypoint.bound("app", SOON).await?;
    Ok(waypoint)
}

/// Requests to a waypoint's Service `app`, whose pods answer by now.
async fn requests(cluster: &Cluster, waypoint: &Waypoint) -> Result<Spec> {
    let namespace = waypoint.namespace();
    let services: Api<Service> = Api::namespaced(cluster.client(), namespace);
    let ip = services
        .get("app")
        .await?
        .spec
        .and_then(|spec| spec.cluster_ip);
    let identity = spiffe_uri(namespace, "waypoint");
    let target = Target::Waypoint {
        address: waypoint.address(),
        authority: format!("{}:80", ip.context("a Service without address")?),
        tls: mesh_client(cluster.authority(), namespace, "client", &identity)?,
    };
    let spec = Spec::new(target, "app", 200.0);
    until_answered(&spec, SOON).await?;
    Ok(Spec {
        max_requests: REQUESTS,
        ..spec
    })
}

async fn waypoints_are_apart(cluster: &Cluster, one: &Waypoint, two: &Waypoint) -> Result<()> {
    ensure!(one.address() != two.address(), "both at {}", one.address());
    for waypoint in [one, two] {
        let spec = requests(cluster, waypoint).await?;
        let first = until("Prometheus scrapes the waypoint", SOON, async || {
            counted(cluster, waypoint).await
        });
        first.await?;
        // What was sent until it answered is scraped by then.
        tokio::time::sleep(TWO_SCRAPES).await;
        let before = counted(cluster, waypoint).await?;
        let report = Load::start(spec)?.finished().await;
        ensure!(report.totals.all.failed == 0, "{report}");
        until("Prometheus counts each request once", SOON, async || {
            let sent = f64::from(u32::try_from(REQUESTS)?);
            let counted = counted(cluster, waypoint).await? - before;
            ensure!((counted - sent).abs() < 0.5, "{counted} counted of {sent}");
            Ok(())
        })
        .await?;
    }
    Ok(())
}

/// Requests of a waypoint's namespace, as Prometheus has them.
async fn counted(cluster: &Cluster, waypoint: &Waypoint) -> Result<f64> {
    let query = format!(
        "sum(istio_requests_total{{reporter='waypoint',namespace='{0}',destination_service_namespace='{0}',\
         destination_service_name=~'app-v.',response_code='200',request_protocol='http'}})",
        waypoint.namespace(),
    );
    let url = reqwest::Url::parse_with_params(
        &format!("{}/api/v1/query", cluster.prometheus_url()),
        [("query", query)],
    )?;
    let answer: serde_json::Value =
        serde_json::from_slice(&reqwest::get(url).await?.error_for_status()?.bytes().await?)?;
    let value = answer
        .pointer("/data/result/0/value/1")
        .and_then(serde_json::Value::as_str);
    Ok(value.context("nothing is counted")?.parse()?)
}

async fn weights_reach_envoy(cluster: &Cluster, waypoint: &Waypoint) -> Result<()> {
    let expect = async |v1: f64, v2: f64| {
        let shares = [("app-v1", v1), ("app-v2", v2)];
        let shares = shares.into_iter().filter(|(_, share)| *share > 0.0);
        let expected: Shares = shares
            .map(|(name, share)| (name.to_owned(), share))
            .collect();
        until("the shares reach Envoy", SOON, async || {
            let found = waypoint.route_shares("app", 80).await?;
            ensure!(found == [expected.clone()], "{found:?}");
            Ok(())
        })
        .await
    };
    expect(75.0, 25.0).await?;
    let changed = APP
        .replace("weight: 3", "weight: 1")
        .replace("weight: 1}]", "weight: 0}]");
    cluster
        .apply(&changed.replace("NAMESPACE", waypoint.namespace()))
        .await?;
    expect(100.0, 0.0).await
}

async fn users_may_do_what_is_granted(cluster: &Cluster) -> Result<()> {
    let account = cluster
        .kubeconfig_for_service_account("one", "default")
        .await?;
    let user = cluster.kubeconfig_for("carol", Some("developers"))?;
    for (path, name) in [
        (account, "system:serviceaccount:one:default"),
        (user, "carol"),
    ] {
        let mark = cluster.audit().mark()?;
        let kubeconfig = Kubeconfig::read_from(path)?;
        let options = KubeConfigOptions::default();
        let config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await?;
        let secrets: Api<Secret> = Api::namespaced(Client::try_from(config)?, "one");
        if secrets.get("any").await.is_ok() {
            bail!("{name} may read secrets");
        }
        let events = cluster.audit().since(mark)?;
        let asked = events
            .iter()
            .find(|event| event.by(name) && event.about("secrets"));
        let asked = asked.context("the audit log lacks a request")?;
        let code = asked.response_status.context("no answer is logged")?.code;
        ensure!(
            code == 403 && asked.inside("one") && !asked.writes(),
            "{asked:?}"
        );
    }
    Ok(())
}

async fn prometheus_comes_back(cluster: &Cluster) -> Result<()> {
    cluster.prometheus().stop().await?;
    ensure!(
        reqwest::get(cluster.prometheus_url()).await.is_err(),
        "it still answers"
    );
    cluster.prometheus().start().await?;
    let url = format!(
        "{}/api/v1/series?match[]=istio_requests_total{{namespace=\"two\"}}",
        cluster.prometheus_url(),
    );
    let series = reqwest::get(url).await?.error_for_status()?.text().await?;
    ensure!(
        series.contains("app-v2"),
        "the old series are gone: {series}"
    );
    Ok(())
}

async fn waypoint_comes_back(cluster: &Cluster, one: &Waypoint, two: &Waypoint) -> Result<()> {
    let spec = requests(cluster, one).await?;
    one.kill().await?;
    let report = Load::start(spec)?.finished().await;
    ensure!(
        report.totals.all.failed == report.totals.all.requests,
        "{report}"
    );
    requests(cluster, two).await?;
    one.start().await?;
    requests(cluster, one).await?;
    Ok(())
}
