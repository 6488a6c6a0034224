//! The program under test.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::Signal;

use super::ADMIN;
use crate::cluster::{Cluster, Gate, Relay};
use crate::process::{self, Launch, Process};

/// Sluice, as the audit log names it.
pub const USER: &str = "system:serviceaccount:sluice-system:sluice";
/// The [`Second`] one, as the audit log names it.
pub const SECOND: &str = "system:serviceaccount:sluice-system:sluice-second";
pub(super) const NAMESPACE: &str = "sluice-system";
pub(super) const ACCOUNT: &str = "sluice";
const SECOND_ACCOUNT: &str = "sluice-second";
const START: Duration = Duration::from_secs(20);
/// What Kubernetes gives a pod to end in order, by default.
const GRACE: Duration = Duration::from_secs(30);

/// Sluice, running under the rights that its manifests grant.
pub struct Controller {
    process: Process,
    admin: SocketAddr,
}

/// A second Sluice, beside the stage's own. Its account has another name, so that the audit log tells
/// the two apart, and the same rights.
pub struct Second {
    /// Between it and the API server.
    pub relay: Relay,
    /// The program.
    pub controller: Controller,
}

impl Second {
    pub(super) async fn start(cluster: &Cluster, program: &Path) -> Result<Self> {
        cluster.apply(&second_rights()).await?;
        let (relay, kubeconfig) = cluster.relay(NAMESPACE, SECOND_ACCOUNT).await?;
        let admin = SocketAddr::new(ADMIN.ip(), ADMIN.port() - 1);
        let launch = launch(cluster, program, "sluice-second", admin).env("KUBECONFIG", kubeconfig);
        let controller = Controller::launch(launch, admin).await?;
        Ok(Self { relay, controller })
    }
}

/// The account of the second one, bound to the same roles as the first.
fn second_rights() -> String {
    let binding = |kind: &str, role: &str, name: &str, metadata: &str| {
        format!(
            "---
apiVersion: rbac.authorization.k8s.io/v1
kind: {kind}
metadata: {metadata}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: {role}, name: {name}}}
subjects:
- {{kind: ServiceAccount, name: {SECOND_ACCOUNT}, namespace: {NAMESPACE}}}
"
        )
    };
    let named = format!("{{name: {SECOND_ACCOUNT}}}");
    let placed = format!("{{name: {SECOND_ACCOUNT}, namespace: {NAMESPACE}}}");
    format!("apiVersion: v1\nkind: ServiceAccount\nmetadata: {placed}\n")
        + &binding("ClusterRoleBinding", "ClusterRole", ACCOUNT, &named)
        + &binding("RoleBinding", "Role", "sluice-lease", &placed)
}

/// A Sluice that watches one namespace alone, and reaches the API server through a gate. Several run side
/// by side, as long as the stage's own does not run.
pub struct Gated {
    /// The gate.
    pub gate: Gate,
    /// The controller behind it.
    pub controller: Controller,
}

impl Gated {
    pub(super) async fn start(
        cluster: &Cluster,
        program: &Path,
        (namespace, admin): (&str, SocketAddr),
    ) -> Result<Self> {
        cluster.apply(&lease_rights(namespace)).await?;
        let gate = cluster.gate(NAMESPACE, ACCOUNT, namespace).await?;
        let launch = launch(cluster, program, &format!("sluice-{namespace}"), admin)
            .args(["--namespace", namespace])
            // Each leads by a lease of its own.
            .args(["--lease-namespace", namespace])
            .env("KUBECONFIG", gate.kubeconfig());
        let controller = Controller::launch(launch, admin).await?;
        Ok(Self { gate, controller })
    }
}

/// What the manifests grant for the lease, in another namespace.
fn lease_rights(namespace: &str) -> String {
    let metadata = format!("{{name: sluice-lease, namespace: {namespace}}}");
    let role = "{apiGroup: rbac.authorization.k8s.io, kind: Role, name: sluice-lease}";
    format!(
        "apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {metadata}
rules:
- {{apiGroups: [coordination.k8s.io], resources: [leases], verbs: [create]}}
- {{apiGroups: [coordination.k8s.io], resources: [leases], resourceNames: [sluice],
   verbs: [get, list, watch, update]}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {metadata}
roleRef: {role}
subjects:
- {{kind: ServiceAccount, name: {ACCOUNT}, namespace: {NAMESPACE}}}
"
    )
}

/// Where the stage's own records its rollouts.
pub(super) fn recordings(cluster: &Cluster) -> PathBuf {
    cluster.run_dir().join("recordings")
}

fn launch(cluster: &Cluster, program: &Path, name: &str, admin: SocketAddr) -> Launch {
    Launch::new(name, program, cluster.run_dir())
        .args([
            "--admin-address",
            &admin.to_string(),
            "--log-format",
            "text",
        ])
        // As the manifests set them by the downward API.
        .env("POD_NAME", name)
        .env("POD_NAMESPACE", NAMESPACE)
        .env("SLUICE_LOG", "info,sluice=debug,kube=warn")
        .env("RUST_BACKTRACE", "1")
}

impl Controller {
    pub(super) async fn start(cluster: &Cluster, program: &Path) -> Result<Self> {
        let kubeconfig = cluster
            .kubeconfig_for_service_account(NAMESPACE, ACCOUNT)
            .await?;
        let recordings = recordings(cluster);
        let launch = launch(cluster, program, "sluice", ADMIN)
            .args(["--record", &recordings.to_string_lossy()])
            .env("KUBECONFIG", kubeconfig);
        Self::launch(launch, ADMIN).await
    }

    async fn launch(launch: Launch, admin: SocketAddr) -> Result<Self> {
        let process = launch.start()?;
        let controller = Self { process, admin };
        controller.ready().await?;
        Ok(controller)
    }

    /// Kills it, as a lost machine would.
    ///
    /// # Errors
    /// When the system refuses.
    pub async fn kill(&self) -> Result<()> {
        self.process.kill().await
    }

    /// Starts it again and waits until it is ready.
    ///
    /// # Errors
    /// When it does not become ready; the error quotes its log.
    pub async fn restart(&self) -> Result<()> {
        self.process.restart().await?;
        self.ready().await
    }

    /// Starts it again and does not wait: an API server that is down keeps it from being ready.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn start_again(&self) -> Result<()> {
        self.process.restart().await
    }

    /// Stops it where it is, as a machine without CPU would; without effect if it does not run.
    ///
    /// # Errors
    /// When the system refuses.
    pub async fn freeze(&self) -> Result<()> {
        self.process.signal(Signal::STOP).await
    }

    /// Lets it go on.
    ///
    /// # Errors
    /// When the system refuses.
    pub async fn thaw(&self) -> Result<()> {
        self.process.signal(Signal::CONT).await
    }

    /// Ends it in order, as Kubernetes ends a pod, and waits until it ended.
    ///
    /// # Errors
    /// When it takes too long, or fails.
    pub async fn end(&self) -> Result<()> {
        self.process.end(GRACE).await
    }

    /// Whether it says that it holds the lease.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn leads(&self) -> Result<bool> {
        let page = self.metrics().await?;
        Ok(page.lines().any(|line| line == "sluice_leader 1"))
    }

    /// Its resident memory in bytes; `None` when it does not run.
    pub async fn memory(&self) -> Option<u64> {
        process::resident(self.process.id().await?)
    }

    /// Its metrics, in Prometheus' text format.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn metrics(&self) -> Result<String> {
        let answer = reqwest::get(format!("http://{}/metrics", self.admin)).await?;
        Ok(answer.error_for_status()?.text().await?)
    }

    /// Fails if it ended by itself, quoting its log.
    ///
    /// # Errors
    /// As said.
    pub async fn alive(&self) -> Result<()> {
        self.process.alive().await
    }

    /// Waits until it says that it is ready.
    ///
    /// # Errors
    /// When it does not become ready; the error quotes its log.
    pub async fn ready(&self) -> Result<()> {
        self.process
            .ready(START, async || {
                let answer = reqwest::get(format!("http://{}/readyz", self.admin)).await?;
                answer.error_for_status().context("not ready")?;
                Ok(())
            })
            .await
    }
}
