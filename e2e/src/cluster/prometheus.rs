//! Prometheus: scrapes the waypoints and the node's ztunnel every second, and takes OTLP.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use serde::Serialize;
use tokio::sync::Mutex;

use crate::build::Tools;
use crate::process::{Launch, Process};
use crate::sandbox::PODS;

/// Where it answers, inside the sandbox.
const URL: &str = "http://127.0.0.1:9090";
const START: Duration = Duration::from_secs(30);

/// A waypoint's counters as Istio names them: Envoy's stats access logger can only write them under
/// `envoy_x_`. Where it knows no value it says `-` or nothing, and Istio `unknown`.
/// `destination_workload` comes as Istio's `name;namespace;…`.
const CONFIG: &str = include_str!("../../mesh/prometheus.yaml");

/// An entry of Prometheus' `file_sd`.
#[derive(Debug, Serialize)]
struct Target {
    targets: [String; 1],
    labels: Labels,
}

#[derive(Debug, Serialize)]
struct Labels {
    namespace: String,
    pod: String,
}

/// A Prometheus that stories may stop and start.
#[derive(Debug)]
pub struct Prometheus {
    process: Process,
    targets_file: PathBuf,
    targets: Mutex<Vec<Target>>,
}

impl Prometheus {
    pub(super) async fn launch(tools: &Tools, run: &Path) -> Result<Self> {
        let config = run.join("prometheus.yaml");
        let targets_file = run.join("targets.json");
        let node = PODS.nth(1).context("the address range is empty")?;
        let ztunnel = SocketAddr::from((node, super::waypoint::METRICS_PORT));
        fs::write(
            &config,
            CONFIG
                .replace("${TARGETS}", &targets_file.display().to_string())
                .replace("${ZTUNNEL}", &ztunnel.to_string()),
        )
        .context("writing Prometheus' configuration")?;
        fs::write(&targets_file, "[]")?;
        let process = Launch::new("prometheus", &tools.prometheus, run)
            .arg(format!("--config.file={}", config.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                run.join("prometheus").display()
            ))
            .args([
                "--web.listen-address=127.0.0.1:9090",
                "--web.enable-otlp-receiver",
            ])
            // How soon a new waypoint is scraped; 5 s unless told.
            .arg("--scrape.discovery-reload-interval=100ms")
            // A killed Prometheus leaves its lock behind.
            .args(["--storage.tsdb.no-lockfile", "--log.level=warn"])
            .start()?;
        let prometheus = Self {
            process,
            targets_file,
            targets: Mutex::default(),
        };
        prometheus.ready().await?;
        Ok(prometheus)
    }

    /// Its base URL.
    #[must_use]
    pub fn url(&self) -> &'static str {
        URL
    }

    /// Where OTLP metrics are posted (HTTP, protobuf).
    #[must_use]
    pub fn otlp_url(&self) -> String {
        format!("{URL}/api/v1/otlp/v1/metrics")
    }

    /// Kills it: an outage. What it stored stays.
    ///
    /// # Errors
    /// If the system refuses.
    pub async fn stop(&self) -> Result<()> {
        self.process.kill().await
    }

    /// Starts it again, with what it stored, and waits until it answers.
    ///
    /// # Errors
    /// If it does not come up.
    pub async fn start(&self) -> Result<()> {
        self.process.restart().await?;
        self.ready().await
    }

    /// Adds a scrape target: `/stats/prometheus` at port 15020 of a waypoint's pod.
    pub(super) async fn scrape(&self, namespace: &str, pod: &str, ip: Ipv4Addr) -> Result<()> {
        let mut targets = self.targets.lock().await;
        targets.push(Target {
            targets: [format!("{ip}:{}", super::waypoint::METRICS_PORT)],
            labels: Labels {
                namespace: namespace.to_owned(),
                pod: pod.to_owned(),
            },
        });
        self.write(&targets)
    }

    /// Removes a scrape target.
    pub(super) async fn forget(&self, namespace: &str, pod: &str) -> Result<()> {
        let mut targets = self.targets.lock().await;
        targets.retain(|target| target.labels.namespace != namespace || target.labels.pod != pod);
        self.write(&targets)
    }

    /// Prometheus watches the file, and must never read half of it.
    fn write(&self, targets: &[Target]) -> Result<()> {
        let fresh = self.targets_file.with_extension("new");
        fs::write(&fresh, serde_json::to_vec(targets)?)?;
        fs::rename(&fresh, &self.targets_file).context("writing the scrape targets")
    }

    async fn ready(&self) -> Result<()> {
        self.process
            .ready(START, async || {
                reqwest::get(format!("{URL}/-/ready"))
                    .await?
                    .error_for_status()?;
                Ok(())
            })
            .await
    }
}
