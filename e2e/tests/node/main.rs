//! The node agent on a real control plane: what controllers and people read from pods.
//!
//! Runs in the sandbox, so it has no test harness: each check prints a line, and the first that
//! fails ends the run.
#![allow(
    clippy::indexing_slicing,
    reason = "on JSON it gives null, which no assertion accepts"
)]

mod objects;

use std::{
    net::{Ipv4Addr, SocketAddr},
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use e2e::{
    app::{admin, call::call},
    build::{self, Tools},
    certs::spiffe_uri,
    cluster::{Cluster, Waypoint},
    load::{Load, Spec, Target, mesh_client, until_answered},
    node::{Config, Node},
    process::until,
    sandbox::{self, Door, Options},
};
use hyper::Method;
use objects::{Shop, json_of};

const SOON: Duration = Duration::from_secs(15);
const SECOND: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let _ = tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .try_init();
    sandbox::run(Options::default(), build::tools, inside)
}

async fn inside(tools: Tools, _door: Option<Door>) -> Result<()> {
    let cluster = Cluster::start(tools).await?;
    let config = Config::new(env!("CARGO_BIN_EXE_demo-app"), cluster.run_dir());
    let node = Node::start(cluster.client(), config).await?;
    cluster.namespace("shop").await?;
    let waypoint = cluster.waypoint("shop", "waypoint", None).await?;
    let shop = Shop::new(&cluster);

    let begun = Instant::now();
    let passed = |what: &str| println!("{:>6.1} s  {what}", begun.elapsed().as_secs_f64());
    serves(&shop).await?;
    passed("a Deployment is served by pods with addresses of their own");
    counts_agree(&cluster, &shop, &waypoint).await?;
    passed("requests through the waypoint are counted alike by clients and pods");
    rolls_without_failure(&cluster, &shop, &waypoint).await?;
    passed("a rolling update under load fails no request");
    follows_configuration(&shop).await?;
    passed("mounted files follow their ConfigMap");
    loses_readiness(&shop).await?;
    passed("readiness is what the pod answers");
    restarts(&shop).await?;
    passed("a container that exits is started again");
    crashes(&shop).await?;
    passed("a crashing container backs off");
    refuses(&shop).await?;
    passed("images, configuration and room that are missing are told");
    kills(&shop).await?;
    passed("a pod that does not end is killed in time");
    node.stop().await;
    Ok(())
}

/// Requests to the Service `app` through the waypoint, which knows it by now.
async fn requests(cluster: &Cluster, shop: &Shop<'_>, waypoint: &Waypoint) -> Result<Spec> {
    let identity = spiffe_uri("shop", "waypoint");
    let tls = mesh_client(cluster.authority(), "shop", "client", &identity)?;
    let authority = format!("{}:80", shop.cluster_ip("app").await?);
    let target = Target::Waypoint {
        address: waypoint.address(),
        authority,
        tls,
    };
    let spec = Spec::new(target, "app.shop", 200.0);
    until_answered(&spec, SOON).await?;
    Ok(spec)
}

async fn serves(shop: &Shop<'_>) -> Result<()> {
    shop.apply(objects::APP).await?;
    until("two ready pods", SOON, async || {
        shop.rolled_out("app").await
    })
    .await?;
    // Kubernetes' own controllers follow the pods a moment later.
    let deadline = Instant::now() + 10 * SECOND;
    let endpoints = loop {
        let slices = shop
            .get("EndpointSlice", "kubernetes.io/service-name=app")
            .await?;
        let endpoints = slices[0]["endpoints"].as_array();
        let endpoints = endpoints.cloned().unwrap_or_default();
        let ready = |e: &serde_json::Value| e["conditions"]["ready"] == true;
        if endpoints.len() == 2 && endpoints.iter().all(ready) {
            break endpoints;
        }
        ensure!(Instant::now() < deadline, "{endpoints:?}");
        tokio::time::sleep(SECOND / 10).await;
    };
    let addresses: Vec<_> = endpoints.iter().map(|e| &e["addresses"][0]).collect();
    ensure!(addresses[0] != addresses[1], "{addresses:?}");
    for endpoint in &endpoints {
        ensure!(endpoint["nodeName"] == "node-1", "{endpoint}");
    }
    for pod in shop.get("Pod", "app=app").await? {
        ensure!(
            pod["status"]["qosClass"] == "BestEffort",
            "{}",
            pod["status"]
        );
        let answer = ask(address(&pod)?).await?;
        ensure!(answer["pod"] == pod["metadata"]["name"], "{answer}");
        ensure!(
            answer["version"] == "v1" && answer["greeting"] == "hello",
            "{answer}"
        );
    }
    Ok(())
}

async fn counts_agree(cluster: &Cluster, shop: &Shop<'_>, waypoint: &Waypoint) -> Result<()> {
    let spec = requests(cluster, shop, waypoint).await?;
    let before = served(shop).await?;
    let load = Load::start(spec)?;
    tokio::time::sleep(3 * SECOND).await;
    let report = load.stop().await;
    println!("{report}");
    let served = served(shop).await? - before;
    ensure!(
        report.totals.all.failed == 0 && report.totals.all.requests > 550,
        "{report}"
    );
    ensure!(
        report.totals.all.requests == served,
        "{served} served\n{report}"
    );
    ensure!(report.whole.pods.len() == 2, "{:?}", report.whole.pods);
    Ok(())
}

async fn rolls_without_failure(
    cluster: &Cluster,
    shop: &Shop<'_>,
    waypoint: &Waypoint,
) -> Result<()> {
    let load = Load::start(requests(cluster, shop, waypoint).await?)?;
    tokio::time::sleep(SECOND).await;
    shop.apply(&objects::APP.replace("demo:v1", "demo:v2"))
        .await?;
    until("the new version", SOON, async || {
        shop.rolled_out("app").await
    })
    .await?;
    until("the old pods' end", SOON, async || {
        let pods = shop.get("Pod", "app=app").await?.len();
        ensure!(pods == 2, "{pods} pods");
        Ok(())
    })
    .await?;
    tokio::time::sleep(SECOND).await;
    let end = load.now();
    let report = load.stop().await;
    println!("{report}");
    ensure!(report.totals.all.failed == 0, "{report}");
    let last = report.window(end.saturating_sub(SECOND), end);
    ensure!(
        last.share("v2").is_some_and(|share| share.low > 0.9),
        "{last:?}"
    );
    Ok(())
}

async fn follows_configuration(shop: &Shop<'_>) -> Result<()> {
    shop.apply(&objects::APP_CONFIG.replace("hello", "good evening"))
        .await?;
    let address = address(&shop.get("Pod", "app=app").await?[0])?;
    until("the new greeting", SOON, async || {
        let answer = ask(address).await?;
        ensure!(answer["greeting"] == "good evening", "{answer}");
        Ok(())
    })
    .await
}

async fn loses_readiness(shop: &Shop<'_>) -> Result<()> {
    let pod = &shop.get("Pod", "app=app").await?[0];
    let name = pod["metadata"]["name"].as_str().context("name")?;
    for (ready, status) in [(false, "False"), (true, "True")] {
        admin::set_ready(address(pod)?, ready).await?;
        until("the condition Ready", 3 * SECOND, async || {
            let pod = shop.pod(name).await?;
            ensure!(
                condition(&pod, "Ready")["status"] == status,
                "{}",
                pod["status"]
            );
            Ok(())
        })
        .await?;
    }
    Ok(())
}

async fn restarts(shop: &Shop<'_>) -> Result<()> {
    let pod = &shop.get("Pod", "app=app").await?[0];
    let name = pod["metadata"]["name"].as_str().context("name")?;
    admin::exit(address(pod)?, 7).await?;
    until("the restart", SOON, async || {
        let pod = shop.pod(name).await?;
        let container = &pod["status"]["containerStatuses"][0];
        ensure!(
            container["restartCount"] == 1 && container["ready"] == true,
            "{container}"
        );
        let last = &container["lastState"]["terminated"];
        ensure!(
            last["exitCode"] == 7 && last["reason"] == "Error",
            "{container}"
        );
        Ok(())
    })
    .await
}

async fn crashes(shop: &Shop<'_>) -> Result<()> {
    shop.apply(&objects::pod("crashing", "demo:v3-crash", ""))
        .await?;
    until("CrashLoopBackOff", SOON, async || {
        let waiting = shop.waiting("crashing").await?;
        ensure!(waiting["reason"] == "CrashLoopBackOff", "{waiting}");
        let message = waiting["message"].as_str().unwrap_or_default();
        ensure!(
            message.starts_with("back-off 1s restarting failed container=app pod=crashing_shop(")
        );
        Ok(())
    })
    .await?;
    let pod = shop.pod("crashing").await?;
    ensure!(pod["status"]["phase"] == "Running", "{}", pod["status"]);
    let container = &pod["status"]["containerStatuses"][0];
    ensure!(
        container["lastState"]["terminated"]["exitCode"] == 1,
        "{container}"
    );
    shop.delete("crashing").await
}

async fn refuses(shop: &Shop<'_>) -> Result<()> {
    shop.apply(&objects::pod(
        "no-image",
        "registry.example/shop/app:v1",
        "",
    ))
    .await?;
    until("ImagePullBackOff", SOON, async || {
        let waiting = shop.waiting("no-image").await?;
        ensure!(waiting["reason"] == "ImagePullBackOff", "{waiting}");
        let message = waiting["message"].as_str().unwrap_or_default();
        ensure!(
            message.ends_with("registry.example/shop/app:v1: not found"),
            "{message}"
        );
        Ok(())
    })
    .await?;
    shop.delete("no-image").await?;

    let environment = "envFrom: [{configMapRef: {name: late}}]";
    shop.apply(&objects::pod("no-config", "demo:v1", environment))
        .await?;
    until("CreateContainerConfigError", SOON, async || {
        let waiting = shop.waiting("no-config").await?;
        ensure!(
            waiting["reason"] == "CreateContainerConfigError",
            "{waiting}"
        );
        ensure!(
            waiting["message"] == "configmap \"late\" not found",
            "{waiting}"
        );
        Ok(())
    })
    .await?;
    shop.apply(
        &objects::APP_CONFIG
            .replace("name: app", "name: late")
            .replace("greeting", "GREETING"),
    )
    .await?;
    until("the late configuration", SOON, async || {
        let pod = shop.pod("no-config").await?;
        ensure!(
            condition(&pod, "Ready")["status"] == "True",
            "{}",
            pod["status"]
        );
        ensure!(ask(address(&pod)?).await?["greeting"] == "hello");
        Ok(())
    })
    .await?;
    shop.delete("no-config").await?;

    let greedy = "resources: {requests: {cpu: 10k}}";
    shop.apply(&objects::pod("greedy", "demo:v1", greedy))
        .await?;
    until("Unschedulable", SOON, async || {
        let pod = shop.pod("greedy").await?;
        let scheduled = condition(&pod, "PodScheduled");
        ensure!(scheduled["reason"] == "Unschedulable", "{}", pod["status"]);
        let message = scheduled["message"].as_str().unwrap_or_default();
        ensure!(
            message.starts_with("0/1 nodes are available: 1 Insufficient cpu."),
            "{message}"
        );
        Ok(())
    })
    .await?;
    shop.delete("greedy").await
}

async fn kills(shop: &Shop<'_>) -> Result<()> {
    shop.apply(&objects::pod("stubborn", "demo:v1-slow60000", ""))
        .await?;
    let mut stubborn = None;
    until("the pod", SOON, async || {
        let pod = shop.pod("stubborn").await?;
        ensure!(
            condition(&pod, "Ready")["status"] == "True",
            "{}",
            pod["status"]
        );
        stubborn = Some(address(&pod)?);
        Ok(())
    })
    .await?;
    let address = stubborn.context("no address")?;
    // A request of a minute, which the app would wait for.
    let request = tokio::spawn(ask(address));
    tokio::time::sleep(SECOND / 5).await;
    let begun = Instant::now();
    shop.delete_with_grace("stubborn", 3).await?;
    let took = begun.elapsed();
    ensure!(
        (3 * SECOND..5 * SECOND).contains(&took),
        "deleted after {took:?}"
    );
    ensure!(request.await?.is_err(), "a killed process answered");
    Ok(())
}

async fn ask(address: SocketAddr) -> Result<serde_json::Value> {
    let (_, body) = call(address, Method::GET, "/", "", 5 * SECOND).await?;
    json_of(&body)
}

async fn served(shop: &Shop<'_>) -> Result<u64> {
    let mut total = 0;
    for pod in shop.get("Pod", "app=app").await? {
        total += admin::counts(address(&pod)?).await?.total;
    }
    Ok(total)
}

fn address(pod: &serde_json::Value) -> Result<SocketAddr> {
    let ip = pod["status"]["podIP"].as_str().context("no podIP")?;
    Ok(SocketAddr::from((ip.parse::<Ipv4Addr>()?, 8080)))
}

fn condition<'a>(pod: &'a serde_json::Value, type_: &str) -> &'a serde_json::Value {
    let conditions = pod["status"]["conditions"].as_array();
    conditions
        .and_then(|conditions| conditions.iter().find(|c| c["type"] == type_))
        .unwrap_or(&serde_json::Value::Null)
}
