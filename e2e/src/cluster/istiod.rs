//! istiod, which programs the waypoints.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::build::Tools;
use crate::process::{Launch, Process};

/// Where Envoy asks for its configuration, in plain text.
pub(super) const XDS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 15010);
/// Debug pages such as `/debug/syncz`.
pub(super) const HTTP: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 15080);
const MONITORING: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 15014);
const START: Duration = Duration::from_mins(1);

/// No metrics provider, or istiod adds its stats filter, which only Istio's own Envoy has. No
/// access log: the metrics filter is one, and text for each request would only cost time.
const MESH_CONFIG: &str = "\
trustDomain: cluster.local
rootNamespace: istio-system
accessLogFile: ''
";

/// Starts istiod; [`ready`] tells when it answers.
pub(super) fn start(tools: &Tools, run: &Path, kubeconfig: &Path) -> Result<Process> {
    let mesh_config = run.join("mesh.yaml");
    fs::write(&mesh_config, MESH_CONFIG).context("writing the mesh config")?;
    Launch::new("istiod", &tools.pilot_discovery, run)
        .arg("discovery")
        .arg(format!("--kubeconfig={}", kubeconfig.display()))
        .arg(format!("--meshConfig={}", mesh_config.display()))
        .arg(format!("--grpcAddr={XDS}"))
        .arg(format!("--httpAddr={HTTP}"))
        .arg(format!("--monitoringAddr={MONITORING}"))
        .args(["--secureGRPCAddr=", "--httpsAddr="])
        .env("PILOT_ENABLE_AMBIENT", "true")
        .env("AMBIENT_ENABLE_MULTI_NETWORK_WAYPOINT", "false")
        // Pods get no sidecar, and identities come from our SDS server.
        .env("INJECT_ENABLED", "false")
        .env("ENABLE_CA_SERVER", "false")
        .env("POD_NAME", "istiod")
        .env("POD_NAMESPACE", "istio-system")
        .env("REVISION", "default")
        .env("CLUSTER_ID", "Kubernetes")
        .start()
}

/// Waits until istiod has read the cluster and serves.
pub(super) async fn ready(istiod: &Process) -> Result<()> {
    istiod
        .ready(START, async || {
            reqwest::get(format!("http://{HTTP}/ready"))
                .await?
                .error_for_status()?;
            Ok(())
        })
        .await
}
