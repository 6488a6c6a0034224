//! A real Argo CD: its application controller and its repository server, without the parts that people click on.
//!
//! Its cache is a Valkey in the place of Redis, which speaks the same; and the cluster is one that it
//! reaches from outside, by a Secret.

mod application;

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use kube::Client;
use kube::api::{Api, DynamicObject};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::argocd;
use crate::build::ArgoCdTools;
use crate::cluster::Cluster;
use crate::process::{Launch, Process};

pub use application::{Application, Apply, Operation, State};

/// Argo CD's controller, as the audit log names it.
pub const USER: &str = "system:serviceaccount:argocd:argocd-application-controller";
/// The field manager of what it applies.
pub const MANAGER: &str = "argocd-controller";

const NAMESPACE: &str = "argocd";
const ACCOUNT: &str = "argocd-application-controller";
const START: Duration = Duration::from_mins(1);

const VALKEY: SocketAddr = local(16_379);
const REPOSITORIES: SocketAddr = local(18_081);
const REPOSITORIES_METRICS: SocketAddr = local(18_084);
const METRICS: SocketAddr = local(18_082);

/// A running Argo CD. Dropping it ends it.
pub struct ArgoCd {
    client: Client,
    /// The API server, as Argo CD reaches it.
    server: String,
    parts: Vec<Process>,
}

impl ArgoCd {
    /// Starts one that knows the health and the actions of Canaries, and compares every five seconds.
    ///
    /// # Errors
    /// When a part does not start; the error quotes its log.
    pub async fn start(cluster: &Cluster, tools: &ArgoCdTools) -> Result<Self> {
        cluster.define(&tools.crds).await?;
        cluster.apply(&rights()?).await?;
        let kubeconfig = cluster
            .kubeconfig_for_service_account(NAMESPACE, ACCOUNT)
            .await?;
        let (server, token) = access(&kubeconfig)?;
        cluster.apply(&settings(&server, &token)?).await?;

        let run = cluster.run_dir();
        let scratch = run.join("argocd");
        fs::create_dir_all(&scratch)?;
        let valkey = Launch::new("valkey", &tools.valkey, &scratch)
            .args(["--bind", &VALKEY.ip().to_string()])
            .args(["--port", &VALKEY.port().to_string()])
            .args(["--save", "", "--appendonly", "no", "--dir"])
            .arg(&scratch)
            .start()?;
        valkey.ready(START, async || answers(VALKEY).await).await?;
        let launch = |component: &str| {
            Launch::new(component, &tools.argocd, run)
                // By its name the program knows which component it is.
                .env("ARGOCD_BINARY_NAME", component)
                .env("ARGOCD_GPG_ENABLED", "false")
                .env("HOME", &scratch)
                .env("TMPDIR", &scratch)
                .args(["--redis", &VALKEY.to_string(), "--loglevel", "info"])
        };
        let repositories = launch("argocd-repo-server")
            .arg("--disable-tls")
            .args(["--address", &REPOSITORIES.ip().to_string()])
            .args(["--port", &REPOSITORIES.port().to_string()])
            .args(["--metrics-address", &REPOSITORIES_METRICS.ip().to_string()])
            .args(["--metrics-port", &REPOSITORIES_METRICS.port().to_string()])
            .start()?;
        repositories
            .ready(START, async || answers(REPOSITORIES).await)
            .await?;
        let controller = launch("argocd-application-controller")
            .arg("--kubeconfig")
            .arg(&kubeconfig)
            .args(["--namespace", NAMESPACE])
            .args(["--repo-server", &REPOSITORIES.to_string()])
            .arg("--repo-server-plaintext")
            .args(["--metrics-port", &METRICS.port().to_string()])
            .args(["--app-resync", "5", "--app-resync-jitter", "0"])
            .args(["--self-heal-timeout-seconds", "2"])
            .args(["--self-heal-backoff-timeout-seconds", "2"])
            // The health of each resource in the Application's status, where stories read it.
            .arg("--persist-resource-health")
            .start()?;
        controller
            .ready(START, async || answers(METRICS).await)
            .await?;
        Ok(Self {
            client: cluster.client(),
            server,
            parts: vec![controller, repositories, valkey],
        })
    }

    /// Fails if a part ended by itself, quoting the end of its log.
    ///
    /// # Errors
    /// As said.
    pub async fn alive(&self) -> Result<()> {
        for part in &self.parts {
            part.alive().await?;
        }
        Ok(())
    }

    /// Kills it, as a lost cluster would.
    ///
    /// # Errors
    /// If the system refuses.
    pub async fn kill(&self) -> Result<()> {
        for part in &self.parts {
            part.kill().await?;
        }
        Ok(())
    }

    fn applications(&self) -> Api<DynamicObject> {
        let kind = GroupVersionKind::gvk("argoproj.io", "v1alpha1", "Application");
        Api::namespaced_with(
            self.client.clone(),
            NAMESPACE,
            &ApiResource::from_gvk(&kind),
        )
    }
}

const fn local(port: u16) -> SocketAddr {
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), port)
}

async fn answers(address: SocketAddr) -> Result<()> {
    TcpStream::connect(address).await?;
    Ok(())
}

/// Where a kubeconfig leads to, and its token.
fn access(kubeconfig: &Path) -> Result<(String, String)> {
    let config: Value = serde_yaml_ng::from_str(&fs::read_to_string(kubeconfig)?)?;
    let text = |path: &str| {
        let text = config.pointer(path).and_then(Value::as_str);
        text.map(str::to_owned)
            .with_context(|| format!("a kubeconfig without {path}"))
    };
    Ok((
        text("/clusters/0/cluster/server")?,
        text("/users/0/user/token")?,
    ))
}

/// What Argo CD's own manifests grant its controller: everything.
fn rights() -> Result<String> {
    documents(&[
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}),
        json!({
            "apiVersion": "v1", "kind": "ServiceAccount",
            "metadata": {"name": ACCOUNT, "namespace": NAMESPACE},
        }),
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
            "metadata": {"name": ACCOUNT},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": NAMESPACE}],
        }),
    ])
}

/// What Argo CD is configured by: its defaults, and what users take of ours.
fn settings(server: &str, token: &str) -> Result<String> {
    let metadata = |name: &str| {
        json!({
            "name": name, "namespace": NAMESPACE,
            "labels": {"app.kubernetes.io/part-of": "argocd"},
        })
    };
    let mut config = serde_json::to_value(argocd::data()?)?;
    config
        .as_object_mut()
        .context("data is an object")?
        .insert("timeout.reconciliation".to_owned(), json!("5s"));
    let access = json!({"bearerToken": token, "tlsClientConfig": {"insecure": true}});
    documents(&[
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata("argocd-cm"), "data": config}),
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata("argocd-rbac-cm"), "data": {}}),
        json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": metadata("argocd-secret"),
            "stringData": {"server.secretkey": "of-no-use-without-a-server"},
        }),
        json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {
                "name": "cluster", "namespace": NAMESPACE,
                "labels": {"argocd.argoproj.io/secret-type": "cluster"},
            },
            "stringData": {"name": "e2e", "server": server, "config": access.to_string()},
        }),
        json!({
            "apiVersion": "argoproj.io/v1alpha1", "kind": "AppProject",
            "metadata": {"name": "default", "namespace": NAMESPACE},
            "spec": {
                "sourceRepos": ["*"],
                "destinations": [{"namespace": "*", "server": "*"}],
                "clusterResourceWhitelist": [{"group": "*", "kind": "*"}],
            },
        }),
    ])
}

fn documents(objects: &[Value]) -> Result<String> {
    let texts: Result<Vec<_>, _> = objects.iter().map(serde_yaml_ng::to_string).collect();
    Ok(texts?.join("---\n"))
}
