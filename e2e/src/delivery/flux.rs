//! Flux itself: source-controller, kustomize-controller and helm-controller, as processes with accounts of their own.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use kube::api::DynamicObject;
use serde::{Deserialize, Serialize};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::build::FluxTools;
use crate::cluster::Cluster;
use crate::process::{Launch, Process};

/// Flux' field manager, of what it applies.
pub const MANAGER: &str = "kustomize-controller";
/// kustomize-controller, as the audit log names it.
pub const USER: &str = "system:serviceaccount:flux-system:kustomize-controller";
/// The same, of what it installs by a `HelmRelease`.
pub const HELM_MANAGER: &str = "helm-controller";
/// helm-controller, as the audit log names it.
pub const HELM_USER: &str = "system:serviceaccount:flux-system:helm-controller";

const NAMESPACE: &str = "flux-system";
const SOURCE: &str = "source-controller";
const RIGHTS: &str = include_str!("flux.yaml");
/// A fix in Git does not wait until the health of what it mends is given up.
const NEWEST_FIRST: &str = "--feature-gates=CancelHealthCheckOnNewRevision=true";
/// Where source-controller serves what it fetched.
const ARTIFACTS: SocketAddr = loopback(18_300);
const START: Duration = Duration::from_mins(1);
const GRACE: Duration = Duration::from_secs(30);

/// Flux, running. Dropping it ends it.
pub struct Flux {
    /// Each with where it says that it is ready.
    controllers: [(Process, SocketAddr); 3],
    kstatus: PathBuf,
}

/// What is on the machine for it; the same paths each time.
struct Installed {
    storage: PathBuf,
    /// Kubeconfigs of the three.
    source: PathBuf,
    kustomize: PathBuf,
    helm: PathBuf,
}

/// What kstatus says of an object.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Judged {
    /// `Current`, `InProgress`, `Failed`, `Terminating`, `NotFound` or `Unknown`.
    pub status: String,
    /// Why.
    pub message: String,
}

impl Flux {
    pub(super) async fn start(cluster: &Cluster, tools: &FluxTools) -> Result<Self> {
        let installed = install(cluster, tools).await?;
        let source = launch(cluster, SOURCE, &tools.source_controller, &installed.source);
        let (health, metrics) = (loopback(18_301), loopback(18_302));
        let source = source
            .args(["--storage-path", &installed.storage.to_string_lossy()])
            .args(["--storage-addr", &ARTIFACTS.to_string()])
            .args(["--storage-adv-addr", &ARTIFACTS.to_string()])
            .args(["--health-addr", &health.to_string()])
            .args(["--metrics-addr", &metrics.to_string()])
            .start()?;
        let (healthy, metrics) = (loopback(18_303), loopback(18_304));
        let kustomize = launch(
            cluster,
            MANAGER,
            &tools.kustomize_controller,
            &installed.kustomize,
        );
        let kustomize = kustomize
            .args(["--health-addr", &healthy.to_string()])
            .args(["--metrics-addr", &metrics.to_string()])
            .arg(NEWEST_FIRST)
            .start()?;
        let (well, metrics) = (loopback(18_305), loopback(18_306));
        let helm = launch(
            cluster,
            HELM_MANAGER,
            &tools.helm_controller,
            &installed.helm,
        );
        let helm = helm
            .args(["--health-addr", &well.to_string()])
            .args(["--metrics-addr", &metrics.to_string()])
            .arg(NEWEST_FIRST)
            .start()?;
        let flux = Self {
            controllers: [(source, health), (kustomize, healthy), (helm, well)],
            kstatus: tools.kstatus.clone(),
        };
        flux.ready().await?;
        Ok(flux)
    }

    /// Installs it on a cluster that was lost and made anew, after [`Self::end`]. What it had fetched is lost as well.
    ///
    /// # Errors
    /// When it does not become ready.
    pub(super) async fn again(&self, cluster: &Cluster, tools: &FluxTools) -> Result<()> {
        install(cluster, tools).await?;
        for (process, _) in &self.controllers {
            process.restart().await?;
        }
        self.ready().await
    }

    async fn ready(&self) -> Result<()> {
        for (process, health) in &self.controllers {
            process
                .ready(START, async || {
                    let answer = reqwest::get(format!("http://{health}/readyz")).await?;
                    answer.error_for_status().context("not ready")?;
                    Ok(())
                })
                .await?;
        }
        Ok(())
    }

    /// Ends all in order, as Kubernetes ends pods.
    ///
    /// # Errors
    /// When one takes too long, or fails.
    pub async fn end(&self) -> Result<()> {
        for (process, _) in &self.controllers {
            process.end(GRACE).await?;
        }
        Ok(())
    }

    /// Fails if a part ended by itself, quoting its log.
    ///
    /// # Errors
    /// As said.
    pub async fn alive(&self) -> Result<()> {
        for (process, _) in &self.controllers {
            process.alive().await?;
        }
        Ok(())
    }

    /// What the library that Flux waits with makes of each of some objects.
    ///
    /// # Errors
    /// When it cannot read one.
    pub async fn kstatus(&self, objects: &[DynamicObject]) -> Result<Vec<Judged>> {
        let mut input = String::new();
        for object in objects {
            input += &serde_json::to_string(object)?;
            input.push('\n');
        }
        let mut child = Command::new(&self.kstatus)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("starting kstatus")?;
        let mut stdin = child.stdin.take().context("no standard input")?;
        let write = async move { stdin.write_all(input.as_bytes()).await };
        let (written, output) = tokio::join!(write, child.wait_with_output());
        let output = output?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "kstatus: {said}");
        written?;
        let lines = String::from_utf8(output.stdout)?;
        let judged: Result<Vec<Judged>, _> = lines.lines().map(serde_json::from_str).collect();
        let judged = judged?;
        ensure!(judged.len() == objects.len(), "kstatus: {lines}");
        Ok(judged)
    }
}

/// Kinds, rights and accounts, and an empty folder for what is fetched.
async fn install(cluster: &Cluster, tools: &FluxTools) -> Result<Installed> {
    for crds in &tools.crds {
        cluster.define(crds).await?;
    }
    cluster.apply(RIGHTS).await?;
    let storage = cluster.run_dir().join("flux-artifacts");
    if storage.exists() {
        std::fs::remove_dir_all(&storage)?;
    }
    std::fs::create_dir_all(&storage)?;
    let account = async |name| {
        cluster
            .kubeconfig_for_service_account(NAMESPACE, name)
            .await
    };
    Ok(Installed {
        storage,
        source: account(SOURCE).await?,
        kustomize: account(MANAGER).await?,
        helm: account(HELM_MANAGER).await?,
    })
}

fn launch(cluster: &Cluster, name: &str, program: &Path, kubeconfig: &Path) -> Launch {
    Launch::new(name, program, cluster.run_dir())
        .env("RUNTIME_NAMESPACE", NAMESPACE)
        .env("KUBECONFIG", kubeconfig)
}

const fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}
